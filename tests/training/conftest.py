"""The toy dataset, under the name "toy"."""

import pytest
import toys

from cnnaudit.data import datasets


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(toys.dataset()))


@pytest.fixture
def moving_toy(monkeypatch):
    """Its pictures are cropped and mirrored, so that every step draws random numbers."""
    made = toys.dataset(augmentation=("crop", "flip"))
    monkeypatch.setitem(datasets.DATASETS, "toy", toys.source(made))
