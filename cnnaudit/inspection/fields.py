"""What the elements of a tensor see of the picture: intervals that move evenly with an element's index.

The rows and the columns of the picture are the two axes. Along each, the element with index 0 everywhere
sees the pixels from `low` to `high`, and one step along a dimension moves the interval by its jump.
A dimension that was made by merging others (`flatten`) remembers them as factors, so that it can be
taken apart again. Channels may see different parts (behind a concatenation): `low` and `high` then have
a value for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64

from cnnaudit.errors import LayerError
from cnnaudit.inspection.dimensions import Dimension, Factor, aligned, length, merged, regrouped, still, times
from cnnaudit.results import ReceptiveField

Corner = Int64[np.ndarray, "axes=2 *dimensions"]
"""A row and a column for each element, broadcast over the elements that see the same."""

_NOWHERE = 1 << 40
"""An interval from here to its negative is empty, and vanishes from every union."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What each element of one tensor sees.

    Attributes:
        dimensions: of the tensor.
        low, high: first and last row and column, before the jumps are added; beyond the picture where
            the network pads.
        picture: height and width of the input.
    """

    dimensions: tuple[Dimension, ...]
    low: Corner
    high: Corner
    picture: tuple[int, int]

    @classmethod
    def of_pixels(cls, shape: Sequence[int]) -> "Field":
        """Of the input, `n c h w`: each pixel sees itself."""
        n, c, h, w = shape
        corner = np.zeros((2, 1, 1, 1, 1), dtype=np.int64)
        return cls((still(n), still(c), (Factor(h, (1, 0)),), (Factor(w, (0, 1)),)), corner, corner, (h, w))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return tuple(length(dimension) for dimension in self.dimensions)

    def moves(self, place: int) -> bool:
        """Whether what is seen moves evenly along this dimension."""
        return any(factor.moves for factor in self.dimensions[place])

    def varies(self, place: int) -> bool:
        """Whether what is seen differs along this dimension in another way, as between channels."""
        return self.low.shape[self._axis(place)] > 1

    def resized(self, place: int, size: int) -> "Field":
        """With another number of places along a dimension on which nothing depends."""
        return self._with(self._replaced(place, still(size)), self.low, self.high)

    def window(
        self, place: int, size: int, *, kernel: int = 1, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> "Field":
        """A sliding window: output i of `size` sees `kernel` places from i * stride - before on.

        Raises:
            LayerError: the dimension was merged from others, or its places see unlike parts.
        """
        if (kernel, stride, before, size) == (1, 1, 0, self.shape[place]):
            return self
        if self.varies(place):
            return self._picked(place, np.arange(size) * stride - before, kernel)
        if not self.moves(place):
            return self.resized(place, size)
        factors = merged(self.dimensions[place])
        if len(factors) != 1:
            raise LayerError("a window slides over positions that were laid out in one row")
        (_, jump), reach = factors[0], dilation * (kernel - 1) - before
        low, high = self.low + self._pixels(jump, -before), self.high + self._pixels(jump, reach)
        return self._with(self._replaced(place, (Factor(size, times(jump, stride)),)), low, high)

    def spread(self, *places: int) -> "Field":
        """Every element sees what all elements along these dimensions see together, as a mean does."""
        field = self
        for place in places:
            axis, ramp = field._axis(place), field._ramp(place)
            low = (field.low + ramp).min(axis, keepdims=True)
            high = (field.high + ramp).max(axis, keepdims=True)
            field = field._with(field._replaced(place, still(field.shape[place])), low, high)
        return field

    def grouped(self, place: int, groups: int, size: int) -> "Field":
        """Every one of `size` new places sees what one of `groups` groups of the old ones sees.

        Raises:
            LayerError: there are several groups, along which the field moves.
        """
        if groups == 1:
            return self.spread(place).resized(place, size)
        if self.moves(place):
            raise LayerError("each group of channels sees another part of the picture")
        if not self.varies(place):
            return self.resized(place, size)
        axis = self._axis(place)
        low = [part.min(axis, keepdims=True) for part in np.split(self.low, groups, axis)]
        high = [part.max(axis, keepdims=True) for part in np.split(self.high, groups, axis)]
        corners = [np.concatenate(parts, axis).repeat(size // groups, axis) for parts in (low, high)]
        return self._with(self._replaced(place, still(size)), *corners)

    def expanded(self, shape: Sequence[int]) -> "Field":
        """Broadcast to a shape."""
        new = len(shape) - len(self.dimensions)
        own = ((),) * new + self.dimensions
        fitting = [d if length(d) == size else still(size) for d, size in zip(own, shape, strict=True)]
        axes = tuple(range(1, 1 + new))
        return self._with(fitting, np.expand_dims(self.low, axes), np.expand_dims(self.high, axes))

    def permuted(self, order: Sequence[int]) -> "Field":
        """With the dimensions in another order."""
        axes = (0, *map(self._axis, order))
        dimensions = [self.dimensions[place] for place in order]
        return self._with(dimensions, self.low.transpose(axes), self.high.transpose(axes))

    def dropped(self, *places: int) -> "Field":
        """Without dimensions on which nothing depends."""
        axes = tuple(map(self._axis, places))
        kept = [dimension for place, dimension in enumerate(self.dimensions) if 1 + place not in axes]
        return self._with(kept, self.low.squeeze(axes), self.high.squeeze(axes))

    def inserted(self, place: int) -> "Field":
        """With a new dimension of one place."""
        low, high = np.expand_dims(self.low, 1 + place), np.expand_dims(self.high, 1 + place)
        return self._with((*self.dimensions[:place], (), *self.dimensions[place:]), low, high)

    def viewed(self, shape: Sequence[int]) -> "Field":
        """With the same elements, in the same order, in another shape.

        Raises:
            LayerError: the positions of the picture are cut where they cannot be.
        """
        own, n = self.shape, min(len(self.dimensions), len(shape))
        head = next((i for i in range(n) if own[i] != shape[i]), n)
        tail = next((i for i in range(n - head) if own[-1 - i] != shape[-1 - i]), n - head)
        end, sizes = len(own) - tail, tuple(shape[head : len(shape) - tail])
        between = regrouped([f for d in self.dimensions[head:end] for f in d], sizes)
        low, high = (_reshaped(corner, 1 + head, own[head:end], sizes) for corner in (self.low, self.high))
        return self._with((*self.dimensions[:head], *between, *self.dimensions[end:]), low, high)

    def among(self, place: int, start: int, size: int) -> "Field":
        """As a part of a longer dimension, whose other places see nothing."""
        axis, own = self._axis(place), self.shape[place]
        after = size - start - own
        padding = [(start, after) if i == axis else (0, 0) for i in range(self.low.ndim)]
        low, high = (corner.repeat(own // corner.shape[axis], axis) for corner in (self.low, self.high))
        low = np.pad(low, padding, constant_values=_NOWHERE)
        return self._with(self._replaced(place, still(size)), low, np.pad(high, padding, constant_values=-_NOWHERE))

    def joined(self, other: "Field") -> "Field":
        """Of an operation that makes each element from those with its own index in two tensors of one shape.

        Raises:
            LayerError: the positions of the tensors lie on different grids.
        """
        pairs = [aligned(a, b) for a, b in zip(self.dimensions, other.dimensions, strict=True)]
        one = self._with([a for a, _ in pairs], self.low, self.high)
        two = other._with([b for _, b in pairs], other.low, other.high)
        (top, bottom, downwards), (left, right, sideways) = _axis_union(one, two, 0), _axis_union(one, two, 1)
        low, high = np.stack(np.broadcast_arrays(top, left)), np.stack(np.broadcast_arrays(bottom, right))
        moving = downwards, sideways
        dimensions = [tuple(_either(a, b, moving) for a, b in zip(*pair, strict=True)) for pair in pairs]
        return self._with(dimensions, low, high)

    def same(self, other: "Field") -> bool:
        """Whether each element sees the same as in another tensor."""
        corners = (self.low, other.low), (self.high, other.high)
        return self.dimensions == other.dimensions and all(np.array_equal(a, b) for a, b in corners)

    def receptive_field(self) -> ReceptiveField:
        """Size, jump and offset of a position; all channels together.

        Raises:
            LayerError: nothing is seen, or the positions do not lie along one dimension, or not evenly.
        """
        low, high = self.low.reshape(2, -1).min(1), self.high.reshape(2, -1).max(1)
        if (low > high).any():
            raise LayerError("its output does not depend on the picture")
        size, centre = (high - low + 1).tolist(), ((low + high) / 2).tolist()
        return ReceptiveField((size[0], size[1]), (self._jump(0), self._jump(1)), (centre[0], centre[1]))

    def _jump(self, axis: int) -> float:
        moving = [d for d in self.dimensions if any(factor.jump[axis] for factor in d)]
        if len(moving) > 1:
            raise LayerError("its channels see different parts of the picture")
        steps = sorted((f.jump[axis], f.size) for d in moving for f in d if f.jump[axis])
        if any(slow != fast * size for (fast, size), (slow, _) in pairwise(steps)):
            raise LayerError("its positions do not lie evenly on the picture")
        return float(steps[0][0]) if steps else 0.0

    def _with(self, dimensions: Sequence[Dimension], low: Corner, high: Corner) -> "Field":
        """Another tensor's field. An axis along which nothing moves sees the picture alone, no padding."""
        moving = self._pixels(_moving(dimensions), 1, low.ndim) > 0
        last = self._pixels((self.picture[0] - 1, self.picture[1] - 1), 1, low.ndim)
        low, high = np.where(moving, low, np.maximum(low, 0)), np.where(moving, high, np.minimum(high, last))
        empty = low > high  # padding alone
        low, high = np.where(empty, _NOWHERE, low), np.where(empty, -_NOWHERE, high)
        return Field(tuple(dimensions), low, high, self.picture)

    def _replaced(self, place: int, dimension: Dimension) -> list[Dimension]:
        dimensions = list(self.dimensions)
        dimensions[place] = dimension
        return dimensions

    def _picked(self, place: int, indices: np.ndarray, kernel: int) -> "Field":
        """Some of the places along a dimension that varies."""
        outside = (indices < 0).any() or (indices >= self.shape[place]).any()
        if kernel > 1 or outside or self.moves(place):
            raise LayerError("a window slides over channels that see different parts of the picture")
        low, high = (corner.take(indices, self._axis(place)) for corner in (self.low, self.high))
        return self._with(self._replaced(place, still(len(indices))), low, high)

    def _axis(self, place: int) -> int:
        return 1 + place % len(self.dimensions)

    def _pixels(self, jump: tuple[int, int], steps: int, ndim: int | None = None) -> Corner:
        shape = (2,) + (1,) * ((self.low.ndim if ndim is None else ndim) - 1)
        return np.array(times(jump, steps), dtype=np.int64).reshape(shape)

    def _ramp(self, place: int) -> Corner:
        """How far each place along a dimension is from the first."""
        ramp = np.zeros((2, 1), dtype=np.int64)
        for factor in self.dimensions[place]:
            steps = np.multiply.outer(np.array(factor.jump, dtype=np.int64), np.arange(factor.size))
            ramp = (ramp[:, :, None] + steps[:, None]).reshape(2, -1)
        axis = self._axis(place)
        return ramp.reshape([2, *(ramp.shape[1] if i == axis else 1 for i in range(1, self.low.ndim))])


