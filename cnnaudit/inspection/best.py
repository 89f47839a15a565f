"""The largest values of many units over a stream of pictures, in memory that does not grow with it."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


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


class Best:
    """For each channel of one layer the `k` pictures in which its largest value is largest, and where that is.

    Of equal values the picture that came first counts, and in it the first position.

    Attributes:
        values: the largest first, `c k`; minus infinity where there were not enough pictures.
    """

    def __init__(self, channels: int, k: int, device: torch.device) -> None:
        self.values: Float[Tensor, "c k"] = torch.full((channels, k), -torch.inf, device=device)
        self._found: Int64[Tensor, "2 c k"] = torch.full((2, channels, k), -1, device=device)
        self._sums = torch.zeros(2, channels, dtype=torch.float64, device="cpu" if device.type == "mps" else device)
        self._still = Still(channels, device)
        self._count = 0

    def add(self, maps: Float[Tensor, "n c *p"], places: Int64[Tensor, " n"]) -> None:
        """Take in what the layer returned for pictures; these come in rising order."""
        raw = largest(maps)
        self._still.add(maps, raw)
        tops = raw.float()
        wide = tops.to(self._sums)
        self._sums += torch.stack([wide.sum(0), wide.square().sum(0)])
        self._count += len(tops)
        self._merge(maps, tops, places)

    @property
    def finite(self) -> bool:
        """Whether all largest values were finite numbers."""
        return bool(self._sums.isfinite().all())

    @property
    def silent(self) -> Int64[Tensor, " s"]:
        """The channels whose value was the same everywhere in all pictures."""
        return self._still.channels

    def spread(self) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Mean and standard deviation over the pictures of each channel's largest value in them, on the CPU."""
        mean, square = self._sums.cpu() / self._count
        return mean, (square - mean.square()).clamp(min=0).sqrt()

    def won(self) -> tuple[Tensor, Tensor, Tensor]:
        """Values, places of the pictures, and positions in the flattened output, on the CPU, each `c k`.

        Where there were not enough pictures, places are -1.
        """
        places, positions = self._found.cpu()
        return self.values.cpu(), places, positions

    def _merge(self, maps: Tensor, tops: Tensor, places: Tensor) -> None:
        k = self.values.shape[1]
        better = (tops > self.values[:, -1]).any(1).nonzero().squeeze(1)  # soon a few pictures only
        if not len(better):
            return
        pool = torch.cat([self.values, tops[better].T], 1)
        values, order = pool.sort(dim=1, descending=True, stable=True)
        order = order[:, :k]
        channels, ranks = (order >= k).nonzero(as_tuple=True)
        rows = better[order[channels, ranks] - k]
        found = self._found.gather(2, order.clamp(max=k - 1).expand_as(self._found))
        found[:, channels, ranks] = torch.stack([places[rows], _first(maps[rows, channels])])
        self.values, self._found = values[:, :k], found


def largest(maps: Float[Tensor, "n c *p"]) -> Float[Tensor, "n c"]:
    """Each channel's largest value.

    Where the maps lie channels last, whole rows are compared first: over few channels at a time torch takes twenty
    times as long.
    """
    if maps.ndim == 4 and maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous():
        n, c, h, w = maps.shape
        return maps.permute(0, 2, 3, 1).reshape(n, h, w * c).amax(1).view(n, w, c).amax(1)
    return maps.amax(tuple(range(2, maps.ndim))) if maps.ndim > 2 else maps


def _first(maps: Float[Tensor, "n ..."]) -> Int64[Tensor, " n"]:
    """Where each is largest, the first place of several."""
    flat = maps.flatten(1) if maps.ndim > 1 else maps[:, None]
    return flat.argmax(1)
