"""Properties against Pillow, scikit-image and scikit-learn; their cues where they were planted."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_up import asked_about, clouds
from PIL import Image as Pillow
from PIL import ImageFilter, ImageStat
from scipy import ndimage, stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from torch import Tensor

from cnnaudit.auditing.association import links, within_classes
from cnnaudit.auditing.casts import cast_links, direction, held_out, named
from cnnaudit.auditing.cues import Cue, Edited
from cnnaudit.auditing.frames import thickness, with_ring
from cnnaudit.auditing.measures import cast, sharpness
from cnnaudit.auditing.moving import (
    Mover,
    blurred,
    changed,
    move_brightness,
    move_contrast,
    move_saturation,
    move_sharpness,
    turned,
    unevenly,
)
from cnnaudit.auditing.properties import measured, property_cues
from cnnaudit.auditing.property_edits import Tinted, saved_again
from cnnaudit.auditing.together import together
from cnnaudit.data.images import read_image
from cnnaudit.data.resizing import LUMA

N = 120


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def saved(pixels: Tensor, folder: Path, **options: int) -> tuple[Path, ...]:
    paths = []
    for k, each in enumerate(pixels):
        paths.append(folder / f"{k}.{'jpg' if options else 'png'}")
        Pillow.fromarray(each.permute(1, 2, 0).mul(255).byte().numpy()).save(paths[-1], None, **options)
    return tuple(paths)


def framed(pixels: Tensor, rows: int = 2, value: float = 1.0) -> Tensor:
    inside = torch.zeros(pixels.shape[2:], dtype=torch.bool)
    inside[rows:-rows, rows:-rows] = True
    return torch.where(inside, pixels, torch.tensor(value))


# What is measured


def test_brightness_and_contrast_are_pillows() -> None:
    pixels = clouds(4).mul(255).round().div(255)
    found = measured(pixels, ())
    for k, each in enumerate(pixels):
        grey = ImageStat.Stat(Pillow.fromarray(each.permute(1, 2, 0).mul(255).round().byte().numpy()).convert("L"))
        assert float(found["brightness"][k]) * 255 == pytest.approx(grey.mean[0], abs=0.6)  # Pillow rounds each pixel
        assert float(found["contrast"][k]) * 255 == pytest.approx(grey.stddev[0], abs=0.6)


def test_sharpness_is_the_laplacians_and_falls_with_blur() -> None:
    grey = clouds(1, channels=1)
    inner = ndimage.laplace(grey[0, 0].numpy())[1:-1, 1:-1]
    assert float(sharpness(grey)) == pytest.approx(math.log(inner.var()), rel=1e-4)
    assert bool((sharpness(blurred(clouds(5), 1.0)) < sharpness(clouds(5))).all())


def test_a_cast_is_nothing_in_grey_and_names_the_channel_in_colour() -> None:
    assert cast(clouds(2, channels=1).expand(-1, 3, -1, -1)).abs().max() < 1e-6
    blue = torch.zeros(1, 3, 16, 16)
    blue[:, 2] = 0.5
    assert cast(blue)[0].tolist() == pytest.approx([-0.057, -0.057, 0.443], abs=1e-3)


def test_a_border_is_a_frame_of_one_colour_and_not_what_grows_at_the_sides() -> None:
    plain = clouds(20)
    grass = plain.clone()
    grass[:, :, -3:] = torch.rand(20, 3, 3, 32, generator=generator())
    cropped = framed(plain)
    cropped[:, :, :, :2], cropped[:, :, :, -2:] = plain[:, :, :, :2], plain[:, :, :, -2:]
    for rows, value in ((1, 1.0), (2, 0.0), (4, 1.0)):
        assert bool((measured(framed(plain, rows, value), ())["border"] > 0.1).all())
    assert bool((measured(cropped, ())["border"] > 0.1).all())
    assert bool((measured(torch.cat([plain, grass]), ())["border"] < 0.1).all())


def test_grey_pictures_have_no_colour_and_signals_no_sharpness() -> None:
    assert set(measured(clouds(2, channels=1), ())) == {"brightness", "contrast", "sharpness", "border"}
    signal = measured(torch.rand(2, 1, 1, 40), ())
    assert bool(signal["sharpness"].isnan().all()) and bool(signal["border"].isnan().all())
    assert bool(signal["brightness"].isfinite().all())


@pytest.mark.parametrize("quality", [5, 30, 75, 92])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int, tmp_path: Path) -> None:
    found = measured(clouds(1), saved(clouds(1), tmp_path, quality=quality))
    assert float(found["JPEG quality"]) == quality


def test_files_have_a_size_and_a_format(tmp_path: Path) -> None:
    paths = saved(clouds(1), tmp_path)
    lying = Pillow.new("RGB", (40, 20))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    lying.save(tmp_path / "turned.jpg", exif=exif)
    found = measured(clouds(3), (*paths, tmp_path / "turned.jpg", tmp_path / "missing.png"))
    assert found["height"].tolist()[:2] == [32, 40] and found["width"].tolist()[:2] == [32, 20]
    assert found["aspect ratio"].tolist()[:2] == [1, 0.5]
    assert float(found["bytes per pixel"][0]) == pytest.approx(math.log(paths[0].stat().st_size / 1024), rel=1e-5)
    assert bool(found["JPEG quality"].isnan()[[0, 2]].all()) and bool(found["height"].isnan()[2])


# What goes with a class


def test_areas_are_scikit_learns_and_bits_the_g_statistic() -> None:
    draw = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 100)
    column = np.round(draw.normal(size=300) + (truth == 1), 1)  # with ties
    column[:5] = np.nan
    (found,) = [link for link in links({"p": column}, truth, truth) if link.label == 1]
    known, own = np.isfinite(column), truth == 1
    assert found.area == pytest.approx(roc_auc_score(own[known], column[known]))
    table = [[(own & found.present)[known].sum(), (own & ~found.present)[known].sum()]]
    table += [[(~own & found.present)[known].sum(), (~own & ~found.present)[known].sum()]]
    g = float(np.asarray(stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")[0]))
    assert found.bits == pytest.approx(g / (2 * math.log(2)))
    assert found.sign == 1 and not found.present[:5].any()


def test_a_cue_in_a_twentieth_of_a_class_is_found() -> None:
    draw = np.random.default_rng(1)
    truth = np.repeat(np.arange(5), 200)
    column = draw.normal(size=1000)
    column[:10] += 8
    (found,) = links({"p": column}, truth, truth)
    assert (found.label, found.sign) == (0, 1) and found.area < 0.56
    assert found.present[:10].all() and found.present.sum() <= 12


def test_chance_makes_no_links() -> None:
    draw = np.random.default_rng(2)
    truth = np.repeat(np.arange(4), 100)
    found = [links({str(k): draw.normal(size=400) for k in range(10)}, truth, truth) for _ in range(20)]
    assert sum(map(bool, found)) <= 1


def test_few_pictures_of_a_class_settle_nothing() -> None:
    truth = np.repeat(np.arange(20), 5)
    assert links({"p": truth.astype(float)}, truth, truth) == []


def test_within_one_class_it_is_the_rank_sum_of_scipy() -> None:
    draw = np.random.default_rng(3)
    present, towards = draw.random(60) < 0.4, np.round(draw.random(60), 1)
    found = within_classes(present, np.ones(60, bool), towards)
    p = stats.mannwhitneyu(towards[present], towards[~present], method="asymptotic", use_continuity=False).pvalue
    assert found is not None and 2 * stats.norm.sf(abs(found)) == pytest.approx(p)
    assert within_classes(np.ones(60, bool), np.ones(60, bool), towards) is None


def test_all_properties_together_are_held_out() -> None:
    draw = np.random.default_rng(4)
    truth = np.repeat([0, 1], 300)
    noise = {str(k): draw.normal(size=600) for k in range(8)}
    guessed, told = together(noise, truth, 0), together(noise | {"cue": truth + 0.7 * draw.normal(size=600)}, truth, 0)
    assert guessed is not None and told is not None
    assert guessed.accuracy == pytest.approx(0.5, abs=0.06) and guessed.useful == ()
    assert told.accuracy == pytest.approx(stats.norm.cdf(0.5 / 0.7), abs=0.04)  # of the best threshold there is
    assert told.useful == ("cue",)
    assert together({"p": truth.astype(float)}, np.arange(600), 0) is None


# How it is changed

MOVES: dict[str, tuple[Mover, tuple[float, float]]] = {
    "brightness": (move_brightness, (0.35, 0.65)),
    "contrast": (move_contrast, (0.05, 0.14)),
    "saturation": (move_saturation, (0.1, 0.3)),
    "sharpness": (move_sharpness, (-8.5, -5.0)),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("up", [0, 1])
def test_a_property_is_moved_and_its_placebo_changes_as_much_but_not_the_property(name: str, up: int) -> None:
    pixels, (move, targets) = clouds(12), MOVES[name]
    after, placebo = move(pixels, targets[up], generator())
    values = [measured(each, ())[name] for each in (pixels, after, placebo)]
    wanted = targets[up] - values[0]
    assert float((values[1] - targets[up]).abs().mean()) < 0.15 * float(wanted.abs().mean())
    if (name, up) != ("sharpness", 1):  # nothing that leaves a picture as soft is as much as what sharpens it
        assert float((values[2] - values[0]).abs().mean()) < 0.25 * float(wanted.abs().mean())
    ratio = changed(placebo, pixels) / changed(after, pixels)
    assert bool(((ratio > 0.85) & (ratio < 1.05)).all())
    for each in (after, placebo):
        assert 0 <= float(each.min()) <= float(each.max()) <= 1


def test_placebos_of_colour_change_as_much_one_without_it_and_one_that_leaves_it() -> None:
    pixels = clouds(12).mul(0.5).add(0.25)
    tint = torch.tensor([0.12, 0.06, -0.1]).view(3, 1, 1)
    after, away = pixels + tint, F.normalize(cast(tint[None])[0], dim=0)
    without, with_it = turned(pixels, after, generator()), unevenly(pixels, after, generator())
    assert bool((cast(without) @ away - cast(pixels) @ away).abs().max() < 0.01)
    assert torch.allclose(measured(without, ())["brightness"], measured(after, ())["brightness"], atol=0.02)
    assert bool((with_it.mean((2, 3)) - pixels.mean((2, 3))).abs().max() < 0.03)
    for placebo in (without, with_it):
        assert torch.allclose(changed(placebo, pixels), changed(after, pixels), rtol=0.05)


def test_a_tint_that_is_mixed_in_is_mixed_into_others_and_taken_out_again() -> None:
    clean, tint = clouds(80, seed=1), torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    present = torch.arange(80) < 40
    mixed = torch.where(present.view(-1, 1, 1, 1), 0.7 * clean + 0.3 * tint, clean)
    edit = Tinted.of(asked_about(mixed, torch.arange(80) % 2), present, range(40), range(40, 80))
    put, taken = edit("insert", range(40, 80), generator()), edit("remove", range(40), generator())
    assert put is not None and taken is not None
    assert float((put.after - (0.7 * clean[40:] + 0.3 * tint)).abs().mean()) < 0.03
    assert float((taken.after - clean[:40]).abs().mean()) < 0.03
    assert put.places == tuple(range(40, 80)) and taken.places == tuple(range(40))


def test_a_blur_is_pillows() -> None:
    pixels = clouds(1)
    image = Pillow.fromarray(pixels[0].permute(1, 2, 0).mul(255).round().byte().numpy())
    expected = np.asarray(image.filter(ImageFilter.GaussianBlur(1.5))) / 255
    inner = np.s_[6:-6, 6:-6]
    assert np.abs(blurred(pixels, 1.5)[0].permute(1, 2, 0).numpy()[inner] - expected[inner]).max() < 0.02


def test_a_frame_is_measured_and_put_on() -> None:
    plain = clouds(6)
    white = framed(plain, 3)
    assert thickness(white).tolist() == [[3, 3, 3, 3]] * 6
    for k in range(6):
        assert torch.equal(with_ring(plain[k : k + 1], white[:1], (3, 3, 3, 3)), framed(plain[k : k + 1], 3))


# Cues


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
    assert {cue.name for cue in cues} == {"site = A", "high age"}
    for cue in cues:
        assert cue.operations == () and cue.edit("remove", range(N), generator()) is None
        assert cue.label == 1 and cue.evidence[-1].startswith("It cannot be changed")


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
