"""The largest values of many units over a stream of pictures, in memory that does not grow with it."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_AHEAD = 4  # candidates that wait for each place among the best
_HELD = 1 << 18  # values that wait
_VECTORS = 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32  # numbers that torch compares at once
_ROW = 8 * _VECTORS  # in longer rows the next value to compare is far away


class Still:
    """The channels of one layer whose value has been the same everywhere so far; soon these are all but a few.

    Attributes:
        channels: their numbers.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.channels: Int64[Tensor, " s"] = torch.arange(channels, device=device)
        self._level: Float[Tensor, " s"] | None = None

    def add(self, maps: Float[Tensor, "n c *p"], peaks: Float[Tensor, "n c"] | None = None) -> None:
        """Cross out the channels that vary; `peaks` are their largest values, which tell of most that they do."""
        if not len(self.channels):
            return
        peaks = (largest(maps) if peaks is None else peaks)[:, self.channels]
        level = peaks[0] if self._level is None else self._level
        self._keep((peaks == level).all(0), level)
        if len(self.channels) and maps.ndim > 2 and (left := self._level) is not None:
            some = maps[:, self.channels].flatten(2) == left[None, :, None]
            self._keep(some.all(2).all(0), left)

    def _keep(self, same: Bool[Tensor, " s"], level: Float[Tensor, " s"]) -> None:
        self.channels, self._level = self.channels[same], level[same].clone()


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What is kept of a batch: each picture's place and each channel's largest value in it.

    Attributes:
        better: the rows and channels of the values that may be among the best.
        positions: where these are in the flattened output.
    """

    places: Int64[Tensor, " n"]
    tops: Float[Tensor, "n c"]
    better: Int64[Tensor, "m 2"]
    positions: Int64[Tensor, " m"]


class Best:
    """For each channel of one layer the `k` pictures in which its largest value is largest, and where that is.

    Of equal values the picture that came first counts, and in it the first position. Small operations cost more than
    the numbers in them: what may be among the best is kept aside, and sorted in for many batches at a time.
    """

    def __init__(self, channels: int, k: int, device: torch.device) -> None:
        self._values: Float[Tensor, "c k"] = torch.full((channels, k), -torch.inf, device=device)
        self._found: Int64[Tensor, "2 c k"] = torch.full((2, channels, k), -1, device=device)
        self._waiting: list[_Batch] = []
        self._sums = torch.zeros(2, channels, dtype=torch.float64, device="cpu" if device.type == "mps" else device)
        self._count = 0
        self._still = Still(channels, device)

    def add(self, maps: Float[Tensor, "n c *p"], places: Int64[Tensor, " n"]) -> None:
        """Take in what the layer returned for pictures; these come in rising order."""
        raw = largest(maps)
        self._still.add(maps, raw)
        tops, k = raw.float(), self._values.shape[1]
        better = tops > self._values[:, -1]
        if first := not self._count and len(tops) > k:  # else all would be better than nothing
            better &= tops >= tops.topk(k, 0).values[-1]
        found = better.nonzero()
        self._waiting.append(_Batch(places, tops, found, _first(maps[found[:, 0], found[:, 1]])))
        self._count += len(tops)
        if first or self._full():
            self._settle()

    @property
    def finite(self) -> bool:
        """Whether all largest values were finite numbers."""
        self._settle()
        return bool(self._sums.isfinite().all())

    @property
    def silent(self) -> Int64[Tensor, " s"]:
        """The channels whose value was the same everywhere in all pictures."""
        return self._still.channels

    def spread(self) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Mean and standard deviation over the pictures of each channel's largest value in them, on the CPU."""
        self._settle()
        mean, square = self._sums.cpu() / self._count
        return mean, (square - mean.square()).clamp(min=0).sqrt()

    def won(self) -> tuple[Tensor, Tensor, Tensor]:
        """Values, the largest first, places of the pictures, and positions in the flattened output, each `c k`.

        They are on the CPU. Where there were not enough pictures, values are minus infinity and places -1.
        """
        self._settle()
        places, positions = self._found.cpu()
        return self._values.cpu(), places, positions

    def _full(self) -> bool:
        held = sum(each.tops.numel() for each in self._waiting)
        return held > _HELD or sum(len(each.better) for each in self._waiting) > _AHEAD * self._values.numel()

    def _settle(self) -> None:
        """Sum up, and sort in among the best, what waits."""
        if not self._waiting:
            return
        tops = torch.cat([each.tops for each in self._waiting])
        wide = tops.to(self._sums)
        self._sums += torch.stack([wide.sum(0), wide.square().sum(0)])
        begins = accumulate((len(each.tops) for each in self._waiting[:-1]), initial=0)
        rows = torch.cat([each.better[:, 0] + begin for begin, each in zip(begins, self._waiting, strict=True)])
        columns = torch.cat([each.better[:, 1] for each in self._waiting])
        found = torch.stack(
            [
                torch.cat([each.places for each in self._waiting])[rows],
                torch.cat([each.positions for each in self._waiting]),
            ]
        )
        self._waiting.clear()
        self._sort_in(columns, tops[rows, columns], found)

    def _sort_in(self, columns: Int64[Tensor, " m"], values: Float[Tensor, " m"], found: Int64[Tensor, "2 m"]) -> None:
        (channels, k), device = self._values.shape, values.device
        own = torch.arange(channels, device=device)
        columns = torch.cat([own.repeat_interleave(k), columns])
        values = torch.cat([self._values.flatten(), values])
        order = values.argsort(descending=True, stable=True)
        order = order[columns[order].argsort(stable=True)]
        begins = torch.searchsorted(columns[order], own)
        order = order[begins[:, None] + torch.arange(k, device=device)]
        self._values, self._found = values[order], torch.cat([self._found.flatten(1), found], 1)[:, order]


def largest(maps: Float[Tensor, "n c *p"]) -> Float[Tensor, "n c"]:
    """Each channel's largest value.

    Where the maps lie channels last, some positions side by side are compared with as many others first: over few
    channels at a time torch takes twenty times as long.
    """
    if maps.ndim == 4 and maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous():
        n, c, h, w = maps.shape
        wide = _side_by_side(c, h, w)
        return maps.permute(0, 2, 3, 1).reshape(n, -1, wide * c).amax(1).view(n, wide, c).amax(1)
    return maps.amax(tuple(range(2, maps.ndim))) if maps.ndim > 2 else maps


def _side_by_side(channels: int, height: int, width: int) -> int:
    """How many positions are compared at once: whole vectors, but not far between; else those of a row."""
    fitting = (n for n in range(1, _ROW // channels + 1) if n * channels % _VECTORS == height * width % n == 0)
    return next(fitting, width)


def _first(maps: Float[Tensor, "n ..."]) -> Int64[Tensor, " n"]:
    """Where each is largest, the first place of several."""
    flat = maps.flatten(1) if maps.ndim > 1 else maps[:, None]
    return flat.argmax(1)
