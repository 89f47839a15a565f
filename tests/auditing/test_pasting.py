"""What is put in and taken out, pixel by pixel, in pictures whose parts are known."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool
from tagged_pictures import Convolutional, classifier, discs, pictures, tag, tagged
from torch import Tensor

from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.scenery import Scenery, View, kinds_of
from cnnaudit.auditing.segments import segmented
from cnnaudit.results.audits import Operation

N = 20


class Where:
    """The cue of a picture, looked up by its pixels."""

    def __init__(self, pixels: Tensor, cue: Tensor) -> None:
        self.known = {each.numpy().tobytes(): mask.numpy() for each, mask in zip(pixels, cue, strict=True)}

    def __call__(self, view: View) -> Bool[np.ndarray, "h w"]:
        return self.known[view.pixels.tobytes()]


def scenery(pixels: Tensor, masks: Tensor) -> Scenery:
    given, shown = classifier(Convolutional(), pixels), pictures(pixels, masks=masks)
    parts = [each for _, each in segmented(given, shown, range(len(pixels)), watched=False)]
    return Scenery(given, shown, kinds_of(parts, 0), watched=False)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def with_tags() -> tuple[Tensor, Tensor, Pasting]:
    """The first half have a tag at a random place."""
    bare, masks = discs(N, torch.arange(N) % 2)
    pixels, cue = tagged(bare, torch.arange(N) < N // 2)
    half = tuple(range(N // 2)), tuple(range(N // 2, N))
    return pixels, cue, Pasting(scenery(pixels, masks), Where(pixels, cue), False, *half)


def test_a_tag_is_put_where_a_donor_has_it_and_nothing_else_changes(with_tags: tuple[Tensor, Tensor, Pasting]) -> None:
    pixels, cue, paste = with_tags
    found = paste("insert", paste.without, random())
    assert found is not None and found.places == paste.without
    assert torch.equal(found.before, pixels[list(paste.without)])
    rows = zip(found.donors, found.before, found.after, found.placebo, strict=True)
    for donor, before, after, placebo in rows:
        changed = (after != before).any(0) | (placebo != before).any(0)
        assert donor in paste.donors and not bool((changed & ~cue[donor]).any())
        at = (after == after.new_tensor([0.9, 0, 0]).view(3, 1, 1)).all(0)
        assert bool((at == (cue[donor] & (pixels[donor, 0] == 0.9))).all())
        assert not (placebo == placebo.new_tensor([0.9, 0, 0]).view(3, 1, 1)).all(0).any()


def test_a_tag_is_taken_out_and_its_placebo_is_another_s_tag_in_its_place(
    with_tags: tuple[Tensor, Tensor, Pasting],
) -> None:
    pixels, cue, paste = with_tags
    found = paste("remove", paste.donors, random())
    assert found is not None
    for k, after, placebo in zip(found.places, found.after, found.placebo, strict=True):
        assert not ((after != pixels[k]).any(0) & ~cue[k]).any()
        assert torch.equal(after[0, cue[k]], after[1, cue[k]])  # grey, as the ground is
        assert torch.equal(placebo, pixels[k])  # a copy of the tag, moved over this one
        rows, columns = cue[k].nonzero(as_tuple=True)
        assert torch.equal(placebo[:, rows, columns].view(3, 6, 6), tag())


def test_what_belongs_to_the_surroundings_is_put_behind_the_object_and_without_the_donor_s_own() -> None:
    """Ground of one colour a class, and objects of another."""
    truth = torch.arange(N) % 2
    _, masks = discs(N, truth)
    ground = torch.where(truth.bool()[:, None, None, None], 0.9, 0.1).expand(N, 3, 32, 32)
    pixels = torch.where(masks[:, None], torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1), ground).contiguous()
    own, rest = (tuple((truth == k).nonzero().squeeze(1).tolist()) for k in (1, 0))
    paste = Pasting(scenery(pixels, masks), lambda view: view.ground, True, own, rest)
    made: tuple[tuple[Operation, tuple[int, ...], float, float], ...] = (
        ("insert", rest, 0.9, 0.1),
        ("remove", own, 0.1, 0.9),
    )
    for operation, places, put, placebo_put in made:
        found = paste(operation, places, random())
        assert found is not None
        for place, after, placebo in zip(found.places, found.after, found.placebo, strict=True):
            assert torch.equal(after[:, masks[place]], pixels[place][:, masks[place]])
            assert (after[:, ~masks[place]] == put).all() and (placebo[:, ~masks[place]] == placebo_put).all()


def test_nothing_of_a_donor_s_object_is_put_in_where_it_shows_nothing_of_the_cue() -> None:
    """The cue of these donors lies on their object alone: behind it, there is nothing to put in."""
    pixels, masks = discs(N, torch.arange(N) % 2)
    paste = Pasting(scenery(pixels, masks), lambda view: ~view.ground, True, tuple(range(5)), tuple(range(5, N)))
    assert paste("insert", range(5, N), random()) is None
    assert paste("remove", range(5), random()) is None


def test_donors_that_have_lost_the_cue_are_passed_over(with_tags: tuple[Tensor, Tensor, Pasting]) -> None:
    _, _, paste = with_tags
    swapped = Pasting(paste.scenery, paste.where, False, paste.without, paste.donors)
    assert swapped("remove", paste.donors, random()) is None
    assert swapped("insert", paste.without, random()) is None


@pytest.mark.parametrize("operation", ["insert", "remove"])
def test_nothing_is_made_without_donors_or_others(
    operation: Operation, with_tags: tuple[Tensor, Tensor, Pasting]
) -> None:
    _, _, paste = with_tags
    assert Pasting(paste.scenery, paste.where, False, (), paste.without)(operation, range(N), random()) is None
    assert Pasting(paste.scenery, paste.where, False, paste.donors, ())(operation, range(N), random()) is None
    assert Pasting(paste.scenery, paste.where, False, (3,), (12,))(operation, [3], random()) is None


def test_the_same_generator_gives_the_same_bits(with_tags: tuple[Tensor, Tensor, Pasting]) -> None:
    _, _, paste = with_tags
    one, other = (paste("insert", paste.without, random()) for _ in range(2))
    assert one is not None and other is not None
    assert torch.equal(one.after, other.after) and torch.equal(one.placebo, other.placebo)
