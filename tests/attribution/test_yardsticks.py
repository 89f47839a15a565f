"""The two maps that explain nothing."""

import numpy as np
import pytest
import torch
from networks import classifier, picture
from scipy import ndimage, stats

from cnnaudit import explain


@pytest.mark.parametrize("architecture", ["in_place", "convnext"])
def test_edges_are_scipys_sobel(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    grey = x[0].mean(0).double().numpy()
    expected = np.hypot(ndimage.sobel(grey, 0, mode="nearest"), ndimage.sobel(grey, 1, mode="nearest")) / 8
    np.testing.assert_allclose(explain(clf, x, method="edges").heatmap.numpy(), expected, atol=1e-6)


def test_edges_of_a_ramp_are_its_slope() -> None:
    ramp = torch.linspace(0, 1, 40).expand(1, 3, 32, 40)
    heatmap = explain(classifier("in_place"), ramp, method="edges").heatmap
    torch.testing.assert_close(heatmap[:, 1:-1], torch.full((32, 38), 1 / 39))


def test_noise_is_uniform_and_knows_nothing_of_the_network() -> None:
    x = picture((64, 64))
    noise = explain(classifier("resnet"), x, method="random").heatmap
    assert stats.kstest(noise.flatten().numpy(), "uniform").pvalue > 0.01
    assert torch.equal(noise, explain(classifier("mobilenet_v2"), x, method="random").heatmap)
    assert not torch.equal(noise, explain(classifier("resnet"), picture((64, 64), seed=2), method="random").heatmap)
