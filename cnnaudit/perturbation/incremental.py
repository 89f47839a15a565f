"""Incremental inference: behind a hidden window, only what the window can change is computed again, layer by layer.

Nakandala et al. 2019, "Incremental and approximate inference for faster occlusion-based deep CNN
explanations", SIGMOD. A map of many copies is held as the map of the whole picture and a patch a copy.
Operations that are known here go on with patches; before any other, and once the patches cover most of
the map, the copies' whole maps are made, so that every network gives its own scores.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit.perturbation.masks import Windows
from cnnaudit.shapes import Pixels

_MOST = 0.6  # share of a map above which patches cost more than they save

Pair = tuple[int, int]


class Patched(Tensor):
    """Copies `n c h w` of one map, each with a rectangle of its own put into it.

    Attributes:
        base: the map, `1 c h w`.
        patch: the rectangles, `n c p q`; all are of one size, and lie inside the map.
        start: row and column where each rectangle begins, `n 2`.
    """

    base: Tensor
    patch: Tensor
    start: Tensor

    @staticmethod
    def __new__(cls, base: Tensor, patch: Tensor, start: Tensor) -> "Patched":
        nothing = base.new_full((), torch.nan).expand(len(patch), *base.shape[1:])  # should it ever be read, it shows
        made = nothing.as_subclass(cls)
        made.base, made.patch, made.start = base, patch, start
        return made

    @property
    def extent(self) -> Pair:
        """Height and width of the rectangles."""
        return self.patch.shape[2], self.patch.shape[3]

    def whole(self) -> Tensor:
        """The copies, each complete."""
        n, c, h, w = len(self.patch), *self.base.shape[1:]
        maps = self.base.permute(0, 2, 3, 1).expand(n, -1, -1, -1).contiguous()
        rows, columns = _places(self.start, self.extent)
        copy = torch.arange(n, device=maps.device)[:, None, None]
        index = ((copy * h + rows) * w + columns).flatten()
        maps.view(-1, c).index_copy_(0, index, _by_place(self.patch))
        return maps.permute(0, 3, 1, 2)

    def crop(self, start: Tensor, extent: Pair, outside: float = 0.0) -> Tensor:
        """A rectangle of each copy, `n c` and `extent`; it may reach beyond the map, where `outside` is found."""
        n, _, h, w = self.shape
        (p, q), own = self.extent, _by_place(self.patch)
        rows, columns = _places(start, extent)
        within = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
        down, across = rows - self.start[:, 0, None, None], columns - self.start[:, 1, None, None]
        changed = (down >= 0) & (down < p) & (across >= 0) & (across < q)
        copy = torch.arange(n, device=own.device)[:, None, None]
        index = torch.where(changed, h * w + (copy * p + down) * q + across, rows * w + columns)
        source = torch.cat([_by_place(self.base), own, own.new_full((1, own.shape[1]), outside)])
        index = torch.where(within, index, len(source) - 1)
        return source.index_select(0, index.flatten()).view(n, *extent, -1).permute(0, 3, 1, 2)

    def grown(self, start: Tensor, extent: Pair) -> "Patched":
        """The same copies with larger rectangles, inside which the present ones lie."""
        same = extent == self.extent and torch.equal(start, self.start)
        return self if same else Patched(self.base, self.crop(start, extent), start)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if func in _ABOUT:
                return func(*args, **kwargs)
            found = _KNOWN[func](*args, **kwargs) if func in _KNOWN else NotImplemented
            return func(*_whole(args), **_whole(kwargs)) if found is NotImplemented else found


def patched(masks: Windows, start: int, stop: int, kept: Pixels, fill: Pixels) -> Patched:
    """The copies `start` to `stop` of a picture, with what their windows hide as patches."""
    h, w = masks.size
    top, bottom, left, right = masks.edges[start:stop].to(kept.device).unbind(1)
    extent = max(1, int((bottom - top).max())), max(1, int((right - left).max()))
    begin = torch.stack([top.clamp(max=h - extent[0]), left.clamp(max=w - extent[1])], 1)
    rows, columns = _places(begin, extent)
    hidden = (rows >= top[:, None, None]) & (rows < bottom[:, None, None])
    hidden = hidden & (columns >= left[:, None, None]) & (columns < right[:, None, None])
    index = (rows * w + columns + h * w * hidden).flatten()
    source = torch.cat([_by_place(kept), _by_place(fill)])
    patch = source.index_select(0, index).view(stop - start, *extent, -1).permute(0, 3, 1, 2)
    return Patched(kept.contiguous(memory_format=torch.channels_last), patch, begin)


def _places(start: Tensor, extent: Pair) -> tuple[Tensor, Tensor]:
    """Row and column of each place of rectangles, `n p 1` and `n 1 q`."""
    down, across = (torch.arange(side, device=start.device) for side in extent)
    return (start[:, 0, None] + down)[:, :, None], (start[:, 1, None] + across)[:, None, :]


def _by_place(maps: Tensor) -> Tensor:
    """A row for each place of each map, a column for each channel."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _whole(value: Any) -> Any:
    if isinstance(value, Patched):
        return value.whole()
    if isinstance(value, list | tuple):
        return type(value)(_whole(item) for item in value)
    return {key: _whole(item) for key, item in value.items()} if isinstance(value, dict) else value


