"""Kinds of segments against planted ones, views against those not dropped, painting over against all pixels."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from made_up import clouds
from scipy.ndimage import distance_transform_cdt
from sklearn.metrics import adjusted_rand_score
from tagged_pictures import Convolutional, classifier, digits, discs, pictures
from torch import Tensor

from cnnaudit import Classifier
from cnnaudit.auditing import scenery as module
from cnnaudit.auditing.holding import Holding
from cnnaudit.auditing.patches import on_object
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.scenery import KINDS, Kinds, Scenery, View, kinds_of, pasted, plate, rows_of
from cnnaudit.auditing.segments import Segmented, segmented


def part(colour: np.ndarray, *, border: np.ndarray | None = None, features: np.ndarray | None = None) -> Segmented:
    """Segments in stripes, of one area."""
    count = len(colour)
    return Segmented(
        labels=np.repeat(np.arange(count, dtype=np.uint8)[:, None], 4, 1),
        area=np.full(count, 1 / count, np.float32),
        border=np.full(count, 1 / count, np.float32) if border is None else border.astype(np.float32),
        colour=colour.astype(np.float32),
        features=(np.zeros((count, 0)) if features is None else features).astype(np.float32),
        attribution=np.full(count, np.nan, np.float32),
    )


def scenery(pixels: Tensor, *, masks: Tensor | None = None) -> Scenery:
    given, shown = classifier(Convolutional(), pixels), pictures(pixels, masks=masks)
    parts = [each for _, each in segmented(given, shown, range(len(pixels)))]
    return Scenery(given, shown, kinds_of(parts, 0))


def test_planted_kinds_are_found() -> None:
    draw = np.random.default_rng(0)
    centres = draw.permutation(
        np.stack(np.meshgrid([0, 1.0], [0, 1.0], [0, 1.0], [0, 1.0], [0, 1.0]), -1).reshape(-1, 5)
    )
    truth = draw.integers(0, KINDS, (60, 10))
    shown = [part(centres[own] + 0.01 * draw.standard_normal((10, 5))) for own in truth]
    kinds = kinds_of(shown, seed=0)
    found = np.concatenate([kinds.of(each) for each in shown])
    assert adjusted_rand_score(truth.ravel(), found) > 0.95


def test_what_fills_its_frame_leaves_no_ground_to_be_told_from() -> None:
    before, _ = discs(40, torch.arange(40) % 2)
    filling = digits()[0].expand(-1, 3, -1, -1).clone()
    assert scenery(before).tells
    room = scenery(filling[:40])
    assert not room.tells
    assert on_object(room, room.views([0, 1]), lambda view: view.labels == 0) is None
    masked = scenery(filling[:40], masks=filling[:40, 0] > 0.5)
    assert masked.tells


def test_there_are_no_more_kinds_than_different_segments() -> None:
    shown = [part(np.eye(3)[[0, 1, 2]]) for _ in range(5)]
    kinds = kinds_of(shown, seed=0)
    assert len(kinds.centres) == 3
    assert sorted(kinds.of(shown[0])) == [0, 1, 2]
    assert len(kinds_of([part(np.ones((1, 2)))], seed=0).centres) == 1


def test_a_kind_is_the_nearest_centre_and_colours_weigh_as_much_as_features() -> None:
    draw = np.random.default_rng(1)
    shown = [part(draw.random((8, 6)), features=1000 * draw.random((8, 40))) for _ in range(20)]
    kinds = kinds_of(shown, seed=0)
    rows = (np.concatenate([rows_of(each) for each in shown]) - kinds.middle) / kinds.scale
    expected = np.linalg.norm(rows[:, None] - kinds.centres[None], axis=2).argmin(1)
    assert (np.concatenate([kinds.of(each) for each in shown]) == expected).all()
    assert (rows[:, :6] ** 2).sum(1).mean() == pytest.approx(1, abs=1e-3)
    assert (rows[:, 6:] ** 2).sum(1).mean() == pytest.approx(1, abs=1e-3)


def test_a_kind_is_outer_by_the_area_of_its_segments_at_the_border() -> None:
    colours = np.array([[0.0, 0.0], [1.0, 1.0]])
    shown = [part(colours, border=np.array([1, k < 3])) for k in range(10)]
    kinds = kinds_of(shown, seed=0)
    assert kinds.outer[kinds.of(shown[0])] == pytest.approx([1, 0.3])


def test_the_same_seed_gives_the_same_bits() -> None:
    shown = [part(np.random.default_rng(k).random((8, 6))) for k in range(30)]
    one, other = kinds_of(shown, seed=3), kinds_of(shown, seed=3)
    for name in Kinds.__slots__:
        assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes()


def test_the_ground_is_what_a_mask_leaves_outside_else_what_reaches_the_border() -> None:
    pixels, masks = discs(12, torch.arange(12) % 2)
    for view, mask in zip(scenery(pixels, masks=masks).views(range(12)), masks.numpy(), strict=True):
        assert (view.ground == ~mask).all()
    for view, mask in zip(scenery(pixels).views(range(12)), masks.numpy(), strict=True):
        assert (view.ground == ~mask).mean() > 0.9  # the edge of a segment is rough
        assert (view.shows(np.unique(view.kind))).all() and not view.shows([]).any()


def bits(view: View) -> tuple[bytes, ...]:
    return tuple(each.tobytes() for each in (view.pixels, view.labels, view.kind, view.ground))


def in_bytes(count: int, *, size: int = 32) -> Tensor:
    """Pictures as files give them."""
    return (clouds(count, size=size) * 255).round().div_(255)


class Neighbourly(Convolutional):
    """Sees another picture where it sees an even number: kernels that depend on a batch's size do so a little."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if len(x) % 2 else 1 - x)


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_dropped_changes_no_bit_even_where_the_network_sees_whole_batches(masked: bool) -> None:
    pixels = in_bytes(12)
    given = classifier(Neighbourly(), pixels)
    shown = pictures(pixels, masks=pixels.mean(1) > 0.5 if masked else None)
    kinds = kinds_of([each for _, each in segmented(given, shown, range(8))], 0)
    asked = [[0, 1, 2, 3, 4, 5], [5], [1, 9], [0, 11, 9], [10, 1], [2, 2, 5]]
    room = Scenery(given, shown, kinds)
    expected = [[bits(view) for view in room.views(some)] for some in asked]
    for most in (0, 3 * room.views([0])[0].nbytes):
        tight = Scenery(given, shown, kinds, holding=Holding(most))
        assert [[bits(view) for view in tight.views(some)] for some in asked] == expected
        assert tight._holding.nbytes <= most


