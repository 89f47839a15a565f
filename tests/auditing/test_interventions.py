"""Effects against formulas, intervals against SciPy's bootstrap, p against all patterns of signs."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from model_state import differences, model_state
from scipy import stats
from tagged_pictures import Breaking, Reddish, asked, grey, tag
from torch import Tensor, nn

from cnnaudit.auditing import interventions as module
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue, Edited
from cnnaudit.auditing.interventions import MOST, SCREENED, measured, recipients
from cnnaudit.errors import ModelError
from cnnaudit.results.audits import Operation

DRAWS = 4999


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_chance_is_the_share_of_all_patterns_of_signs(shift: float) -> None:
    values = np.random.default_rng(1).standard_normal(10) * 0.8 + shift
    exact = np.mean([np.dot(signs, values) >= values.sum() - 1e-12 for signs in product((-1, 1), repeat=10)])
    error = np.sqrt(exact * (1 - exact) / DRAWS)
    assert module._chance(values, (), random()) == pytest.approx(exact, abs=4 * error + 1 / DRAWS)


def test_chance_is_never_nothing_and_is_one_where_nothing_differs() -> None:
    assert module._chance(np.ones(60), (), random()) == 1 / (DRAWS + 1)
    assert module._chance(np.zeros(60), (), random()) == 1


def test_intervals_are_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(2).gamma(1.0, size=40)
    found = module._mean(values, module._weights(40, (), random()))
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=DRAWS, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    error = 4 * values.std() / np.sqrt(40) * np.sqrt(0.025 * 0.975 / DRAWS) / stats.norm.pdf(1.96)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1.5 * error)
    assert found.value == pytest.approx(values.mean())


@pytest.mark.parametrize("count", [10, 20, 64])
def test_intervals_hold_the_truth_where_donors_are_few(count: int) -> None:
    """Donors differ among each other, and each is used for several pictures; there is no effect."""
    chance, held, sure, worlds = np.random.default_rng(count), 0, 0, 200
    for world in range(worlds):
        donors = chance.integers(0, count, 96)
        rows = np.zeros((96, 6))
        rows[:, 2] = chance.normal(0, 0.25, count)[donors] + chance.normal(0, 0.1, 96)
        found = module._effect("insert", rows, donors.tolist(), random(world))
        held += found.difference.low <= 0 <= found.difference.high
        sure += found.p < 0.025
        assert found.donors == len(set(donors.tolist()))
    assert held / worlds >= (0.86 if count == 10 else 0.9)
    assert sure / worlds <= 0.055


def test_pictures_on_which_the_network_fails_when_edited_are_left_out() -> None:
    pixels, truth = grey(60, size=16), torch.arange(60) % 2
    pixels[::4, :, -1, -1] = 1.0
    given = asked(Failing(slope=80.0), pixels, truth)
    [(_, (inserted,), edits)] = module.tested(given, [cue(given, Put(given), operations=("insert",))])
    assert np.isfinite([inserted.difference.value, inserted.difference.low, inserted.p]).all()
    assert 0 < inserted.pictures <= 15
    assert all(np.isfinite(each.probability_after) for each in edits)


class Failing(Reddish):
    """Gives no numbers for a picture with a red tag and a white last pixel."""

    def forward(self, x: Tensor) -> Tensor:
        bad = (x[:, 0, 0, 0] > 0.8) & (x[:, 1, 0, 0] < 0.5) & (x[:, :, -1, -1] > 0.99).all(1)
        return super().forward(x).masked_fill(bad[:, None], torch.nan)


class Put:
    """Puts a red tag into the upper left corner, or takes what is there out; the placebo is blue, or the same again.

    Attributes:
        asked_for: the places of every call.
    """

    def __init__(self, given: Asked, never: Sequence[int] = ()) -> None:
        self.given, self.never, self.asked_for = given, never, []

    def __call__(self, operation: Operation, places: Sequence[int], random: torch.Generator) -> Edited | None:
        self.asked_for += [places]
        kept = tuple(place for place in places if place not in self.never)
        if not kept:
            return None
        before = self.given.pictures.read(kept)
        after, placebo = before.clone(), before.clone()
        after[:, :, :6, :6] = tag() if operation == "insert" else 0.5
        placebo[:, :, :6, :6] = tag().flip(0) if operation == "insert" else before[:, :, :6, :6]
        return Edited(kept, before, after, placebo)


def cue(given: Asked, edit: Put, *, operations: tuple[Operation, ...] = ("remove", "insert")) -> Cue:
    return Cue("patch-1-tagged", "patch", "a tag", 1, given.pictures.truth == 1, 0.9, edit, operations)


def tagged_corner(net: nn.Module | None = None, count: int = 300) -> tuple[Asked, Put, Cue]:
    pixels, truth = grey(count, size=16), torch.arange(count) % 2
    pixels[truth == 1, :, :6, :6] = tag()
    given = asked(net or Reddish(slope=80.0), pixels, truth)
    edit = Put(given)
    return given, edit, cue(given, edit)


def test_effects_are_the_formula_s_and_the_placebo_does_nothing() -> None:
    given, _, planted = tagged_corner()
    [(_, effects, edits)] = module.tested(given, [planted])
    without, with_tag = (1 / (1 + np.exp(3 - 80 * red / 256)) for red in (0, 18 * 0.6 + 18 * 0.3))
    turn = {"remove": -1, "insert": 1}
    for effect in effects:
        expected = turn[effect.operation] * (with_tag - without)
        for change in (effect.effect, effect.difference):
            assert (change.value, change.low, change.high) == pytest.approx((expected,) * 3, abs=1e-6)
        assert (effect.placebo.low, effect.placebo.high) == pytest.approx((0, 0), abs=1e-7)
        assert (effect.pictures, effect.flips, effect.placebo_flips) == (MOST, MOST, 0)
        assert effect.p == effect.p_adjusted == 1 / (DRAWS + 1)
    removed, inserted = effects
    assert removed.exchange is None and inserted.exchange is not None
    swaps = inserted.exchange.before, inserted.exchange.after, inserted.exchange.placebo
    assert [(each.right, each.n) for each in swaps] == [(MOST, MOST), (MOST, MOST), (0, MOST)]
    assert [edit.operation for edit in edits] == ["remove"] * 3 + ["insert"] * 3
    for edit in edits:
        place = int(edit.name[:3])
        shown = given.pictures.read([place])[0].permute(1, 2, 0).mul(255).round().byte().numpy()
        assert (edit.before == shown).all()
        assert edit.probability_before == pytest.approx(with_tag if edit.operation == "remove" else without, abs=1e-6)


def test_swaps_are_counted_where_both_answers_go_with_the_cue() -> None:
    answers = np.random.default_rng(0).integers(0, 2, (2, 40, 3))  # before, after, with the placebo: 1 is the class
    put_in, taken_out = (np.stack([np.full_like(rows, 0.3, float), rows], 2).reshape(-1, 6) for rows in answers)
    counted = module.exchanged(put_in[:25], taken_out)
    pairs = list(zip(answers[0, :25].tolist(), answers[1, :25].tolist(), strict=True))
    assert counted.before.right == sum((without[0], having[0]) == (0, 1) for without, having in pairs)
    assert counted.after.right == sum((without[1], having[1]) == (1, 0) for without, having in pairs)
    assert counted.placebo.right == sum((without[2], having[2]) == (1, 0) for without, having in pairs)
    assert {each.n for each in (counted.before, counted.after, counted.placebo)} == {25}


def test_those_who_are_edited_are_of_the_class_with_it_or_of_others_without_it() -> None:
    given, edit, planted = tagged_corner()
    planted = replace(planted, present=torch.arange(300) < 150)
    assert recipients(given, planted, "remove") == list(range(1, 150, 2))
    assert recipients(given, planted, "insert") == list(range(150, 300, 2))
    module.tested(given, [planted])
    assert {place for places in edit.asked_for for place in places} <= {*range(1, 150, 2), *range(150, 300, 2)}


def test_pictures_on_which_cues_are_chosen_are_not_those_on_which_they_are_tested() -> None:
    given, edit, planted = tagged_corner()
    measured(given, planted, "insert", screening=True)
    chosen = {place for places in edit.asked_for for place in places}
    edit.asked_for.clear()
    measured(given, planted, "insert")
    seen = [place for places in edit.asked_for for place in places]
    assert len(chosen) == SCREENED and len(seen) == len(set(seen)) == MOST
    assert chosen.isdisjoint(seen)


def test_what_cannot_be_edited_has_no_effect() -> None:
    given, _, planted = tagged_corner()
    assert measured(given, replace(planted, edit=lambda *_: None), "insert") is None
    [(_, effects, edits)] = module.tested(given, [replace(planted, present=torch.zeros(300, dtype=torch.bool))])
    assert [each.operation for each in effects] == ["insert"] and len(edits) == 3
    few = replace(planted, edit=Put(given, never=range(1, 300)))
    assert measured(given, few, "insert") is None  # a single picture is left
    assert module.tested(given, []) == []


def test_ps_are_adjusted_over_all_cues_and_operations_as_benjamini_and_hochberg_say() -> None:
    given, edit, planted = tagged_corner()
    half = replace(planted, operations=("insert",))

    def faint(operation: Operation, places: Sequence[int], random: torch.Generator) -> Edited | None:
        edited = edit(operation, places, random)
        assert edited is not None
        put = torch.rand(len(places), generator=random) < 0.52
        return replace(
            edited,
            after=torch.where(put[:, None, None, None], edited.after, edited.placebo),
            placebo=torch.where(put[:, None, None, None], edited.placebo, edited.after),
        )

    found = module.tested(given, [planted, *(replace(half, edit=faint) for _ in range(2)), half])
    effects = [each for _, some, _ in found for each in some]
    order = sorted(effects, key=lambda each: each.p)
    lowest = 1.0
    for rank in range(len(order), 0, -1):
        lowest = min(lowest, order[rank - 1].p * len(order) / rank)
        assert order[rank - 1].p_adjusted == pytest.approx(lowest)
    assert len(effects) == 5 and effects[2].p > 0.01 > effects[0].p


def test_the_same_seed_gives_the_same_bits_and_everything_is_as_before() -> None:
    net = Breaking(slope=80.0).train()
    given, _, planted = tagged_corner(net)
    before = model_state(net)
    (_, one, shown), (_, other, again) = module.tested(given, [planted])[0], module.tested(given, [planted])[0]
    assert one == other and [each.after.tobytes() for each in shown] == [each.after.tobytes() for each in again]
    assert differences(before, model_state(net)) == []
    net.left = iter(range(7))
    before = model_state(net)
    with pytest.raises(ModelError, match="broken on purpose"):
        module.tested(given, [planted])
    assert differences(before, model_state(net)) == []