def _made(base: Tensor, patch: Tensor, start: Tensor) -> Tensor:
    made = Patched(base, patch, start)
    small = patch.shape[2] * patch.shape[3] <= _MOST * base.shape[2] * base.shape[3]
    return made if small else made.whole()


def _each_value(func: Callable[..., Tensor]) -> Callable[..., Any]:
    """An operation on each value by itself; in place, it changes what the patched map holds."""

    def done(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Patched) or kwargs.get("training") or any(isinstance(a, Patched) for a in args):
            return NotImplemented
        in_place = kwargs.pop("inplace", False)
        base, patch = func(x.base, *args, **kwargs), func(x.patch, *args, **kwargs)
        if in_place:
            x.base, x.patch = base, patch
        return x if in_place else Patched(base, patch, x.start)

    return done


def _written_back(func: Callable[..., Tensor], done: Callable[..., Any]) -> Callable[..., Any]:
    """What an operation does, done in place; where it cannot go on with patches, they become the whole map."""

    def written(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Patched):
            return NotImplemented
        found = done(x, *args, **kwargs)
        if found is NotImplemented:  # `x` must change all the same, since others may hold it
            found = Patched(x.base, func(x.whole(), *_whole(args), **_whole(kwargs)), torch.zeros_like(x.start))
        x.base, x.patch, x.start = found.base, found.patch, found.start
        return x

    return written


def _joined(func: Callable[..., Tensor]) -> Callable[..., Any]:
    """An operation on two maps, value by value."""

    def done(x: Any, y: Any, **kwargs: Any) -> Any:
        if isinstance(x, Patched) and isinstance(y, int | float):
            return Patched(func(x.base, y, **kwargs), func(x.patch, y, **kwargs), x.start)
        if not (isinstance(x, Patched) and isinstance(y, Patched)) or x.shape[2:] != y.shape[2:]:
            return NotImplemented
        x, y = _aligned([x, y])
        return Patched(func(x.base, y.base, **kwargs), func(x.patch, y.patch, **kwargs), x.start)

    return done


def _cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    maps = [x for x in tensors if isinstance(x, Patched)]
    if dim not in (1, -3) or len(maps) < len(tensors) or len({x.shape[2:] for x in maps}) > 1:
        return NotImplemented
    maps = _aligned(maps)
    return Patched(torch.cat([x.base for x in maps], 1), torch.cat([x.patch for x in maps], 1), maps[0].start)


def _aligned(maps: Sequence[Patched]) -> list[Patched]:
    """With patches in the same places, large enough for all."""
    size = torch.tensor(maps[0].shape[2:], device=maps[0].device)
    begin = torch.stack([x.start for x in maps]).amin(0)
    end = torch.stack([x.start + torch.tensor(x.extent, device=size.device) for x in maps]).amax(0)
    extent = (end - begin).amax(0)
    begin = torch.minimum(begin, size - extent)
    return [x.grown(begin, (int(extent[0]), int(extent[1]))) for x in maps]


