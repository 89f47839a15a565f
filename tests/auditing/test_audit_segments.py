"""Segments against scikit-image and loops over pixels; attribution against autograd."""

import numpy as np
import pytest
import torch
from made_up import clouds
from model_state import differences, model_state
from skimage.segmentation import felzenszwalb
from sklearn.metrics import adjusted_rand_score
from tagged_pictures import Breaking, Convolutional, classifier, pictures
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing import segments as module
from cnnaudit.auditing.scenery import kinds_of
from cnnaudit.auditing.segments import Segmented, looked_at, map_layer, segment, segmented
from cnnaudit.errors import ModelError


def parts(network: nn.Module, pixels: Tensor, **options: bool) -> list[Segmented]:
    return [part for _, part in segmented(classifier(network, pixels), pictures(pixels), range(len(pixels)), **options)]


def test_the_segments_are_scikit_images() -> None:
    for picture in clouds(4, size=48).permute(0, 2, 3, 1).numpy():
        found = segment(picture)
        expected = felzenszwalb(picture, scale=300, sigma=0.6, min_size=9)
        assert adjusted_rand_score(expected.ravel(), found.ravel()) == 1
        assert sorted(np.unique(found)) == list(range(int(found.max()) + 1))


def test_a_small_tag_is_a_segment_and_a_plain_picture_is_one() -> None:
    plain = np.full((32, 32, 3), 0.5, np.float32)
    assert segment(plain).max() == 0
    plain[4:9, 20:25] = (1, 0, 0)
    found = segment(plain)
    assert len(np.unique(found[5:8, 21:24])) == 1 and (found == found[6, 22]).sum() < 50
    assert found[0, 0] != found[6, 22]


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 1), (28, 28, 1), (16, 24, 2), (17, 9, 4)])
def test_pictures_of_any_size_and_channels_fall_into_parts(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).random(shape, np.float32)
    found = segment(noise)
    assert found.shape == shape[:2] and found.max() <= 250
    assert np.bincount(found.ravel()).min() >= 4


def test_areas_borders_and_colours_are_what_loops_over_pixels_count() -> None:
    pixels = clouds(3, size=24)
    for picture, part in zip(pixels.numpy(), parts(Convolutional(), pixels, watched=False), strict=True):
        rim = np.ones((24, 24), bool)
        rim[1:-1, 1:-1] = False
        for k in range(len(part.area)):
            own = part.labels == k
            assert part.area[k] == pytest.approx(own.mean())
            assert part.border[k] == pytest.approx((own & rim).sum() / rim.sum())
            inside = picture[:, own].astype(np.float64)
            assert part.colour[k] == pytest.approx([*inside.mean(1), *inside.std(1)], abs=2e-4)
        assert part.area.sum() == pytest.approx(1) and part.border.sum() == pytest.approx(1)


def test_shares_of_the_answer_sum_to_its_logit_without_the_bias() -> None:
    """HiResCAM of a network with global average pooling and one linear layer is the logit, place by place."""
    pixels, net = clouds(5), Convolutional()
    given = classifier(net, pixels)
    layer = map_layer(given)
    assert layer is not None
    maps, shares = looked_at(given, pixels, layer)
    best, answers = given.scores(pixels).max(1)
    assert torch.allclose(shares.sum((1, 2)), best - net.head.bias.detach()[answers], atol=1e-5)
    seen = net.conv(pixels).detach().clamp(min=0)
    assert torch.allclose(maps.clamp(min=0), seen, atol=1e-6)
    by_hand = (seen * net.head.weight.detach()[answers][:, :, None, None]).sum(1) / (16 * 16)
    assert torch.allclose(shares, by_hand, atol=1e-6)
    other = looked_at(given, pixels, layer, label=1)[1]
    assert torch.allclose(other.sum((1, 2)), given.scores(pixels)[:, 1] - net.head.bias.detach()[1], atol=1e-5)


