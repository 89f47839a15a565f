"""What a network is inspected on: whose classes, which photo, which pixels."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnaudit import Classifier, from_array
from cnnaudit.data import datasets
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import DataError, ImageError, NotApplicableError, OptionError
from cnnaudit.inspecting.material import Material, material

sys.path.append(str(Path(__file__).parents[1] / "training"))
import toys


def classifier(
    labels: tuple[str, ...] = toys.LABELS, *, size: tuple[int, int] = (8, 8), channels: int = 1
) -> Classifier:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(labels)))
    return Classifier(network, input_size=size, labels=labels, channels=channels)


def found(asked: Classifier, data: object = None, photo: object = None, root: Path | None = None) -> Material:
    return material(asked, data, photo, data_root=root, seed=0, drawn=None)  # type: ignore[arg-type]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(toys.dataset()))


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return path


def test_without_anything_there_is_nothing() -> None:
    nothing = found(classifier())
    assert (nothing.name, nothing.part, nothing.photo, nothing.image) == (None, None, None, None)
    with pytest.raises(NotApplicableError, match="--data"):
        nothing.pixels(3, classifier())


def test_a_dataset_s_test_counts_and_its_first_picture_is_the_photo(toy: None) -> None:
    asked = classifier()
    got, test = found(asked, "toy"), toys.split(60, 2)
    assert isinstance(got.part, Split) and torch.equal(got.part.images, test.images)
    assert got.labelled and got.name == "toy"
    assert got.photo is not None and torch.equal(got.photo, test.images[:1] / 255)
    assert got.image is not None and got.image.name == "the first picture of toy"
    assert torch.equal(got.pixels(2, asked), test.images[[0, 59]] / 255)
    assert len(got.pixels(1000, asked)) == 60


def test_a_dataset_comes_at_the_network_s_size_and_with_its_channels(toy: None) -> None:
    part = found(classifier(size=(6, 5), channels=3), "toy").part
    assert part is not None and part.shape == (3, 6, 5)


def test_classes_are_the_network_s_by_their_names(toy: None) -> None:
    got = found(classifier(("four", "three", "two", "one", "zero")), "toy")
    assert got.labelled and got.part is not None
    assert got.part.labels.tolist()[:4] == [3, 2, 1, 0]


def test_as_many_classes_of_other_names_are_taken_in_their_order(toy: None) -> None:
    got = found(classifier(("a", "b", "c", "d")), "toy")
    assert got.labelled and got.part is not None and got.part.labels.tolist()[:4] == [0, 1, 2, 3]


def test_classes_that_are_not_the_network_s_are_left_out_and_it_is_said(toy: None) -> None:
    got = found(classifier(("a", "b", "c")), "toy")
    assert not got.labelled
    assert "the classes of toy are not the network's" in got.notes[-1]


@pytest.mark.parametrize("how", ["{}", "folder:{}"])
def test_a_folder_of_photos_has_the_classes_that_its_names_say(tmp_path: Path, how: str) -> None:
    for place, name in enumerate(("one-1.png", "two-1.png")):
        save(tmp_path / name, place)
    got = found(classifier(channels=3), how.format(tmp_path))
    assert got.labelled and got.part is not None
    assert got.part.labels.tolist() == [0, 1]
    assert [path.name for path in got.paths] == ["one-1.png", "two-1.png"]
    assert got.image is not None and got.image.name == "one-1.png"


def test_the_name_of_a_dataset_is_no_folder(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "toy" / "one-1.png")
    monkeypatch.chdir(tmp_path)
    assert len(found(classifier(), "toy").part or ()) == 60


def test_a_photo_that_is_given_is_the_one(toy: None, tmp_path: Path) -> None:
    path = save(tmp_path / "mine.png")
    got = found(classifier(), "toy", path)
    assert got.image is not None and got.image.name == "mine.png"
    array = from_array(np.zeros((8, 8, 1), np.uint8), name="black")
    assert found(classifier(), photo=array).image == array.facts


def test_parts_and_datasets_are_taken_as_they_are() -> None:
    asked, data = classifier(), toys.dataset(streamed=True)
    whole, part = found(asked, data), found(asked, data.train)
    assert whole.name == "toy" and isinstance(whole.part, Files) and whole.labelled
    assert part.part is data.train and part.labelled
    unknown = Split(toys.split(4, 0).images, torch.full((4,), -1))
    assert not found(asked, unknown).labelled


def test_the_first_of_several_tests_is_named() -> None:
    data: Dataset = toys.dataset()
    data = replace(data, tests={"easy": data.tests["test"], "hard": data.validation})
    assert found(classifier(), data).name == "toy, test 'easy'"


@pytest.mark.parametrize(
    ("data", "photo", "error", "words"),
    [
        ("toi", None, OptionError, "There is no dataset 'toi'"),
        ("folder:/no/such/folder", None, DataError, "no such folder"),
        (
            Split(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long)),
            None,
            OptionError,
            "0 pictures of 1 channels",
        ),
        (None, "/no/such/photo.png", ImageError, "photo.png"),
    ],
)
def test_what_is_not_there_is_said(data: object, photo: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        found(classifier(), data, photo)