def _moving(dimensions: Sequence[Dimension]) -> tuple[int, int]:
    """The longest jump along each axis, 0 where none moves."""
    factors = [factor for dimension in dimensions for factor in dimension]
    return max((f.jump[0] for f in factors), default=0), max((f.jump[1] for f in factors), default=0)


def _axis_union(one: Field, two: Field, axis: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """First and last row (column) that two tensors see together, and whether that moves."""
    if _steps(one, axis) == _steps(two, axis):
        moving = any(jump for _, jump in _steps(one, axis))
        return np.minimum(one.low[axis], two.low[axis]), np.maximum(one.high[axis], two.high[axis]), moving
    a, b = (field.spread(*filter(field.moves, range(len(field.dimensions)))) for field in (one, two))
    low, high = np.minimum(a.low[axis], b.low[axis]), np.maximum(a.high[axis], b.high[axis])
    for field, whole in ((one, a), (two, b)):
        fixed = not any(jump for _, jump in _steps(field, axis))
        if fixed and (whole.low[axis] == low).all() and (whole.high[axis] == high).all():
            return low, high, False  # a gate that sees all that the other sees from anywhere
    if any(size > 1 and jump for field in (one, two) for size, jump in _steps(field, axis)):
        raise LayerError("it joins maps whose positions lie on different grids")
    return low, high, False


def _steps(field: Field, axis: int) -> list[tuple[int, int]]:
    return [(f.size, f.jump[axis]) for dimension in field.dimensions for f in dimension]


def _either(one: Factor, two: Factor, moving: tuple[bool, bool]) -> Factor:
    down, right = (max(jumps) if moves else 0 for *jumps, moves in zip(one.jump, two.jump, moving, strict=True))
    return Factor(one.size, (down, right))


def _reshaped(corner: Corner, at: int, own: tuple[int, ...], sizes: tuple[int, ...]) -> Corner:
    """The axes from `at` on, as many as `own` has, as `sizes`."""
    before, between, behind = corner.shape[:at], corner.shape[at : at + len(own)], corner.shape[at + len(own) :]
    if all(size == 1 for size in between):
        return corner.reshape(*before, *(1 for _ in sizes), *behind)
    return np.broadcast_to(corner, (*before, *own, *behind)).reshape(*before, *sizes, *behind)
