"""The sufficient and the necessary set against all sets, and against networks that need known segments."""

import pytest
import torch
from networks import classifier, picture, seeded
from test_lime import Square
from torch import Tensor, nn

from cnnaudit import Classifier, Explanation, explain
from cnnaudit.attribution.designs import every_mask
from cnnaudit.errors import NotApplicableError, OptionError, OutOfTimeError

PIXELS = torch.arange(10).view(2, 5)


class Needs(nn.Module):
    """Class 0 while the pixels 2 and 7 are both shown (white), or pixel 4 alone is; pictures of 2 x 5."""

    def forward(self, x: Tensor) -> Tensor:
        shown = x[:, 0].flatten(1) > 0.9
        found = (shown[:, 2] & shown[:, 7]) | (shown[:, 4] & ~shown[:, 9])
        return torch.stack([found.float() * 6 - 3, 3 - found.float() * 6], 1)


def ask(clf: Classifier, x: Tensor, **options: object) -> Explanation:
    return explain(clf, x, method="sufficient", options={"regions": PIXELS, **options})


def test_a_pair_that_is_needed_together_is_found_and_verified() -> None:
    why = ask(Classifier(Needs(), input_size=(2, 5)), torch.ones(1, 3, 2, 5), samples=1024, fill="black")
    assert why.heatmap.flatten().nonzero().flatten().tolist() == [4]
    assert why.heatmap.max() == pytest.approx(torch.sigmoid(torch.tensor(6.0)).item())
    assert int(why.parts["necessary"].count_nonzero()) == 1
    assert set(why.parts["necessary"].flatten().nonzero().flatten().tolist()) <= {2, 7}
    assert "1 of 10 segments (10% of the picture) alone is called class 0, 100%." in why.notes
    assert "Without 1 of 10 segments (10% of the picture) it is called class 1; class 0 has 0% left." in why.notes


@pytest.mark.parametrize("seed", range(20))
def test_sets_do_what_is_said_and_nothing_in_them_can_be_spared(seed: int) -> None:
    """Against the scores of all 1,024 sets: verified, irreducible, and seldom larger than the smallest."""
    clf = Classifier(seeded(Square), input_size=(2, 5))
    x = torch.rand(1, 3, 2, 5, generator=torch.Generator().manual_seed(seed))
    why = ask(clf, x, samples=1024)
    target, masks = why.prediction.index, every_mask(10)
    shown = torch.where(masks.view(-1, 1, 2, 5), x, torch.tensor(0.5))
    logits = clf.scores(shown)
    called, probability = logits.argmax(1) == target, logits.softmax(1)[:, target]
    alone = called & (probability >= 0.9 * why.prediction.probability)
    for name, doing, part in (
        ("sufficient", alone, why.heatmap),
        ("necessary", ~called.flip(0), why.parts.get("necessary", torch.zeros(2, 5))),
    ):
        if f"{name}_segments" not in why.facts:
            assert called[0] or not doing.any()  # the search may miss it where even the fill alone is called so
            continue
        chosen = part.flatten() > 0
        size, index = int(chosen.sum()), int((chosen * 2 ** torch.arange(10)).sum())
        assert size == why.facts[f"{name}_segments"] and doing[index]
        assert not any(doing[index - 2**member] for member in chosen.nonzero().flatten().tolist() if size > 1)
        smallest = int(masks.sum(1)[doing].min())
        assert smallest <= size <= smallest + 2
        assert size == smallest or smallest > 1  # one that does is always found


