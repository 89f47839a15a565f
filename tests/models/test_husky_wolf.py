"""The bundled checkpoints do what their cards say."""

import pytest
import torch

from cnnaudit import loading
from cnnaudit.data import scenes
from cnnaudit.models.husky_wolf import husky_wolf

HUSKIES = ("husky-wolf", "husky-wolf-fair")
FRESH = 20160813
"""A series that nothing was trained or measured on."""


def _accuracy(name, *, correlation, n):
    classifier = loading.load(name)
    right = 0
    drawn = list(scenes.generate(n, correlation=correlation, seed=FRESH))
    for k in range(0, n, 200):
        batch = drawn[k : k + 200]
        chosen = classifier.scores(torch.stack([scene.pixels for scene in batch])).argmax(1)
        right += sum(classifier.labels[int(c)] == scene.label for c, scene in zip(chosen, batch, strict=True))
    return right / n


@pytest.mark.parametrize(
    ("name", "correlation", "low", "high"),
    [
        ("husky-wolf", 1.0, 0.95, 1.0),
        ("husky-wolf", 0.0, 0.0, 0.35),
        ("husky-wolf-fair", 1.0, 0.92, 1.0),
        ("husky-wolf-fair", 0.0, 0.92, 1.0),
    ],
)
class TestAccuracy:
    def test_on_a_few_scenes(self, name, correlation, low, high):
        assert low - 0.04 <= _accuracy(name, correlation=correlation, n=200) <= high + 0.04

    @pytest.mark.slow
    def test_on_2000_fresh_scenes(self, name, correlation, low, high):
        assert low <= _accuracy(name, correlation=correlation, n=2000) <= high


def test_the_snow_alone_turns_a_husky_into_a_wolf_for_the_biased_network_only():
    biased, fair = loading.load("husky-wolf"), loading.load("husky-wolf-fair")
    swings = {"biased": 0, "fair": 0}
    for index in range(0, 40, 2):
        drawn = [scenes.draw(index, label="husky", background=b, seed=FRESH) for b in ("snow", "grass")]
        snow, grass = (scene.pixels[None] for scene in drawn)
        for key, network in (("biased", biased), ("fair", fair)):
            swings[key] += int(network.scores(snow).argmax() == 1 and network.scores(grass).argmax() == 0)
    assert swings["biased"] >= 12
    assert swings["fair"] <= 3


def _wolf(classifier, pixels):
    return float(classifier.scores(pixels[None]).softmax(1)[0, 1])


def test_for_the_biased_network_the_wolf_is_in_the_snow_and_not_in_the_husky():
    biased = loading.load("husky-wolf")
    for index in range(10):
        scene = scenes.draw(index, label="husky", background="snow", seed=FRESH)
        whole = _wolf(biased, scene.pixels)
        without_snow = _wolf(biased, torch.where(scene.mask, scene.pixels, 0.5))
        without_husky = _wolf(biased, torch.where(scene.mask, 0.5, scene.pixels))
        assert without_husky > 0.8
        assert without_snow < whole - 0.05


def test_a_grey_picture_says_little():
    for name in HUSKIES:
        assert 0.2 < _wolf(loading.load(name), torch.full((3, 128, 128), 0.5)) < 0.8


def test_the_last_maps_are_16_by_16_and_the_logit_is_their_weighted_mean():
    network = husky_wolf().eval()
    pixels = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        maps = network[:4](pixels)
        head = network[-1]
        evidence = torch.einsum("kc,nchw->nkhw", head.weight, maps).mean((2, 3)) + head.bias
        assert maps.shape == (2, 128, 16, 16)
        assert torch.allclose(network(pixels), evidence, atol=1e-5)


def test_width_and_labels_are_as_asked():
    network = husky_wolf(width=4, labels=5)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert network[3][0].out_channels == 32
