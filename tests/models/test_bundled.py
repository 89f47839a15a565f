"""Each checkpoint that comes with the package is small, complete, and does what its card says."""

import os
from pathlib import Path

import pytest
import torch

from cnnaudit import checkpoints, loading
from cnnaudit.data.datasets import Request, dataset
from cnnaudit.errors import DataError
from cnnaudit.models import ARCHITECTURES, BUNDLED

DATA = Path(os.environ.get("CNNAUDIT_TEST_DATA", Path(__file__).parents[3] / "shared")) / "data"


@pytest.mark.parametrize("name", BUNDLED)
def test_a_checkpoint_is_small_and_complete(name):
    path = BUNDLED[name]
    assert path.stat().st_size < 5_000_000
    card = checkpoints.read_card(path)
    assert card is not None
    assert card.architecture in ARCHITECTURES
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}: ")
    assert card.training["command"] in text
    for accuracy in card.training["test_accuracy"].values():
        assert f"{accuracy:.1%}" in text or f"{accuracy:.2%}" in text


@pytest.mark.parametrize(
    ("name", "data", "bar"),
    [("mnist", "mnist", 0.99)],
)
def test_accuracy_on_the_real_test_pictures(name, data, bar):
    """All 10,000, through the classifier as a user has it."""
    try:
        test = dataset(data, Request(root=DATA, download=False)).tests["test"]
    except DataError as error:
        pytest.skip(str(error))
    classifier = loading.load(name, device="cpu")
    right = 0
    for images, labels in zip(test.images.split(500), test.labels.split(500), strict=True):
        right += int((classifier.scores(images.float() / 255).argmax(1) == labels).sum())
    card = checkpoints.read_card(BUNDLED[name])
    assert card is not None
    assert right / 10_000 >= bar
    assert right / 10_000 == pytest.approx(card.training["test_accuracy"]["test"], abs=2e-4)


def test_any_photo_is_taken_by_any_bundled_model():
    for name in BUNDLED:
        classifier = loading.load(name, device="cpu")
        scores = classifier.scores(torch.rand(2, classifier.channels, *classifier.input_size))
        assert bool(torch.isfinite(scores).all())
        assert scores.shape == (2, len(classifier.labels))