@pytest.mark.parametrize("passes", [4, 5, 10, 11])
def test_a_set_that_is_verified_outlasts_the_time(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever time is up: no answer before a sufficient set is verified, that set afterwards."""
    clock = [0.0]
    monkeypatch.setattr("cnnaudit.perturbation.budget.time.monotonic", lambda: clock[0])
    clf, x = Classifier(Needs(), input_size=(2, 5)), torch.ones(1, 3, 2, 5)
    clf.network.register_forward_pre_hook(lambda *_: clock.__setitem__(0, clock[0] + 1))
    options = {"regions": PIXELS, "samples": 40, "fill": "black", "batch": 10}
    verified, searched = passes >= 5, passes >= 11
    if not verified:
        with pytest.raises(OutOfTimeError):
            explain(clf, x, method="sufficient", options=options, time_limit=float(passes))
        return
    why = explain(clf, x, method="sufficient", options=options, time_limit=float(passes))
    assert why.facts["sufficient_segments"] == 1 and "alone is called class 0" in why.notes[0]
    assert ("necessary_segments" in why.facts) == searched == bool(why.parts)
    assert why.notes[1].startswith("Without 1 of 10" if searched else "There was no time left to look")
    assert any("Time was up" in note for note in why.notes) == (not searched)


def test_without_a_floor_the_first_choice_is_enough() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    options = {"segments": 12, "samples": 100}
    sure = explain(clf, x, method="sufficient", options={**options, "keep": 1.0})
    loose = explain(clf, x, method="sufficient", options={**options, "keep": 0.0})
    assert loose.facts["sufficient_segments"] <= sure.facts["sufficient_segments"]


def test_what_the_fill_alone_keeps_needs_no_segment() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.0]).expand(len(x), 2)

    why = ask(Classifier(Constant(), input_size=(2, 5)), torch.rand(1, 3, 2, 5))
    assert why.is_empty and not why.parts
    assert "The fill alone is called class 0" in why.notes[0]
    assert "no longer called class 0" in why.notes[1]


def test_a_contrast_asks_for_the_one_class_rather_than_the_other() -> None:
    clf, x = Classifier(seeded(Square), input_size=(2, 5)), torch.rand(1, 3, 2, 5)
    order = [prediction.index for prediction in clf.predict(x)]
    why = explain(
        clf, x, method="sufficient", target=order[1], versus=order[3], options={"regions": PIXELS, "keep": 0.0}
    )
    assert "rather than" in why.notes[0]


class Third(nn.Module):
    """Class 0 always comes first; class 2 is above class 1 while pixel 3 is shown."""

    def __init__(self, level: float = 0.0) -> None:
        super().__init__()
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        one = 2.0 - 3 * (x[:, 0, 0, 3] > 0.9)
        return torch.stack([torch.full_like(one, 4.0), one, torch.full_like(one, self.level)], 1)


def test_what_ends_a_contrast_is_told_as_that_contrast() -> None:
    """The class that comes first anyway takes no part in it."""
    clf = Classifier(Third(), input_size=(2, 5))
    why = ask_against(clf)
    left = torch.tensor([4.0, 2.0, 0.0]).softmax(0)
    assert why.notes[1] == (
        "Without 1 of 10 segments (10% of the picture) it is called class 1 rather than class 2: "
        f"{left[1]:.0%} against {left[2]:.0%}."
    )
    assert why.facts["probability_without"] == pytest.approx(float(left[2]))


def test_classes_that_are_level_are_told_so() -> None:
    note = ask_against(Classifier(Third(level=2.0), input_size=(2, 5))).notes[1]
    assert "it is called class 1 as much as class 2: each has 11%." in note


def ask_against(clf: Classifier) -> Explanation:
    options = {"regions": PIXELS, "keep": 0.0, "samples": 1024, "fill": "black"}
    return explain(clf, torch.ones(1, 3, 2, 5), method="sufficient", target=2, versus=1, options=options)


def test_a_class_that_is_not_the_networks_choice_is_declined() -> None:
    clf, x = classifier("in_place"), picture((32, 40))
    last = clf.predict(x)[-1].index
    with pytest.raises(NotApplicableError, match="Explain the network's own choice"):
        explain(clf, x, method="sufficient", target=last)


@pytest.mark.parametrize("options", [{"samples": 1}, {"keep": -0.1}, {"keep": 1.1}, {"segments": 1}])
def test_meaningless_values_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        explain(classifier("in_place"), picture((32, 40)), method="sufficient", options=options)
