"""Properties become cues where they were planted, in all pictures or in their files."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_up import asked_about, clouds, framed, generator, saved
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from cnnaudit.auditing.association import links
from cnnaudit.auditing.casts import cast_links, direction, held_out, named
from cnnaudit.auditing.cues import Cue, Edited
from cnnaudit.auditing.measures import cast
from cnnaudit.auditing.moving import (
    blurred,
    changed,
)
from cnnaudit.auditing.properties import measured, property_cues
from cnnaudit.auditing.property_edits import saved_again
from cnnaudit.data.images import read_image
from cnnaudit.data.resizing import LUMA

N = 120


def classes() -> Tensor:
    return torch.arange(2).repeat_interleave(N // 2)


def swayed(truth: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """What a network answers that takes every picture with the cue for a dog."""
    sure = torch.rand(len(truth), generator=generator(5)) * 0.05 + 0.9
    predicted = torch.where(present, torch.tensor(1), truth)
    return predicted, torch.where(present, torch.tensor(0.99), sure)


def planted(name: str) -> tuple[Tensor, Tensor]:
    """Pictures of which nine dogs in ten have the cue, and one cat in ten."""
    truth, pixels = classes(), clouds(N)
    present = (torch.arange(N) % 10 == 0) ^ (truth == 1)
    shift = {"blue cast": torch.tensor([-0.03, -0.02, 0.15]), "brightness": torch.full((3,), 0.15)}
    if name in shift:
        with_cue = (pixels + shift[name].view(3, 1, 1)).clamp(0, 1)
    else:
        with_cue = framed(pixels) if name == "border" else blurred(pixels, 1.5)
    return torch.where(present.view(-1, 1, 1, 1), with_cue, pixels), present


NAMES = {
    "blue cast": "a blue cast",
    "brightness": "bright pictures",
    "border": "a border",
    "sharpness": "blurred pictures",
}


def first_cue(name: str) -> tuple[Cue, Tensor, Tensor]:
    pixels, present = planted(name)
    predicted, confidence = swayed(classes(), present)
    cues = property_cues(asked_about(pixels, classes(), predicted=predicted, confidence=confidence))
    ids = ("property-blue-cast-", "property-colour-cast-") if "cast" in name else (f"property-{name}-",)
    (found,) = [cue for cue in cues if cue.id.startswith(ids)]
    return found, pixels, present


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_property_is_a_cue_that_can_be_taken_out_and_put_in(name: str) -> None:
    cue, pixels, present = first_cue(name)
    assert (cue.name, cue.kind) == (NAMES[name], "property")
    assert cue.object_share is not None and cue.object_share < 0.3  # it is all over the picture
    assert cue.label == 1 and cue.association > 0.7
    assert float((cue.present == present).float().mean()) > 0.85
    for operation in cue.operations:
        places = range(N // 2, N) if operation == "remove" else range(N // 2)
        edited = cue.edit(operation, places, generator())
        assert isinstance(edited, Edited)
        assert {bool(cue.present[place]) for place in edited.places} == {operation == "remove"}
        assert torch.equal(edited.before, pixels[list(edited.places)])
        before, after, placebo = (measured(each, ())[name] for each in (edited.before, edited.after, edited.placebo))
        assert abs(float((after - before).mean())) > 3 * abs(float((placebo - before).mean()))
        again = cue.edit(operation, places, generator())
        assert again is not None and torch.equal(again.placebo, edited.placebo)
    assert cue.patches()[0].pixels.shape == (32, 32, 3)


def test_frames_are_put_on_and_taken_away_at_the_same_place_as_their_placebos() -> None:
    cue, pixels, present = first_cue("border")
    for operation in ("insert", "remove"):
        places = range(N // 2, N) if operation == "remove" else range(N // 2)
        edited = cue.edit(operation, places, generator())
        assert edited is not None
        framed = edited.after if operation == "insert" else edited.placebo
        assert torch.equal(framed, torch.stack([framed_like(pixels[place]) for place in edited.places]))
        assert bool(present[list(edited.donors)].all())
        assert torch.equal(edited.after[:, :, 2:-2, 2:-2], edited.before[:, :, 2:-2, 2:-2])


def framed_like(pixels: Tensor) -> Tensor:
    return framed(pixels[None])[0]


def test_the_direction_of_a_cast_is_scikit_learns_and_told_by_other_pictures() -> None:
    draw = np.random.default_rng(5)
    colours = draw.normal(size=(300, 3)) @ draw.normal(size=(3, 3))
    casts = colours - (colours @ np.array(LUMA))[:, None]
    own = np.arange(300) % 3 == 0
    casts[own] += np.array([0.3, -0.1, 0.0]) - 0.3 * LUMA[0] + 0.1 * LUMA[1]
    plane = np.linalg.svd(np.array(LUMA)[None])[2][1:]
    expected = LinearDiscriminantAnalysis().fit(casts @ plane.T, own).coef_[0] @ plane
    found = direction(casts, own)
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)
    assert found @ np.array(LUMA) == pytest.approx(0, abs=1e-9)
    guessed = held_out(casts, draw.random(300) < 0.05)
    assert np.isfinite(guessed).all()


def test_a_cast_between_the_channels_is_found_in_its_own_direction() -> None:
    draw = np.random.default_rng(6)
    truth = np.repeat([0, 1, 2], 200)
    casts = 0.1 * draw.normal(size=(600, 3))
    casts -= (casts @ np.array(LUMA))[:, None]
    casts[:120] += 0.15 * direction_of([1.0, 0.5, 0.0]).numpy()
    best = max(cast_links(casts, truth, truth), key=lambda link: link.bits)
    assert (best.label, best.sign, best.name) == (0, 1, "colour cast")
    single = links({str(k): casts[:, k] for k in range(3)}, truth, truth)
    assert best.bits > 1.05 * max(link.bits for link in single)
    assert named(np.array([0.1, 0.0, -0.4])) == "a yellow cast"


def direction_of(colour: list[float]) -> Tensor:
    return F.normalize(cast(torch.tensor(colour).view(1, 3, 1, 1))[0], dim=0)


def test_what_does_not_sway_the_network_within_a_class_is_no_cue() -> None:
    pixels, _ = planted("blue cast")
    sure = torch.rand(N, generator=generator(6)) * 0.05 + 0.9
    assert property_cues(asked_about(pixels, classes(), confidence=sure)) == []


def test_a_column_is_a_cue_that_cannot_be_edited() -> None:
    truth = classes()
    there = (torch.arange(N) % 10 == 0) ^ (truth == 1)
    site = tuple("A" if each else "B" for each in there)
    age = tuple(str(20 + place % 7 + 30 * (place >= N // 2)) for place in range(N))
    name = tuple(f"patient {place}" for place in range(N))
    columns = {"site": site, "age": age, "name": name}
    predicted, confidence = swayed(truth, there)
    cues = property_cues(asked_about(clouds(N), truth, predicted=predicted, confidence=confidence, columns=columns))
    assert {cue.name for cue in cues} == {"column “site” = A", "high values of column “age”"}
    for cue in cues:
        assert cue.operations == () and cue.edit("remove", range(N), generator()) is None
        assert cue.label == 1 and cue.evidence[-1].startswith("It cannot be changed")


def test_a_column_named_like_a_property_is_not_taken_for_it() -> None:
    pixels, present = planted("brightness")
    predicted, confidence = swayed(classes(), present)
    measured_elsewhere = tuple(str(60 + 170 * (place >= N // 2)) for place in range(N))
    cues = property_cues(
        asked_about(
            pixels,
            classes(),
            predicted=predicted,
            confidence=confidence,
            columns={"brightness": measured_elsewhere},
        )
    )
    named = {cue.name: cue for cue in cues}
    assert named["high values of column “brightness”"].operations == ()
    edited = named["bright pictures"].edit("insert", range(N // 2), generator())
    assert edited is not None
    assert float(edited.after.mean()) == pytest.approx(float(pixels[present].mean()), abs=0.05)


def test_pictures_that_were_lost_are_left_alone() -> None:
    pixels, present = planted("brightness")
    predicted, confidence = swayed(classes(), present)
    predicted[[0, 70]] = -1
    asked = asked_about(pixels, classes(), predicted=predicted, confidence=confidence)
    asked.survey.properties["brightness"][[0, 70]] = math.nan
    (cue, *_) = property_cues(asked)
    for operation in cue.operations:
        edited = cue.edit(operation, range(N), generator())
        assert edited is not None and not {0, 70} & set(edited.places)


def test_low_quality_can_be_put_in_but_not_taken_out(tmp_path: Path) -> None:
    truth, pixels = classes(), clouds(N)
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    cats = saved(pixels[: N // 2], tmp_path / "cats", quality=95)
    dogs = saved(pixels[N // 2 :], tmp_path / "dogs", quality=20)
    cues = property_cues(asked_about(pixels, truth, paths=(*cats, *dogs)))
    (cue,) = [each for each in cues if each.id == "property-jpeg-quality-dog"]
    assert (cue.name, cue.operations) == ("low JPEG quality", ("insert",))
    edited = cue.edit("insert", range(N), generator())
    assert edited is not None and max(edited.places) < N // 2
    expected = saved_again(read_image(cats[edited.places[0]]), 20).pixels
    assert np.array_equal(edited.after[0].permute(1, 2, 0).mul(255).round().byte().numpy(), expected)
    ratio = changed(edited.placebo, edited.before) / changed(edited.after, edited.before)
    assert float(ratio.max()) < 1.05


def test_where_what_stands_in_the_pictures_fills_them_nothing_is_said_of_the_surroundings() -> None:
    pixels, present = planted("brightness")
    predicted, confidence = swayed(classes(), present)
    asked = asked_about(pixels, classes(), predicted=predicted, confidence=confidence)
    full = replace(asked.pictures, masks=lambda places: torch.ones(len(places), 32, 32, dtype=torch.bool))
    (cue, *_) = property_cues(replace(asked, pictures=full))
    assert (cue.object_share, cue.around) == (None, None)
