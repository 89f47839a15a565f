"""Pictures of a folder, and the classes that their names tell."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnaudit import Classifier
from cnnaudit.data.photos import UNKNOWN, View, photos
from cnnaudit.data.splits import Files
from cnnaudit.errors import DataError, OptionError

LABELS = ("husky", "grey wolf", "crane", "crane", "fox")
VIEW = View((8, 6), 9, "bilinear", 3)


def write(folder: Path, *names: str) -> None:
    rng = np.random.default_rng(len(names))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("husky.png", 0),
        ("Husky-17.png", 0),
        ("husky (3).png", 0),
        ("n02114367_grey_wolf.png", 1),
        ("grey wolf/a.png", 1),
        ("Grey-Wolf/husky.png", 1),
    ],
)
def test_a_name_tells_the_class(tmp_path: Path, name: str, label: int) -> None:
    write(tmp_path, name)
    found = photos(tmp_path, VIEW, LABELS)
    assert found.part.labels.tolist() == [label]
    assert found.labelled


@pytest.mark.parametrize("name", ["crane.png", "IMG_0001.png", "arctic fox.png"])
def test_a_name_that_says_nothing_or_two_things_leaves_the_class_open(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    found = photos(tmp_path, VIEW, LABELS)
    assert found.part.labels.tolist() == [UNKNOWN]
    assert not found.labelled
    assert found.notes == ()


def test_a_few_unknown_ones_are_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, *(f"fox-{k}.png" for k in range(9)), "what.png")
    found = photos(tmp_path, VIEW, LABELS)
    assert [path.name for path in found.paths] == [f"fox-{k}.png" for k in range(9)]
    assert found.notes == ("1 picture is left out, no class in the name: what.png",)


def test_as_many_folders_as_labels_are_the_classes_in_sorted_order(tmp_path: Path) -> None:
    write(tmp_path, "c/1.png", "a/1.png", "b/1.png", "b/2.png")
    found = photos(tmp_path, VIEW, ("x", "y", "z"))
    assert found.part.labels.tolist() == [0, 1, 1, 2]


def test_what_training_did_not_see_is_taken_where_there_is_such_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "train/fox/1.png", "val/fox/2.png")
    assert [path.name for path in photos(tmp_path, VIEW, LABELS).paths] == ["2.png"]
    write(tmp_path, "test/fox/3.png")
    assert [path.name for path in photos(tmp_path, VIEW, LABELS).paths] == ["3.png"]


def test_pixels_are_those_that_the_network_is_given_in_memory_or_not(tmp_path: Path) -> None:
    write(tmp_path, "fox-1.png", "fox-2.png")
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    from cnnaudit import read_image

    classifier = Classifier(network, input_size=(8, 6), resize_size=9, labels=LABELS, channels=3)
    expected = [(classifier.prepare(read_image(path)) * 255)[0] for path in sorted(tmp_path.iterdir())]
    held = photos(tmp_path, VIEW, LABELS).part
    streamed = photos(tmp_path, VIEW, LABELS, memory=100).part
    assert isinstance(streamed, Files)
    for place, pixels in enumerate(expected):
        assert torch.equal(held.images[place].float(), pixels.round())  # pyright: ignore[reportAttributeAccessIssue]
        assert torch.equal(streamed[place].float(), pixels.round())


@pytest.mark.parametrize("memory", [1 << 30, 10])
def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path, memory: int) -> None:
    write(tmp_path, "fox-1.png", "fox-2.png")
    (tmp_path / "fox-3.png").write_bytes(b"no picture")
    found = photos(tmp_path, VIEW, LABELS, memory=memory)
    assert len(found.part) == len(found.paths) == 2
    assert [path.name for path, _ in found.unread] == ["fox-3.png"]
    (tmp_path / "fox-1.png").unlink()
    (tmp_path / "fox-2.png").unlink()
    with pytest.raises(DataError, match=r"none of its 1 pictures .*fox-3\.png: found text"):
        photos(tmp_path, VIEW, LABELS, memory=memory)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="holds no picture"):
        photos(tmp_path, VIEW, LABELS)
