"""The first convolution's start, against the definition of whitening and against numpy's covariances."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnaudit.models import vgg
from cnnaudit.models.whitening import whiten


def pictures(n=300, channels=2, size=12):
    """Noise smoothed along both sides, so that patches vary far more in some directions than in others."""
    noise = torch.randn(n, channels, size + 2, size + 2, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, 1)


def test_what_whitening_filters_hand_on_is_uncorrelated_and_equally_strong():
    convolution = nn.Conv2d(2, 36, 3, bias=False)
    given = 20 * pictures()
    whiten(convolution, given)
    with torch.no_grad():
        answers = convolution(given)[:, :18].permute(1, 0, 2, 3).flatten(1).double()
    np.testing.assert_allclose((answers @ answers.T / answers.shape[1]).numpy(), np.eye(18), atol=0.02)
    torch.testing.assert_close(convolution.weight[18:], -convolution.weight[:18])


def test_the_strongest_directions_come_first_and_filters_too_many_stay():
    given = pictures()
    patches = given.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 18).double().numpy()
    powers = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    few, many = nn.Conv2d(2, 7, 3), nn.Conv2d(2, 40, 3)
    before = many.weight.detach().clone()
    whiten(few, given)
    whiten(many, given)
    norms = few.weight.detach()[:3].flatten(1).double().norm(dim=1).numpy()
    np.testing.assert_allclose(norms, 1 / np.sqrt(powers[:3] + 5e-4), rtol=1e-4)
    torch.testing.assert_close(few.weight[3:6], -few.weight[:3])
    torch.testing.assert_close(many.weight[:3], few.weight[:3])
    assert torch.equal(many.weight[36:], before[36:])


def test_pictures_of_one_colour_give_finite_filters():
    convolution = nn.Conv2d(2, 8, 3)
    whiten(convolution, torch.zeros(4, 2, 5, 5))
    assert bool(convolution.weight.isfinite().all())


@pytest.mark.parametrize("size", [8, 32])
def test_vgg8_begins_by_whitening(size):
    network = vgg.vgg8(channels=2, size=(size, size))
    given = pictures(size=size)
    expected = nn.Conv2d(2, 32, 3)
    whiten(expected, given)
    vgg.begin(network, given)
    torch.testing.assert_close(network[0].weight[:32], expected.weight[:32])
