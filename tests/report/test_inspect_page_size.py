"""A page of a large network stays small enough to be sent."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_inspect_page import changed
from torchvision.models import vgg16

from cnnaudit import Classifier
from cnnaudit.inspection import activations, blocks, exemplars, filters, summarize, walkthrough
from cnnaudit.results import Visualization, Visualizations

LIMIT = 5_000_000  # bytes


def made(number: int) -> Visualization:
    """A picture of pure noise, which no format makes small."""
    pixels = np.random.default_rng(number).random((3, 128, 128), np.float32)
    layer = f"features.{number // 4}"
    return Visualization(f"{layer}, channel {number}", layer, number, 0, pixels, activation=1.0, start=0.0, best=0.5)


@pytest.mark.slow
def test_a_page_of_a_large_network_with_pictures_of_noise_is_below_five_megabytes() -> None:
    torch.manual_seed(0)
    clf = Classifier(vgg16(weights=None), input_size=(224, 224), channels=3, name="vgg16")
    pictures = torch.rand(6, 3, 224, 224)
    shown = {
        "architecture": summarize(clf),
        "blocks": blocks(clf),
        "filters": filters(clf),
        "activations": activations(clf, pictures[:1]),
        "exemplars": exemplars(clf, pictures),
        "feature_visualization": Visualizations(tuple(map(made, range(24))), steps=96, copies=1, diversity=0.0),
        "walkthrough": walkthrough(clf, pictures[:1]),
    }
    report = changed(**shown)
    page = replace(report, model=replace(report.model, name="vgg16", input_size=(224, 224))).html()
    assert 1_000_000 < len(page.encode()) < LIMIT
