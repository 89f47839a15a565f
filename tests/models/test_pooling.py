"""Four poolings, held against NumPy, SciPy and the figures of the paper on anti-aliasing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from model_state import differences, model_state
from scipy import ndimage
from torch import Tensor, nn

from cnnaudit.errors import OptionError
from cnnaudit.models import ARCHITECTURES
from cnnaudit.models import pooling as pooling_module
from cnnaudit.models.pooling import POOLS, BlurPool2d, Subsample2d, make_pool, swap_pooling

WINDOWS = [  # kernel, stride, padding, ceil_mode
    (2, 2, 0, False), (2, 2, 0, True), (3, 2, 0, False), (3, 2, 0, True), (3, 2, 1, False), (3, 2, 1, True),
    (3, 3, 1, False), (3, 3, 0, True), (2, 3, 0, False), (1, 2, 0, False), (2, 2, 1, False), (5, 3, 2, True),
    ((3, 2), (2, 1), (1, 0), False), ((2, 3), (2, 3), (0, 0), True),
]  # fmt: skip


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("side", [6, 7, 8])
def test_max_average_and_stride_against_numpy(window: int, side: int) -> None:
    maps = noise(2, 3, side, side)
    whole = maps[..., : side // window * window, : side // window * window].numpy()
    blocks = whole.reshape(2, 3, side // window, window, side // window, window)
    middle = (window - 1) // 2
    expected = {
        "max": blocks.max((3, 5)),
        "average": blocks.mean((3, 5)),
        "stride": blocks[:, :, :, middle, :, middle],
    }
    for kind, answer in expected.items():
        np.testing.assert_allclose(make_pool(kind, window)(maps).numpy(), answer, rtol=1e-6)  # type: ignore[arg-type]


def blurred(maps: np.ndarray, window: int) -> np.ndarray:
    """MaxBlurPool: the largest of the window at every place, smoothed by a triangle, every n-th of them."""
    dense = np.lib.stride_tricks.sliding_window_view(maps, (window, window), (-2, -1)).max((-2, -1))
    triangle = np.convolve(np.ones(window), np.ones(window)) / window**2
    for axis in (-2, -1):
        dense = ndimage.correlate1d(dense, triangle, axis, mode="mirror")
    return dense[..., ::window, ::window]


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 12), (11, 7)])
def test_blur_against_scipy(window: int, size: tuple[int, int]) -> None:
    maps = noise(2, 3, *size)
    expected = blurred(maps.double().numpy(), window)
    np.testing.assert_allclose(make_pool("blur", window)(maps).numpy(), expected, rtol=1e-5)


def test_the_example_of_the_paper() -> None:
    """Figure 3 of arXiv 1904.11486: 0 0 1 1 0 0 1 1 …, and the same shifted by one."""
    signal = torch.tensor([0.0, 0, 1, 1]).repeat(8)
    maps = signal.expand(1, 1, 32, 32)
    shifted = signal.roll(-1).expand(1, 1, 32, 32)
    inside = slice(2, 10)
    assert make_pool("max")(maps)[0, 0, 5, inside].tolist() == [0, 1] * 4
    assert make_pool("max")(shifted)[0, 0, 5, inside].tolist() == [1, 1] * 4
    assert make_pool("blur")(maps)[0, 0, 5, inside].tolist() == [0.5, 1] * 4
    assert make_pool("blur")(shifted)[0, 0, 5, inside].tolist() == [0.75, 0.75] * 4


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("size", [(2, 2), (2, 9), (5, 4), (16, 16)])
def test_a_constant_stays_constant_also_where_nothing_can_be_mirrored(kind: Any, size: tuple[int, int]) -> None:
    pooled = make_pool(kind)(torch.full((1, 2, *size), 0.7))
    assert pooled.shape == (1, 2, size[0] // 2, size[1] // 2)
    torch.testing.assert_close(pooled, torch.full_like(pooled, 0.7))


def unsteadiness(kind: Any) -> float:
    """How far a shift of one pixel moves the maps, in units of their own spread."""
    pictures = F.avg_pool2d(noise(16, 4, 70, 70), 3, 1)
    pool = make_pool(kind)
    here, there = pool(pictures[..., :64, :64]), pool(pictures[..., 1:65, 1:65])
    return float((here - there).abs().mean() / here.std())


def test_blur_changes_less_than_max_when_the_picture_shifts() -> None:
    steady = {kind: unsteadiness(kind) for kind in POOLS}
    assert steady["blur"] < 0.9 * min(steady["max"], steady["average"])
    assert steady["max"] < steady["stride"]


def test_no_pooling_has_weights_or_anything_that_a_checkpoint_holds() -> None:
    for kind in POOLS:
        assert not make_pool(kind).state_dict()
        assert not list(make_pool(kind).parameters())
    assert make_pool("blur").half()[1].filter.dtype == torch.float16  # type: ignore[index,union-attr]


def test_the_way_around_reflection_padding_is_reflection_padding() -> None:
    for pads in ((1, 1, 1, 1), (2, 4, 1, 2), (0, 3, 0, 0)):
        maps = noise(2, 3, 6, 7).requires_grad_()
        results = [F.pad(maps, pads, mode="reflect"), pooling_module._looked_up(maps, *pads)]
        weights = noise(*results[0].shape, seed=1)
        gradients = [torch.autograd.grad((result * weights).sum(), maps)[0] for result in results]
        assert torch.equal(*results)
        torch.testing.assert_close(*gradients)


def test_a_pooling_that_is_not_there() -> None:
    with pytest.raises(OptionError, match=r"max, average, stride, blur; got 'means'"):
        make_pool("means")  # type: ignore[arg-type]


# swapping


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("before", [nn.MaxPool2d, nn.AvgPool2d])
def test_the_shape_stays(window: tuple[Any, Any, Any, bool], kind: Any, before: Callable[..., nn.Module]) -> None:
    kernel, stride, padding, ceil = window
    network = nn.Sequential(before(kernel, stride, padding, ceil_mode=ceil))
    swapped = swap_pooling(network, kind)
    for size in ((12, 13), (14, 15), (16, 11)):
        assert swapped(noise(2, 3, *size)).shape == network(noise(2, 3, *size)).shape


def test_the_same_kind_gives_the_same_numbers() -> None:
    maps = noise(2, 3, 13, 14)
    for layer in (nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=True)):
        kind: Any = "max" if isinstance(layer, nn.MaxPool2d) else "average"
        assert torch.equal(swap_pooling(nn.Sequential(layer), kind)(maps), layer(maps))


def test_an_average_in_the_place_of_a_maximum_is_of_real_pixels() -> None:
    swapped = swap_pooling(nn.Sequential(nn.MaxPool2d(3, 2, 1)), "average")
    assert torch.equal(swapped(torch.ones(1, 1, 9, 9)), torch.ones(1, 1, 5, 5))


def test_the_middle_of_a_window() -> None:
    maps = torch.arange(49.0).view(1, 1, 7, 7)
    for padding, first in ((0, 1), (1, 0)):
        swapped = swap_pooling(nn.Sequential(nn.MaxPool2d(3, 2, padding)), "stride")
        assert torch.equal(swapped(maps), maps[..., first::2, first::2])


NETWORKS = {"vgg11": 64, "resnet18": 65, "alexnet": 95, "squeezenet1_0": 67, "googlenet": 97, "densenet121": 65}


def built(name: str) -> nn.Module:
    """Without the linear layers' millions of weights, where there are such."""
    arguments: dict[str, Any] = {"aux_logits": False} if name == "googlenet" else {}
    arguments |= {"init_weights": False} if name in ("googlenet", "vgg11") else {}
    network = torchvision.models.get_model(name, weights=None, num_classes=5, **arguments).eval()
    return network.get_submodule("features") if name in ("vgg11", "alexnet") else network