def test_features_and_attribution_are_pooled_over_the_pixels_that_a_cell_of_the_maps_covers() -> None:
    pixels, net = clouds(3), Convolutional()
    given = classifier(net, pixels)
    layer = map_layer(given)
    assert layer is not None
    maps, shares = looked_at(given, pixels, layer)
    for k, part in enumerate(parts(net, pixels)):
        mass, sums = np.zeros(len(part.area)), np.zeros((len(part.area), 6))
        for row in range(32):
            for column in range(32):
                at = part.labels[row, column]
                mass[at] += abs(float(shares[k, row // 2, column // 2])) / 4
                sums[at] += maps[k, :, row // 2, column // 2].numpy()
        assert part.attribution == pytest.approx(mass / mass.sum(), abs=1e-5)
        assert part.features == pytest.approx(sums / (part.area * 32 * 32)[:, None], abs=1e-4)


def test_a_network_without_maps_has_colours_alone() -> None:
    pixels = clouds(2, size=8, channels=1)
    for part in parts(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), pixels):
        assert part.features.shape == (len(part.area), 0)
        assert np.isnan(part.attribution).all() and part.colour.shape == (len(part.area), 2)


def test_a_network_that_takes_single_pictures_sees_the_same() -> None:
    class Single(Convolutional):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.pool(self.relu(self.conv(x))).view(1, 6))

    pixels = clouds(4)
    given = classifier(Single(), pixels)
    assert given.one_at_a_time
    for one, other in zip(parts(Single(), pixels), parts(Convolutional(), pixels), strict=True):
        assert one.features == pytest.approx(other.features, abs=1e-5)
        assert one.attribution == pytest.approx(other.attribution, abs=1e-5)


def test_places_are_kept_through_batches() -> None:
    pixels, net = clouds(70, size=16), Convolutional()
    order = list(range(69, -1, -1))
    found = dict(segmented(classifier(net, pixels), pictures(pixels), order))
    assert list(found) == order
    single = parts(net, pixels[37:38])[0]
    assert (found[37].labels == single.labels).all()
    assert found[37].attribution == pytest.approx(single.attribution, abs=1e-5)


def test_the_network_is_left_as_it_was_also_when_it_raises_in_the_middle() -> None:
    pixels, net = clouds(40, size=16), Breaking().train()
    given = Classifier(net, input_size=16, channels=3)
    net.red.weight.grad = torch.ones_like(net.red.weight)
    before = model_state(net)
    assert len(dict(segmented(given, pictures(pixels), range(40)))) == 40
    assert differences(before, model_state(net)) == []
    net.left = iter(range(1))
    before = model_state(net)
    with pytest.raises(ModelError, match=r"pictures of shape \(8, 3, 16, 16\): 'broken on purpose'"):
        dict(segmented(given, pictures(pixels), range(40)))
    assert differences(before, model_state(net)) == []


class Overflowing(Convolutional):
    """Maps of bright pictures overflow, or are no numbers; the logits are finite all the same."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.mean((1, 2, 3), keepdim=True) > 0.5).float()
        maps = self.relu(self.conv(x * (1 + bright * 1e38) * (1 + bright * 1e38)))
        return self.head(self.pool(maps.nan_to_num(0, 1, 0).clamp(0, 1)).flatten(1))


def test_maps_that_overflow_in_some_pictures_leave_kinds_to_be_found() -> None:
    pixels = clouds(12) * 0.4
    pixels[::3] += 0.5
    assert classifier(Overflowing(), pixels).scores(pixels).isfinite().all()
    found = parts(Overflowing(), pixels)
    plain = parts(Convolutional(), pixels)
    for k, (part, other) in enumerate(zip(found, plain, strict=True)):
        assert np.isfinite(part.features).all() and np.isfinite(part.colour).all()
        assert not np.isinf(part.attribution).any()
        if k % 3:
            assert part.features == pytest.approx(other.features, abs=1e-5)
    kinds = kinds_of(found, 0)
    assert all(np.isfinite(each).all() for each in (kinds.centres, kinds.scale, kinds.middle))
    assert len({int(k) for part in found for k in kinds.of(part)}) > 1


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan, 1e30, -3e38])
def test_a_value_too_large_counts_as_none(value: float) -> None:
    maps = torch.rand(3, 8, 8)
    labels = torch.arange(8)[:, None].expand(8, 8) // 4
    without = maps.clone()
    maps[1, 2, 3], without[1, 2, 3] = value, 0
    shares = torch.ones(8, 8)
    features, _ = module._seen(labels, 2, maps, shares)
    assert (features == module._seen(labels, 2, without, shares)[0]).all()
    shares[0, 0] = value
    attribution = module._seen(labels, 2, maps, shares)[1]
    assert np.isnan(attribution).all() or attribution.sum() == pytest.approx(1)