def _conv(
    x: Any, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:  # fmt: skip
    if not isinstance(x, Patched) or isinstance(padding, str):
        return NotImplemented
    kernel = (weight.shape[2], weight.shape[3])

    def ask(maps: Tensor, padding: Any) -> Tensor:
        return F.conv2d(maps, weight, bias, stride, padding, dilation, groups)

    return _slid(x, ask, kernel, _two(stride), _two(padding), _two(dilation))


def _max_pool(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    if not isinstance(x, Patched) or ceil_mode or return_indices:
        return NotImplemented

    def ask(maps: Tensor, padding: Any) -> Tensor:
        return F.max_pool2d(maps, kernel_size, stride, padding, dilation)

    pace = _two(stride or kernel_size)
    return _slid(x, ask, _two(kernel_size), pace, _two(padding), _two(dilation), outside=-torch.inf)


def _average_pool(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    if not isinstance(x, Patched) or ceil_mode or divisor_override or any(_two(padding)):
        return NotImplemented

    def ask(maps: Tensor, padding: Any) -> Tensor:
        return F.avg_pool2d(maps, kernel_size, stride)

    return _slid(x, ask, _two(kernel_size), _two(stride or kernel_size), (0, 0), (1, 1))


def _slid(
    x: Patched, ask: Callable[[Tensor, Any], Tensor], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair,
    outside: float = 0.0,
) -> Tensor:  # fmt: skip
    """An operation whose kernel slides over the map: on what can change, and on what that is made from."""
    base = ask(x.base, padding)
    if (kernel, stride, padding) == ((1, 1), (1, 1), (0, 0)):
        return _made(base, ask(x.patch, padding), x.start)
    begin, extent, needed = [], [], []
    for axis in (0, 1):
        reach, pace, side = dilation[axis] * (kernel[axis] - 1), stride[axis], base.shape[axis + 2]
        extent.append(min((x.extent[axis] - 1 + reach) // pace + 1, side))
        first = -(reach - padding[axis] - x.start[:, axis]).div(pace, rounding_mode="floor")
        begin.append(first.clamp(min=0, max=side - extent[axis]))
        needed.append((extent[axis] - 1) * pace + reach + 1)
    start = torch.stack(begin, 1)
    offset = start * start.new_tensor(stride) - start.new_tensor(padding)
    crop = x.crop(offset, (needed[0], needed[1]), outside)
    return _made(base, ask(crop, 0), start)


def _view(x: Any, *shape: Any) -> Any:
    """A network that views its maps expects them to lie plane by plane."""
    return x.whole().contiguous().view(*shape) if isinstance(x, Patched) else NotImplemented


def _two(value: Any) -> Pair:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    return (int(pair[0]), int(pair[-1]))


_ALONE: tuple[Callable[..., Any], ...] = (
    F.relu, F.relu6, F.leaky_relu, F.elu, F.silu, F.gelu, F.hardtanh, F.hardswish, F.hardsigmoid, F.softplus,
    F.dropout, F.dropout2d, F.batch_norm, torch.relu, torch.sigmoid, torch.tanh, Tensor.relu, Tensor.sigmoid,
    Tensor.tanh,
)  # fmt: skip
_TOGETHER: tuple[Callable[..., Any], ...] = (
    torch.add, Tensor.add, Tensor.__add__, torch.sub, Tensor.sub, Tensor.__sub__,
    torch.mul, Tensor.mul, Tensor.__mul__,
)  # fmt: skip
_IN_PLACE: dict[Callable[..., Any], tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    torch.relu_: (torch.relu, _each_value(torch.relu)),
    Tensor.relu_: (torch.relu, _each_value(torch.relu)),
    Tensor.add_: (torch.add, _joined(torch.add)),
    Tensor.__iadd__: (torch.add, _joined(torch.add)),
    Tensor.mul_: (torch.mul, _joined(torch.mul)),
    Tensor.__imul__: (torch.mul, _joined(torch.mul)),
}
_KNOWN: dict[Callable[..., Any], Callable[..., Any]] = {
    **{func: _each_value(func) for func in _ALONE},
    **{func: _joined(func) for func in _TOGETHER},
    **{func: _written_back(*how) for func, how in _IN_PLACE.items()},
    F.conv2d: _conv,
    F.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    torch.cat: _cat,
    Tensor.view: _view,
}
_ABOUT = frozenset(
    {
        Tensor.shape.__get__, Tensor.ndim.__get__, Tensor.dtype.__get__, Tensor.device.__get__,  # type: ignore[attr-defined]
        Tensor.is_cuda.__get__, Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
        Tensor.size, Tensor.dim, Tensor.numel, Tensor.__len__, Tensor.is_floating_point,
    }
)  # fmt: skip
"""What is asked of a tensor without its values."""