def shapes(network: nn.Module, size: int) -> dict[str, tuple[int, ...]]:
    """Of each module's output, the first time it is called."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: Tensor) -> None:
        found.setdefault(name, tuple(output.shape))

    handles = [
        module.register_forward_hook(lambda _m, _i, output, name=name: note(name, output))
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        network(noise(1, 3, size, size))
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_torchvisions_networks_keep_their_shapes_and_weights(name: str) -> None:
    network, size = built(name), NETWORKS[name]
    before, theirs = shapes(network, size), model_state(network)
    strided = [
        m for m in network.modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d) and m.stride not in (1, (1, 1))
    ]
    for kind, convolutions in [*((kind, False) for kind in POOLS), ("blur", True)]:
        swapped = swap_pooling(network, kind, convolutions=convolutions)  # type: ignore[arg-type]
        after = shapes(swapped, size)
        assert {key: after[key] for key in before if key in after} == before
        assert list(swapped.state_dict()) == list(network.state_dict())
        for ours, original in zip(swapped.parameters(), network.parameters(), strict=True):
            assert torch.equal(ours, original)
            assert ours is not original
        expected = {"stride": Subsample2d, "blur": BlurPool2d}.get(kind)
        if expected is not None:
            found = [m for m in swapped.modules() if isinstance(m, expected)]
            assert len(found) >= len(strided) > 0
            assert not any(isinstance(m, nn.MaxPool2d) and m.stride not in (1, (1, 1)) for m in swapped.modules())
        if convolutions:
            assert all(m.stride == (1, 1) for m in swapped.modules() if isinstance(m, nn.Conv2d))
    assert differences(theirs, model_state(network)) == []


def test_pooling_that_does_not_thin_out_stays() -> None:
    network = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.AdaptiveAvgPool2d(4), nn.MaxPool2d(2))
    swapped = swap_pooling(network, "blur")
    assert [type(layer) for layer in swapped] == [nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Sequential]  # type: ignore[union-attr]


def test_one_layer_in_two_places_is_swapped_in_both() -> None:
    pool = nn.MaxPool2d(2)
    swapped = swap_pooling(nn.Sequential(pool, nn.ReLU(), nn.Sequential(pool)), "average")
    assert [type(m) for m in swapped.modules() if "Pool" in type(m).__name__] == [nn.AvgPool2d] * 2


def test_a_blurred_convolution_is_the_dense_one_smoothed_and_thinned_out() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, padding_mode="circular").double()
    maps = noise(2, 4, 9, 10).double()
    swapped = swap_pooling(nn.Sequential(convolution), "blur", convolutions=True)
    dense = nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2, padding_mode="circular").double()
    dense.load_state_dict(convolution.state_dict())
    expected = dense(maps).detach().numpy()
    for axis in (-2, -1):
        expected = ndimage.correlate1d(expected, [0.25, 0.5, 0.25], axis, mode="mirror")
    np.testing.assert_allclose(swapped(maps).detach().numpy(), expected[..., ::2, ::2], rtol=1e-10)


def test_the_mode_of_each_layer_is_kept() -> None:
    network = ARCHITECTURES["cnn2"]().train()
    network.get_submodule("pool1").eval()
    swapped = swap_pooling(network, "blur")
    assert swapped.training
    assert [swapped.get_submodule(name).training for name in ("pool1", "pool1.1", "pool2")] == [False, False, True]


@pytest.mark.parametrize(
    ("network", "kind", "convolutions", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1)), "blur", False, "nothing to swap"),
        (nn.MaxPool2d(2), "blur", False, "nothing to swap"),
        (nn.Sequential(nn.MaxPool2d(2)), "blurry", False, "Did you mean 'blur'"),
        (nn.Sequential(nn.MaxPool2d(2)), "average", True, "Leave them out"),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, dilation=2)), "blur", False, "The pooling 1 has a dilation"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "blur", False, "return_indices"),
        (nn.Sequential(nn.MaxPool2d(2, 3, ceil_mode=True)), "stride", False, "ceil_mode"),
        (nn.Sequential(nn.MaxPool2d(2, 2, 1, ceil_mode=True)), "stride", False, "ceil_mode"),
    ],
)
def test_what_cannot_be_swapped_is_said(network: nn.Module, kind: Any, convolutions: bool, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        swap_pooling(network, kind, convolutions=convolutions)
