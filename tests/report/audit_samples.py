"""A made-up audit that looks like a real one: huskies, wolves and the snow behind them."""

from dataclasses import replace
from functools import cache

import numpy as np
from report_samples import MODEL, RUN

from cnnaudit.data import scenes
from cnnaudit.results import (
    AuditFacts,
    AuditFinding,
    Change,
    ClassFacts,
    CuePatch,
    Edit,
    Effect,
    Exchange,
    Group,
    Hurt,
    ImageFailure,
    Presence,
    Problem,
    Report,
    Robustness,
    Slice,
    SliceCue,
)
from cnnaudit.shapes import Photo
from cnnaudit.training.metrics import share


@cache
def photo(index: int, label: scenes.Label, background: scenes.Background) -> Photo:
    return scenes.draw(index, label=label, background=background, seed=3).image.pixels


def patch(index: int) -> CuePatch:
    """The right half of a picture, the rest dimmed."""
    pixels = photo(index, "wolf", "snow").copy()
    pixels[:, :64] //= 4
    return CuePatch(f"wolf/{index:04}.png", pixels)


def edit(index: int, operation: str, label: scenes.Label = "husky") -> Edit:
    before, after = ("forest", "snow") if operation == "insert" else ("snow", "grass")
    return Edit(
        name=f"{label}/{index:04}.png", operation=operation,
        before=photo(index, label, before), after=photo(index, label, after), placebo=photo(index, label, "grass"),
        probability_before=0.123, probability_after=0.847, probability_placebo=0.141,
    )  # fmt: skip


def effect(operation: str = "insert", value: float = 0.61, placebo: float = 0.03, p: float = 2e-4) -> Effect:
    def change(middle: float) -> Change:
        return Change(middle, middle - 0.06, middle + 0.05)

    return Effect(operation, 412, change(value), change(placebo), change(value - placebo), 268, 9, p / 3, p)


SWAPS = Exchange(share(380, 400), share(300, 400), share(4, 400))


def finding(**changes: object) -> AuditFinding:
    made = AuditFinding(
        id="patch-3", kind="patch", name="snow", label="wolf",
        claim="Putting snow behind a husky raises P(wolf) by 0.61 (95 % interval 0.55 to 0.66; the same area of other "
        "background: 0.03); 412 of 2,000 photos",
        verdict="confirmed", nature="shortcut", severity="high", association=0.941, attribution=1.32,
        effects=(replace(effect(), exchange=SWAPS), effect("remove", -0.48, -0.02)), strongest=0,
        evidence=(
            "It touches the picture's edge in 97 % of the pictures and covers the middle in 4 %.",
            "Wolves without it are called wolves in 41 %.",
        ),
        present=1021, pictures=2000,
        presence=(
            Presence("husky", 1000, 52, share(11, 52), share(939, 948)),
            Presence("wolf", 1000, 969, share(960, 969), share(13, 31)),
        ),
        patches=tuple(patch(index) for index in range(1, 17, 2)),
        edits=(edit(0, "insert"), edit(2, "insert"), edit(1, "remove", "wolf"), edit(3, "remove", "wolf")),
        concerned=tuple(f"wolf/{index:04}.png" for index in range(200)),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def others() -> tuple[AuditFinding, ...]:
    """One that a person must judge, one rejected, one undecided, and one that could not be edited."""
    return (
        finding(
            id="patch-7", name="pointed ears", label="husky", verdict="inconclusive", nature="undecided",
            severity="medium", claim="Taking pointed ears away from a husky lowers P(husky) by 0.21",
            effects=(effect("remove", -0.21, -0.04, 0.0031),), patches=(patch(5), patch(7)), edits=(),
            presence=(), concerned=(), attribution=None,
        ),
        finding(
            id="place-border", kind="place", name="a border", verdict="not confirmed", nature="shortcut",
            severity="none", claim="Putting a border around a husky changes P(wolf) by 0.00 (−0.06 to 0.05)",
            effects=(effect("insert", 0.001, 0.002, 0.94),), association=0.583,
        ),
        finding(
            id="property-brightness", kind="property", name="bright pictures", verdict="inconclusive",
            nature="undecided", severity="none", claim="Brightening a husky raises P(wolf) by 0.08 (0.02 to 0.13)",
            effects=(effect("insert", 0.08, 0.05, 0.21),), patches=(), edits=(),
        ),
        finding(
            id="attribution-1", kind="attribution", name="pictures explained by the left edge", label="husky",
            verdict="inconclusive", nature="undecided", severity="none", effects=(), strongest=None,
            claim="Pictures explained by the left edge could not be edited", patches=(), edits=(),
        ),
    )  # fmt: skip


def facts(**changes: object) -> AuditFacts:
    worst = Group("husky with snow", "husky", "patch-3", 52, share(11, 52))
    made = AuditFacts(
        dataset="husky-wolf", pictures=2000, accuracy=share(1923, 2000),
        classes=(ClassFacts("husky", 1000, share(950, 1000)), ClassFacts("wolf", 1000, share(973, 1000))),
        findings=(finding(), *others()),
        hurt=Hurt(
            (
                worst,
                Group("wolf without snow", "wolf", "patch-3", 31, share(13, 31)),
                Group("husky with pointed ears", "husky", "patch-7", 700, share(650, 700)),
                Group("husky without snow", "husky", "patch-3", 948, share(939, 948)),
                Group("wolf with snow", "wolf", "patch-3", 969, share(960, 969)),
            ),
            worst,
            share(1311, 2000),
        ),
        slices=(
            Slice(
                "huskies that look like wolves on snow", 52, share(11, 52), share(1912, 1948), 2e-9,
                tuple(f"husky/{index:04}.png" for index in range(52)),
                tuple(photo(index, "husky", "snow") for index in range(0, 16, 2)),
                (SliceCue("patch-3-wolf", "snow", "confirmed", share(48, 52), share(97, 1948), 3e-12),),
            ),
        ),
        problems=(
            Problem(
                "duplicate", "The same picture is there twice, under two classes.", ("husky/0004.png", "wolf/0005.png"),
                ("husky", "wolf"), (photo(4, "husky", "grass"), photo(4, "husky", "grass")),
            ),
            Problem(
                "mislabelled", "Labelled husky; the network says wolf with 99.8 %, and so do its neighbours.",
                ("husky/0009.png",), ("husky",), (photo(9, "wolf", "forest"),),
            ),
        ),
        robustness=(
            Robustness("unchanged", share(481, 500), share(500, 500), 500),
            Robustness("shift by 1 pixel", share(480, 500), share(499, 500), 500),
            Robustness("left and right exchanged", share(478, 500), share(490, 500), 500),
            Robustness("JPEG, quality 20", share(402, 500), share(411, 500), 500),
        ),
        unread=(ImageFailure("wolf/broken.png", "The file is cut off after 812 of 20,112 bytes."),),
        notes=("61 pictures are smaller than the network's input and were enlarged.",),
        skipped={"background": "No masks were given."},
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def report(**changes: object) -> Report:
    """The audit as a report; changes are of its facts."""
    model = replace(MODEL, name="husky-wolf", labels=2, notes=())
    run = replace(RUN, command="cnnaudit audit husky-wolf --model husky-wolf")
    return Report("audit", run, model, audit=facts(**changes))


def noise(side: int, seed: int) -> Photo:
    """A picture that no format makes small."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
