"""The kernels of the first layer before and after training, all on one symmetric scale."""

from dataclasses import dataclass

import numpy as np

from cnnaudit.errors import CnnAuditError
from cnnaudit.report import figures
from cnnaudit.report.encoding import display_codes, display_limit
from cnnaudit.results import FilterFacts

_MOST = 96
_SMALL, _FEW = 11, 20
_MOST_WEIGHTS = 130_000  # noise does not compress: more would make the page heavy


@dataclass(frozen=True, slots=True)
class Bar:
    """One weight of a 1-D kernel, in per cent of the plot: where it begins, from the left and from the top."""

    left: float
    width: float
    top: float
    height: float
    negative: bool


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel as a picture, or as bars where it has one row and one channel."""

    picture: str | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Kernels:
    """What the page shows of a first layer.

    Attributes:
        kind: "colour" for three channels as red, green and blue, "bars" for rows of numbers, else "signed".
        size: "5 × 5 × 3", as the layer has it: rows, columns, channels.
        limit: the weight at which the colour saturates; bars are as high as the plot there.
        saturated: True when a weight is beyond the limit.
        largest: the largest |weight|.
        change: length of the difference over the length before training; None where that was zero.
        shape: rows and columns of each picture.
        start, end: in the same order.
    """

    layer: str
    kind: str
    size: str
    count: int
    limit: float
    saturated: bool
    largest: float
    change: float | None
    shape: tuple[int, int]
    start: tuple[Kernel, ...]
    end: tuple[Kernel, ...]

    @property
    def layout(self) -> str:
        """How much room each picture needs: "small", "large", or "wide" for long rows."""
        height, width = self.shape
        if max(height, width) <= _SMALL and len(self.start) > _FEW:
            return "small"
        return "wide" if width > 3 * height else "large"


def view(filters: FilterFacts) -> Kernels:
    """The kernels as pictures.

    Raises:
        CnnAuditError: a weight is not finite.
    """
    start, end = shown(filters)
    bound, kind = limit(filters), _kind(start)
    largest = float(max(np.abs(start).max(), np.abs(end).max()))
    channels, height, width = start.shape[1:]
    return Kernels(
        filters.layer,
        kind,
        size=f"{height} × {width}" + (f" × {channels}" if channels > 1 else ""),
        count=len(filters.start),
        limit=bound,
        saturated=largest > bound,
        largest=largest,
        change=change(filters),
        shape=_spread(start[0], kind).shape[:2],
        start=_drawn(start, bound, kind),
        end=_drawn(end, bound, kind),
    )


def shown(filters: FilterFacts) -> tuple[np.ndarray, np.ndarray]:
    """As many of the kernels as the page has room for, before and after training: float64, `n c h w`.

    Raises:
        CnnAuditError: a weight is not finite.
    """
    most = min(_MOST, max(1, _MOST_WEIGHTS // filters.start[0].size))
    before, after = (values[:most].astype(np.float64) for values in (filters.start, filters.end))
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise CnnAuditError(f"The weights of {filters.layer} are not all finite, so there is no scale to draw them on.")
    return before, after


def limit(filters: FilterFacts) -> float:
    """The weight at which the colour saturates, before and after training alike."""
    return display_limit(shown(filters))


def change(filters: FilterFacts) -> float | None:
    """How far training moved the whole layer: |end − start| / |start|; None for a layer that began at zero."""
    before, after = filters.start.astype(np.float64), filters.end.astype(np.float64)
    length = float(np.linalg.norm(before))
    return float(np.linalg.norm(after - before)) / length if length else None


def _kind(kernels: np.ndarray) -> str:
    channels, height = kernels.shape[1:3]
    if (channels, height) == (1, 1):
        return "bars"
    return "colour" if channels == 3 and height > 1 else "signed"


def _drawn(kernels: np.ndarray, bound: float, kind: str) -> tuple[Kernel, ...]:
    if kind == "bars":
        return tuple(Kernel(None, bars(each[0, 0], bound)) for each in kernels)
    return tuple(Kernel(figures.png_uri(coloured(_spread(each, kind), bound, kind)), ()) for each in kernels)


def _spread(kernel: np.ndarray, kind: str) -> np.ndarray:
    """`h w 3` in colour; else the channels of a kernel beside each other, those of a single row below each other."""
    if kind == "colour":
        return kernel.transpose(1, 2, 0)
    return kernel[:, 0] if kernel.shape[1] == 1 else np.concatenate(kernel, axis=1)


def coloured(values: np.ndarray, bound: float, kind: str) -> np.ndarray:
    """uint8, `h w 3`: weights as colours of their own, or on the signed palette; full colour at ±`bound`."""
    if kind == "colour":
        return np.rint(127.5 + 127.5 * np.clip(values / (bound or 1.0), -1, 1)).astype(np.uint8)
    return figures.coloured(display_codes(values, bound), figures.default_palette(signed=True))


def bars(weights: np.ndarray, bound: float) -> tuple[Bar, ...]:
    """From the middle line up for positive weights and down for negative ones; as high as the plot at ±`bound`."""
    width = 100 / len(weights)
    heights = 50 * np.clip(weights / (bound or 1.0), -1, 1)
    return tuple(
        Bar(round(place * width, 2), round(width, 2), round(50 - max(0, tall), 2), round(abs(tall), 2), tall < 0)
        for place, tall in enumerate(heights.tolist())
    )