def test_the_network_and_the_cutting_are_asked_once_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(given: Classifier, shown: Pictures, places: Sequence[int], **options: bool) -> object:
        asked.extend(places)
        return segmented(given, shown, places, **options)

    pixels = clouds(6)
    given, shown = classifier(Convolutional(), pixels), pictures(pixels)
    parts = dict(segmented(given, shown, range(4)))
    found = Scenery(given, shown, kinds_of(list(parts.values()), 0), holding=Holding(0))
    for place, each in parts.items():
        found.hold(place, each)
    monkeypatch.setattr(module, "segmented", counted)
    for _ in range(3):
        found.views(range(6))
    assert asked == [4, 5]


def test_sceneries_share_memory_and_what_was_asked_for_last_stays() -> None:
    pixels = in_bytes(6)
    given, shown = classifier(Convolutional(), pixels), pictures(pixels)
    kinds = kinds_of([each for _, each in segmented(given, shown, range(6))], 0)
    large = 2 * scenery(pixels).views([0])[0].nbytes + pixels[0].numel()
    holding = Holding[View](large)
    one, other = (Scenery(given, shown, kinds, holding=holding) for _ in range(2))
    first = one.views([0])[0]
    other.views([0])
    assert one.views([0])[0] is first
    other.views([1])
    assert one.views([0])[0] is first and len(holding) == 2 and holding.nbytes <= large


@pytest.mark.parametrize(
    "pixels", [in_bytes(2), clouds(2), torch.rand(2, 1, 9, 7) * 3 - 1], ids=["bytes", "any", "out"]
)
def test_pixels_are_held_in_bytes_where_these_give_the_same_bits(pixels: Tensor) -> None:
    for view, picture in zip(scenery(pixels.expand(-1, 3, -1, -1)).views(range(2)), pixels, strict=True):
        assert (view.pixels == picture.numpy()).all() and view.pixels.dtype == np.float32
        assert view.stored.dtype == (np.uint8 if (picture * 255 == (picture * 255).round()).all() else np.float32)
        assert view.nbytes < 1.1 * view.labels.size * (view.stored.itemsize * 3 + 2)


def test_views_one_by_one_are_those_together() -> None:
    found = scenery(clouds(5))
    expected = [bits(view) for view in found.views([3, 1, 4])]
    each = found.each([3, 1, 4])
    assert [bits(view) for view in each] == expected and len(each) == 3
    assert bits(each[-1]) == expected[2] and [bits(view) for view in each[1:]] == expected[1:]


def test_painting_over_takes_the_nearest_pixel_that_is_kept() -> None:
    rows, columns = np.meshgrid(np.arange(13), np.arange(11), indexing="ij")
    own = np.stack([rows, columns]).astype(np.float32)
    keep = np.random.default_rng(0).random((13, 11)) < 0.1
    found = plate(own, keep)
    kept = np.argwhere(keep)
    assert (found[:, keep] == own[:, keep]).all()
    for row, column in np.argwhere(~keep):
        taken = found[:, row, column]
        assert keep[int(taken[0]), int(taken[1])]
        nearest = np.linalg.norm(kept - (row, column), axis=1).min()
        assert np.linalg.norm(taken - (row, column)) == pytest.approx(nearest)


def test_nothing_is_painted_over_where_all_is_kept_or_nothing() -> None:
    pixels = clouds(1)[0].numpy()
    for keep in (np.ones((32, 32), bool), np.zeros((32, 32), bool)):
        assert (plate(pixels, keep) == pixels).all()


@pytest.mark.parametrize(("side", "widening"), [(8, 0), (32, 0), (64, 1), (128, 2)])
def test_a_paste_changes_nothing_beyond_its_widening_and_soft_edge(side: int, widening: int) -> None:
    below, above = (each.numpy() for each in clouds(2, size=side))
    where = np.zeros((side, side), bool)
    where[side // 4 : side // 2, side // 4 : 3 * side // 4] = True
    found = pasted(below, above, where).numpy()
    box, inside = (np.asarray(distance_transform_cdt(each, "chessboard")) for each in (~where, where))
    assert (found[:, box > 3 * widening] == below[:, box > 3 * widening]).all()
    assert found[:, inside > 2 * widening] == pytest.approx(above[:, inside > 2 * widening], abs=1e-3)
    share = np.abs(found - below).sum(0) / np.abs(above - below).sum(0).clip(1e-6)
    assert (share[box > 2 * widening] < 0.2).all() and (share[inside > 0] > 0.5).all()
