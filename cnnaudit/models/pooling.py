"""Four ways to pool, and a function that gives a network another one."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnaudit.errors import OptionError, near_matches
from cnnaudit.models.sizes import conv_output

Pool = Literal["max", "average", "stride", "blur"]
POOLS: tuple[Pool, ...] = get_args(Pool)

_Pair: TypeAlias = tuple[int, int]
_Pooling: TypeAlias = nn.MaxPool2d | nn.AvgPool2d


def make_pool(kind: Pool, window: int = 2) -> nn.Module:
    """A layer without weights that makes `n c h w` smaller by `window`, rounded down.

    `max` and `average` take the largest value and the mean of each window. `stride` takes the value in
    its middle (of an even window, the one to the upper left), which is what a stride in the convolution
    before it would give, and keeps every weight in its place. `blur` takes the largest value around every
    pixel, smooths, and only then thins out, so that a shifted picture gives nearly the same maps
    (MaxBlurPool; Zhang, ICML 2019, arXiv 1904.11486, eq. 6).

    Raises:
        OptionError: there is no pooling of this kind.
    """
    return _pool(known_pool(kind), _Window((window, window), (window, window)))


def known_pool(kind: str) -> Pool:
    """The same word, checked.

    Raises:
        OptionError: there is no such pooling.
    """
    for known in POOLS:
        if kind == known:
            return known
    raise OptionError(f"pool is one of {', '.join(POOLS)}; got {kind!r}.{near_matches(str(kind), POOLS)}")


def swap_pooling(network: nn.Module, kind: Pool, *, convolutions: bool = False) -> nn.Module:
    """A copy of a network in which every pooling that thins out is of another kind; its weights are the same.

    Shapes stay as they are, and so do the names of the weights: pooling has none. Left alone are pooling
    with stride 1, adaptive pooling, and pooling that a forward calls as a function. With `blur`, an
    average pooling stays an average, taken around every pixel, before the smoothing; the paper (section
    3.2) has the smoothing alone, which would change the shape of maps with an odd side.

    Args:
        convolutions: with `blur`, also give convolutions that have a stride the stride 1, and blur behind
            them. The paper blurs behind the ReLU that follows; this is in front of it, since a layer
            cannot know what comes next.

    Raises:
        OptionError: there is nothing to swap, or a layer has no counterpart.
    """
    kind = known_pool(kind)
    if convolutions and kind != "blur":
        raise OptionError(f"Convolutions can be blurred only; the pooling asked for is {kind!r}. Leave them out.")
    swapped = copy.deepcopy(network)
    found = list(_thinning(swapped, convolutions))
    if not found:
        raise OptionError(f"{type(network).__name__} has no pooling layer with a stride: there is nothing to swap.")
    weights = next(swapped.parameters(), torch.empty(0))
    for name, layer in found:
        new = _BlurredConv2d(layer) if isinstance(layer, nn.Conv2d) else _swapped(name, layer, kind).to(weights)
        parent, _, last = name.rpartition(".")
        setattr(swapped.get_submodule(parent), last, new.train(layer.training))
    return swapped


def _thinning(network: nn.Module, convolutions: bool) -> Iterator[tuple[str, _Pooling | nn.Conv2d]]:
    """The layers to swap, one that is used twice in both of its places."""
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, _Pooling) or (convolutions and type(module) is nn.Conv2d):
            thins = _pair(module.stride) != (1, 1)
            if name and thins:
                yield name, module


def _swapped(name: str, layer: _Pooling, kind: Pool) -> nn.Module:
    window = _window(name, layer)
    if isinstance(layer, nn.AvgPool2d) and kind == "average":
        return layer
    if isinstance(layer, nn.AvgPool2d) and kind == "blur":
        counted = layer.count_include_pad
        dense = nn.AvgPool2d(window.kernel, 1, window.padding, False, counted, layer.divisor_override)
        return nn.Sequential(dense, BlurPool2d(window.stride, ceil_mode=window.ceil))
    return _pool(kind, window)


@dataclass(frozen=True, slots=True)
class _Window:
    """What a pooling looks at; each pair is (height, width)."""

    kernel: _Pair
    stride: _Pair
    padding: _Pair = (0, 0)
    ceil: bool = False


def _window(name: str, layer: _Pooling) -> _Window:
    window = _Window(_pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding), layer.ceil_mode)
    dilated = isinstance(layer, nn.MaxPool2d) and _pair(layer.dilation) != (1, 1)
    indices = isinstance(layer, nn.MaxPool2d) and layer.return_indices
    # with ceil_mode, torch leaves out a last window that would begin behind the picture: these are those that can
    sides = zip(window.kernel, window.stride, window.padding, strict=True)
    cut = window.ceil and any(kernel - stride < padding for kernel, stride, padding in sides)
    if dilated or indices or cut:
        what = "a dilation" if dilated else "return_indices" if indices else "ceil_mode, and windows in its padding"
        raise OptionError(f"The pooling {name} has {what}: the other kinds do not. Swap the others by hand.")
    return window


def _pool(kind: Pool, window: _Window) -> nn.Module:
    if kind == "max":
        return nn.MaxPool2d(window.kernel, window.stride, window.padding, ceil_mode=window.ceil)
    if kind == "average":  # of real pixels: zeros around the picture would darken its edge
        return nn.AvgPool2d(window.kernel, window.stride, window.padding, window.ceil, count_include_pad=False)
    if kind == "stride":
        return Subsample2d(window.kernel, window.stride, window.padding, ceil_mode=window.ceil)
    dense = nn.MaxPool2d(window.kernel, 1, window.padding)
    return nn.Sequential(dense, BlurPool2d(window.stride, ceil_mode=window.ceil))


class BlurPool2d(nn.Module):
    """Smooths each channel and keeps every pixel that is a multiple of `stride`, from the first on.

    The filter is the outer product of two triangles, as wide as the stride needs: `[1, 2, 1]/4` for
    stride 2, the paper's Triangle-3, in general `2 stride - 1` wide. Edges are mirrored; a map too small for that
    has its edge repeated. The filter is a buffer that no state dict holds: a network has the same weights
    with it as without.

    From `n c h w` to `n c ceil(h/stride) ceil(w/stride)`; with `ceil_mode` one more row or column where
    the sides less one are no multiple of the stride. Zhang, ICML 2019 (arXiv 1904.11486, section 3.2).
    """

    filter: Tensor

    def __init__(self, stride: int | _Pair = 2, *, ceil_mode: bool = False) -> None:
        super().__init__()
        self.stride = _pair(stride)
        self.kernel_size = (2 * self.stride[0] - 1, 2 * self.stride[1] - 1)
        self.padding = (self.stride[0] - 1, self.stride[1] - 1)
        self.ceil_mode = ceil_mode
        rows, columns = (_triangle(side) for side in self.stride)
        self.register_buffer("filter", torch.outer(rows, columns)[None, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """From `n c h w` to the smaller maps."""
        channels, (top, left) = maps.shape[1], self.padding
        bottom, right = (2 * top, 2 * left) if self.ceil_mode else (top, left)
        maps = _mirrored(maps, left, right, top, bottom)
        return F.conv2d(maps, self.filter.expand(channels, 1, -1, -1), stride=self.stride, groups=channels)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


def _triangle(stride: int) -> Tensor:
    distances = torch.arange(1 - stride, stride).abs()
    return (stride - distances) / stride**2


def _mirrored(maps: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    height, width = maps.shape[-2:]
    if height <= max(top, bottom) or width <= max(left, right):
        return F.pad(maps, (left, right, top, bottom), mode="replicate")
    if maps.is_cpu or not torch.are_deterministic_algorithms_enabled():
        return F.pad(maps, (left, right, top, bottom), mode="reflect")
    return _looked_up(maps, left, right, top, bottom)


def _looked_up(maps: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """`F.pad(mode="reflect")` by another way: that has no gradient on a GPU when it must be deterministic."""
    for axis, before, after in ((-2, top, bottom), (-1, left, right)):
        last = maps.shape[axis] - 1
        places = torch.arange(-before, last + 1 + after, device=maps.device).abs()
        maps = maps.index_select(axis, last - (last - places).abs())
    return maps


class Subsample2d(nn.Module):
    """Keeps the value in the middle of each window of a pooling, and so has its output's shape.

    A middle that is outside the picture is the pixel next to it.
    """

    def __init__(
        self, kernel_size: int | _Pair, stride: int | _Pair, padding: int | _Pair = 0, *, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = _pair(kernel_size), _pair(stride), _pair(padding)
        self.ceil_mode = ceil_mode

    def forward(self, maps: Tensor) -> Tensor:
        """From `n c h w` to the smaller maps."""
        (down, across), (top, left) = self.stride, self.padding
        bottom, right = (top + down - 1, left + across - 1) if self.ceil_mode else self.padding
        if bottom or right:
            maps = F.pad(maps, (left, right, top, bottom), mode="replicate")
        height, width = self.kernel_size
        rows, columns = conv_output(maps.shape[-2], height, down), conv_output(maps.shape[-1], width, across)
        return maps[..., (height - 1) // 2 :: down, (width - 1) // 2 :: across][..., :rows, :columns]

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{window}, ceil_mode={self.ceil_mode}"


class _BlurredConv2d(nn.Conv2d):
    """A convolution with a stride that takes every position, and smooths before it thins out.

    A subclass, so that the weights keep their names.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        settings = {key: getattr(convolution, key) for key in ("kernel_size", "padding", "dilation", "groups")}
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            **settings,
            bias=convolution.bias is not None,
            padding_mode=convolution.padding_mode,
            device="meta",  # no weights are drawn: those of the other take their place
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.blur = BlurPool2d(_pair(convolution.stride)).to(convolution.weight)

    def forward(self, input: Tensor) -> Tensor:
        """From `n c h w` to the maps that the stride leaves."""
        return self.blur(super().forward(input))


def _pair(value: int | tuple[int, ...]) -> _Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
