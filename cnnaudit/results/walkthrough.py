"""How a convolution makes its numbers: what went in, the kernels, and what comes behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from cnnaudit.errors import OptionError
from cnnaudit.results.networks import ReceptiveField

Box = tuple[int, int, int, int]
"""First row, first column, and the row and the column behind the last ones."""


@dataclass(frozen=True, slots=True)
class Sliding:
    """How the kernel slides; each value is (height, width), and a 1-D convolution has rows of height 1.

    Attributes:
        before, after: places that padding adds above and left, below and right.
        mode: what stands there, as torch calls it ("zeros", "reflect", …).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    mode: str
    groups: int


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a pooling along one direction: the places of each, and by how many a mean divides."""

    places: tuple[range, ...]
    sizes: tuple[int, ...]

    def around(self, place: int) -> int | None:
        """Of the windows that hold this place, the one whose middle is nearest; None where none does."""
        holding = [at for at, window in enumerate(self.places) if place in window]
        return min(holding, key=lambda at: abs(self.places[at][0] + self.places[at][-1] - 2 * place), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One operation behind the convolution.

    Attributes:
        kind: "norm" scales and shifts each channel, "sum" adds what came another way, "pooling" is the last.
        name: the operation in words ("batch norm", "ReLU", "max pooling").
        layer: the module that it ran in; empty where the network's own forward did it.
        maps: its results for the channels that are walked through, as the network computed them.
        scale, shift: of a norm that does the same everywhere, a value a channel.
        added: the other summand.
        rows, columns: of a pooling.
    """

    kind: Literal["norm", "sum", "activation", "pooling"]
    name: str
    layer: str
    maps: Float32[np.ndarray, "k u v"]
    scale: tuple[float, ...] | None = None
    shift: tuple[float, ...] | None = None
    added: Float32[np.ndarray, "k u v"] | None = None
    rows: Windows | None = None
    columns: Windows | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """One output channel of the convolution.

    Attributes:
        channel: its number.
        inputs: numbers of the input channels that are shown, the largest contribution first.
        weights: their kernels.
        bias: 0 where there is none.
        output: as the network computed it.
        rest: at each place, the sum over the input channels that are not shown.
    """

    channel: int
    inputs: tuple[int, ...]
    weights: Float32[np.ndarray, "i r s"]
    bias: float
    output: Float32[np.ndarray, "h w"]
    rest: Float64[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The window of a pooling: its values, where its result stands, and the result."""

    window: Float32[np.ndarray, "r s"]
    at: tuple[int, int]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """How one value of a convolution came about: output = sums + rest + bias, but for rounding.

    Attributes:
        patch: what lies under the kernel, for each input channel that is shown.
        products: patch times kernel.
        sums: of each input channel's products.
        output: as the network computed it.
        behind: the value behind each stage that changes values in their places.
        pooled: None where no pooling follows, or none of its windows holds the place.
        field: what it can see of the photo, cut off at the photo's edges; None where that cannot be told.
    """

    inputs: tuple[int, ...]
    patch: Float32[np.ndarray, "i r s"]
    kernel: Float32[np.ndarray, "i r s"]
    products: Float64[np.ndarray, "i r s"]
    sums: Float64[np.ndarray, " i"]
    rest: float
    bias: float
    output: float
    behind: tuple[float, ...]
    pooled: Pooled | None
    field: Box | None


@dataclass(frozen=True, slots=True, eq=False)
class Walkthrough:
    """A convolution at work on one photo, for a few of its channels.

    Attributes:
        image: the photo's name.
        pixels: as the network was given them, before normalisation.
        kind: the layer's class, as torch writes it.
        calls: how often the network calls the layer; the first time is shown.
        of: how many input channels each kernel sums over, and how many output channels there are.
        shape: of the input, without padding: height and width.
        inputs: numbers of the input channels that are carried.
        maps: those, with padding.
        kernels: the channels that are walked through.
        stages: what follows, up to the first pooling; it ends where the maps go more than one way.
        receptive_field: None where it cannot be told.
    """

    image: str
    pixels: Float32[np.ndarray, "c h w"]
    layer: str
    kind: str
    calls: int
    of: tuple[int, int]
    shape: tuple[int, int]
    sliding: Sliding
    inputs: tuple[int, ...]
    maps: Float32[np.ndarray, "i p q"]
    kernels: tuple[Kernel, ...]
    stages: tuple[Stage, ...]
    receptive_field: ReceptiveField | None

    @property
    def channels(self) -> tuple[int, ...]:
        """Numbers of the output channels that are walked through."""
        return tuple(kernel.channel for kernel in self.kernels)

    @property
    def pooling(self) -> Stage | None:
        """The last stage, if it is one."""
        return self.stages[-1] if self.stages and self.stages[-1].kind == "pooling" else None

    def at(self, channel: int, row: int, column: int) -> Steps:
        """Every step to one value of the output.

        Raises:
            OptionError: the channel is not walked through, or the place lies outside of the output.
        """
        self._check(channel, row, column)
        place = self.channels.index(channel)
        kernel, patch = self.kernels[place], self._patch(place, row, column)
        products = patch.astype(np.float64) * kernel.weights
        return Steps(
            inputs=kernel.inputs,
            patch=patch,
            kernel=kernel.weights,
            products=products,
            sums=products.sum((1, 2)),
            rest=float(kernel.rest[row, column]),
            bias=kernel.bias,
            output=float(kernel.output[row, column]),
            behind=tuple(float(s.maps[place, row, column]) for s in self.stages if s.kind != "pooling"),
            pooled=self._pooled(place, row, column),
            field=self.field(row, column),
        )

    def field(self, row: int, column: int) -> Box | None:
        """What a place of the output can see of the photo."""
        seen = self.receptive_field
        if seen is None:
            return None
        edges = [
            _cut(offset + jump * at, size, end)
            for offset, jump, size, at, end in zip(
                seen.offset, seen.jump, seen.size, (row, column), self.pixels.shape[1:], strict=True
            )
        ]
        return edges[0][0], edges[1][0], edges[0][1], edges[1][1]

    def _check(self, channel: int, row: int, column: int) -> None:
        if channel not in self.channels:
            raise OptionError(
                f"Channel {channel} of {self.layer!r} is not walked through; these are: "
                f"{', '.join(map(str, self.channels))}. Name it in walkthrough(…, channels=[…])."
            )
        height, width = self.kernels[0].output.shape
        if not (0 <= row < height and 0 <= column < width):
            raise OptionError(
                f"{self.layer!r} has rows 0 to {height - 1} and columns 0 to {width - 1}; got {row}, {column}."
            )

    def _patch(self, place: int, row: int, column: int) -> Float32[np.ndarray, "i r s"]:
        shown = [self.inputs.index(number) for number in self.kernels[place].inputs]
        slides = zip((row, column), self.sliding.kernel, self.sliding.stride, self.sliding.dilation, strict=True)
        rows, columns = (np.arange(kernel) * dilation + at * stride for at, kernel, stride, dilation in slides)
        return self.maps[np.ix_(np.array(shown), rows, columns)]

    def _pooled(self, place: int, row: int, column: int) -> Pooled | None:
        pooling = self.pooling
        if pooling is None or pooling.rows is None or pooling.columns is None:
            return None
        down, right = pooling.rows.around(row), pooling.columns.around(column)
        if down is None or right is None:
            return None
        behind = self.stages[-2].maps[place] if len(self.stages) > 1 else self.kernels[place].output
        window = behind[np.ix_(np.array(pooling.rows.places[down]), np.array(pooling.columns.places[right]))]
        return Pooled(window, (down, right), float(pooling.maps[place, down, right]))


def _cut(centre: float, size: int, end: int) -> Sequence[int]:
    """The first pixel and the one behind the last, within the photo."""
    first = round(centre - (size - 1) / 2)
    return max(0, min(first, end)), max(0, min(first + size, end))
