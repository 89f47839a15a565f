"""Pictures, their classes and units as they are asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import cnnaudit as ca
from cnnaudit import inspection
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import DataError, OptionError
from cnnaudit.inspecting.material import pictures as material
from cnnaudit.inspection import photo_sets
from tests.inspection.small_networks import SIZE, Small, classifier, noise


def test_pixels_of_several_sizes() -> None:
    with pytest.raises(OptionError, match="2 sizes"):
        inspection.exemplars(classifier(Small()), [noise(1), torch.rand(1, 1, 12, 12)])


@pytest.mark.parametrize(
    "ask", [inspection.exemplars, inspection.dead_units, inspection.ablation, inspection.embedding]
)
def test_no_pixels(ask: Callable[[ca.Classifier, Tensor], object]) -> None:
    with pytest.raises(DataError, match="no picture"):
        ask(classifier(Small()), noise(0))


def test_units_of_any_whole_numbers() -> None:
    clf = classifier(Small())
    found = inspection.exemplars(clf, noise(), layers=["act"], units=np.int64(2))  # pyright: ignore[reportArgumentType]
    assert len(found.layers[0].units) == 2
    assert [u.unit for u in inspection.ablation(clf, noise(), layer="act", units=list(np.array([3]))).units] == [3]


@pytest.mark.parametrize("units", [[1.5], [True], 1.5, "2", [None], True, 0])
def test_units_that_are_none(units: Any) -> None:
    for ask in (
        lambda: inspection.exemplars(classifier(Small()), noise(), layers=["act"], units=units),
        lambda: inspection.ablation(classifier(Small()), noise(), layer="act", units=units),
    ):
        with pytest.raises(OptionError, match="units is"):
            ask()


def test_classes_that_read_alike_stay_two() -> None:
    labels = ("crane", "crane", "dog")
    clf, pixels = classifier(Small(), labels=labels), noise(12)
    truth = torch.tensor([0, 1, 2] * 4)
    part = Split((pixels * 255).byte(), truth)
    data = Dataset("toy", labels, part, part, {"test": part}, (0.0,), (1.0,), ())
    relabelled = material(clf, data, data_root=None, seed=0, drawn=None).part
    assert relabelled is not None
    assert relabelled.labels.tolist() == truth.tolist()
    answers = clf.scores((pixels * 255).byte().float() / 255).argmax(1)
    mistakes = inspection.embedding(clf, data).mistakes
    assert mistakes == tuple((answers != truth).tolist())
    assert photo_sets.own_classes(clf, ("dog",)) == [2]
    assert photo_sets.own_classes(clf, ("dog", "crane")) is None


def test_pictures_of_other_classes_are_not_held() -> None:
    """Only a batch of them is read at a time."""
    read: list[int] = []

    def image(place: int) -> Tensor:
        read.append(place)
        return (noise(1)[0] * 255).byte()

    clf = classifier(Small())
    found = material(clf, Files(torch.full((20,), 7), (1, SIZE, SIZE), image), data_root=None, seed=0, drawn=None)
    assert read == []
    assert found.photos is not None
    assert photo_sets.photo_set(clf, found.photos).truth is None
    assert inspection.exemplars(clf, found.photos, layers=["act"]).pictures == 20


def test_a_group_of_units_is_a_list() -> None:
    with pytest.raises(OptionError, match="list of channels"):
        inspection.ablation(classifier(Small()), noise(), layer="act", groups=[2])  # pyright: ignore[reportArgumentType]
