"""Segments and what takes their place: numbering, the caller's own, fills, and what is refused."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import MEAN, STD, classifier, picture
from PIL import Image as PILImage
from sklearn.datasets import load_digits
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.query import Query
from cnnaudit.attribution.segments import Regions, Segmentation, grid, hidden_by, segmented
from cnnaudit.errors import NotApplicableError, OptionError
from cnnaudit.fills import filled


def found(x: Tensor, segmentation: Segmentation, segments: int) -> Regions:
    return segmented(x, segmentation=segmentation, segments=segments, compactness=10.0, regions=None, seed=0)


def slic(x: Tensor, segments: int) -> Tensor:
    return found(x, "slic", segments).labels


class Corner(nn.Module):
    """The first pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, 0, 0], -x[:, 0, 0, 0]], 1)


@pytest.mark.parametrize("segmentation", ["slic", "quickshift", "felzenszwalb", "grid"])
@pytest.mark.parametrize("size", [(16, 16), (32, 40), (64, 24)])
@pytest.mark.parametrize("segments", [2, 9, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_segments_are_numbered_from_zero_without_a_gap(
    segmentation: Segmentation, size: tuple[int, int], segments: int, channels: int
) -> None:
    labels = found(picture(size, channels), segmentation, segments).labels
    assert labels.shape == size
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


@pytest.mark.parametrize("segmentation", ["slic", "quickshift", "felzenszwalb", "grid"])
def test_a_digit_has_more_than_a_few_segments(segmentation: Segmentation) -> None:
    digit = torch.from_numpy(load_digits().images[3] / 16).float()[None, None]
    digit = nn.functional.interpolate(digit, (28, 28), mode="bilinear")
    assert 8 <= found(digit, segmentation, 40).count <= 60


@pytest.mark.parametrize("segmentation", ["slic", "quickshift", "felzenszwalb", "grid"])
@pytest.mark.parametrize("number", range(4))
def test_a_count_far_from_what_was_asked_is_said(segmentation: Segmentation, number: int) -> None:
    """A digit with sharp edges, as scanned ones have."""
    digit = torch.from_numpy(load_digits().images[number] > 7).float()[None, None]
    digit = nn.functional.pad(nn.functional.interpolate(digit, (20, 20)), (4, 4, 4, 4))
    regions = found(digit, segmentation, 40)
    note = f"{segmentation} finds {regions.count} segments in this picture; about 40 were asked for."
    assert regions.notes == (() if 20 <= regions.count <= 80 else (note,))


def test_quickshift_gets_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It only breaks ties by it, so that the answer hardly ever shows it."""
    seeds: list[int] = []

    def quickshift(image: np.ndarray, *, kernel_size: float, max_dist: float, ratio: float, rng: int) -> np.ndarray:
        seeds.append(rng)
        return np.arange(image[..., 0].size).reshape(image.shape[:2]) % 9

    monkeypatch.setattr("skimage.segmentation.quickshift", quickshift)
    for seed in (0, 7):
        options = {"segmentation": "quickshift", "samples": 20}
        explain(classifier("in_place"), picture((32, 40)), method="lime", options=options, seed=seed)
    assert seeds == [0, 7]


@pytest.mark.parametrize("seed", [-1, 2**31, 2**32 - 1, 2**63 + 1])
def test_quickshift_takes_any_seed(seed: int) -> None:
    x = picture((32, 40))
    given = segmented(x, segmentation="quickshift", segments=9, compactness=10.0, regions=None, seed=seed)
    assert given.labels.shape == (32, 40)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_own_segments_are_numbered_anew(kind: Callable[[np.ndarray], object]) -> None:
    labels = np.array([[7, 7, -2], [30, 7, -2]])
    why = explain(
        Classifier(Corner(), input_size=(2, 3)), picture((2, 3)), method="lime", options={"regions": kind(labels)}
    )
    assert why.facts["segments"] == 3
    assert len(why.heatmap.unique()) <= 3 and why.heatmap[0, 0] == why.heatmap[1, 1]
    assert "2 × 3 numbers" in why.report().html() and "2 × 3 numbers" in why.report().json()


@pytest.mark.parametrize("labels", [np.zeros((2, 3)), np.zeros((3, 2), int), np.zeros((1, 2, 3), int)])
def test_own_segments_that_do_not_fit_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="2 x 3"):
        explain(Classifier(Corner(), input_size=(2, 3)), picture((2, 3)), method="lime", options={"regions": labels})


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32, torch.complex64])
def test_numbers_that_are_not_whole_are_refused_by_their_kind(kind: torch.dtype) -> None:
    with pytest.raises(OptionError, match=f"whole numbers.*got {kind}"):
        explain(
            Classifier(Corner(), input_size=(2, 3)), picture((2, 3)), method="lime",
            options={"regions": torch.zeros(2, 3, dtype=kind)},
        )  # fmt: skip


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "sufficient"])
def test_a_segment_for_every_pixel_is_too_many_for_few_samples(method: str) -> None:
    clf = Classifier(Corner(), input_size=(40, 40))
    options = {"regions": torch.arange(1600).view(40, 40), "samples": 300}
    with pytest.raises(OptionError, match=r"1,600 segments are too many for 300 samples.*400 samples"):
        explain(clf, torch.rand(1, 3, 40, 40), method=method, options=options)


LABELS = np.array([[7, 7, 2], [30, 7, 2]])


def saved(folder: Path, kind: str) -> Path:
    path = folder / f"labels {kind}{'.npy' if kind == 'npy' else '.png'}"
    if kind == "npy":
        np.save(path, LABELS)
        return path
    made = PILImage.fromarray(LABELS.astype(np.uint16 if kind == "I;16" else np.uint8))
    if kind == "P":
        made.putpalette(bytes(range(256)) * 3)
    made.save(path)
    return path


@pytest.mark.parametrize("kind", ["npy", "L", "P", "I;16"])
@pytest.mark.parametrize("text", [True, False])
def test_own_segments_may_be_a_file(kind: str, text: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, kind)
    with PILImage.open(path) if kind != "npy" else nullcontext() as made:
        assert made is None or made.mode == kind
    clf, x = Classifier(Corner(), input_size=(2, 3)), picture((2, 3))
    given, direct = (
        explain(clf, x, method="lime", options={"regions": regions})
        for regions in (str(path) if text else path, LABELS)
    )
    assert torch.equal(given.heatmap, direct.heatmap) and given.facts["segments"] == 3
    assert path.name in given.report().json()


def test_files_that_are_no_label_image_of_the_pictures_size_are_refused(tmp_path: Path) -> None:
    def refusal(regions: object) -> str:
        with pytest.raises(OptionError) as caught:
            explain(
                Classifier(Corner(), input_size=(2, 3)), picture((2, 3)), method="lime", options={"regions": regions}
            )
        return str(caught.value)

    assert "no such file" in refusal(str(tmp_path / "none.png"))
    assert ".npy or .png" in refusal(str(tmp_path)) and ".npy or .png" in refusal("labels.tif")
    PILImage.new("RGB", (3, 2)).save(tmp_path / "colour.png")
    assert "in colour (RGB)" in refusal(tmp_path / "colour.png")
    PILImage.new("L", (640, 480)).save(tmp_path / "photo.png")
    assert "480 x 640; regions takes one number a pixel, 2 x 3" in refusal(tmp_path / "photo.png")
    np.save(tmp_path / "half.npy", np.zeros((2, 3)))
    assert "got float64 of shape (2, 3)" in refusal(tmp_path / "half.npy")
    np.save(tmp_path / "objects.npy", np.array([[None] * 3] * 2), allow_pickle=True)
    for name in ("broken.png", "broken.npy"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    for name in ("broken.png", "broken.npy", "objects.npy"):
        assert "cannot be read as a label image" in refusal(tmp_path / name)


def test_inpainting_a_plane_gives_the_plane() -> None:
    """On a plane of colour the smoothest surface that meets its surroundings is the plane itself."""
    down, across = torch.meshgrid(torch.linspace(0, 0.4, 12), torch.linspace(0, 0.5, 15), indexing="ij")
    x = (0.1 + down + across)[None, None]
    labels = torch.ones(12, 15, dtype=torch.int64)
    labels[3:8, 4:11] = 0
    query = Query(Classifier(Corner(), input_size=(12, 15), channels=1), x, None)  # type: ignore[arg-type]
    hidden = hidden_by(query, Regions(labels, 2), "inpaint")
    torch.testing.assert_close(hidden[0, 0][labels == 0], x[0, 0][labels == 0])


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (3, 50), (1, 2)])
def test_a_grid_is_complete_and_nearly_even(size: tuple[int, int]) -> None:
    regions = grid(torch.zeros(1, 3, *size), 12)
    counts = torch.bincount(regions.flatten())
    assert regions.shape == size and 2 <= len(counts) <= 16
    assert counts.min() > 0 and counts.max() <= 4 * counts.min()


def test_noise_in_which_slic_sees_one_segment_falls_back_to_a_grid() -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert "grid" in found(x, "slic", 4).notes[0]
    clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), input_size=(64, 64))
    why = explain(clf, x, method="lime", options={"segments": 4, "samples": 20})
    assert why.facts["segments"] == 4 and "grid" in why.notes[0]
    assert len(why.heatmap.unique()) == 4


def test_one_segment_cannot_be_compared() -> None:
    clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), input_size=(1, 1), mean=MEAN, std=STD)
    with pytest.raises(NotApplicableError, match="one segment"):
        explain(clf, torch.full((1, 3, 1, 1), 0.3), method="lime")


@pytest.mark.parametrize("fill", ["black", "grey", "white", "mean", "blur"])
@pytest.mark.parametrize("size", [(32, 40), (5, 60), (1, 7), (1, 1)])
def test_fills(fill: str, size: tuple[int, int]) -> None:
    x = picture((max(size[0], 2), max(size[1], 2)))[:, :, : size[0], : size[1]]
    nothing = filled(x, fill)  # type: ignore[arg-type]
    assert nothing.shape == x.shape
    assert nothing.min() >= 0
    assert nothing.max() <= 1
    level = {"black": 0.0, "grey": 0.5, "white": 1.0}.get(fill)
    if level is not None:
        assert bool((nothing == level).all())
    elif fill == "mean":
        torch.testing.assert_close(nothing, x.mean((2, 3), keepdim=True).expand_as(x))
    else:
        assert nothing.std() <= x.std() or x.numel() == 3
