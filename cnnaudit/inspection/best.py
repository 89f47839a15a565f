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

    def add(self, maps: Float[Tensor, "n c *p"]) -> None:
        """Cross out the channels that vary."""
        if len(self.channels):
            some = maps[:, self.channels].flatten(2) if maps.ndim > 2 else maps[:, self.channels, None]
            level = some[0, :, 0] if self._level is None else self._level
            same = (some == level[None, :, None]).all(2).all(0)
            self.channels, self._level = self.channels[same], level[same].clone()


class Best:
    """For each channel of one layer the `k` pictures in which its largest value is largest, and where that is.

    Of equal values the picture that came first counts, and in it the first position.

    Attributes:
        values: the largest first, `c k`; minus infinity where there were not enough pictures.
        places: of the pictures, `c k`.
        positions: in the flattened output, `c k`.
    """

    def __init__(self, channels: int, k: int, device: torch.device) -> None:
        self.values: Float[Tensor, "c k"] = torch.full((channels, k), -torch.inf, device=device)
        self.places: Int64[Tensor, "c k"] = torch.full((channels, k), -1, device=device)
        self.positions: Int64[Tensor, "c k"] = torch.zeros_like(self.places)
        self._sums = torch.zeros(2, channels, dtype=torch.float64, device="cpu" if device.type == "mps" else device)
        self._still = Still(channels, device)
        self._count = 0

    def add(self, maps: Float[Tensor, "n c *p"], places: Int64[Tensor, " n"]) -> None:
        """Take in what the layer returned for pictures; these come in rising order."""
        tops = _tops(maps).float()
        wide = tops.to(self._sums)
        self._sums += torch.stack([wide.sum(0), wide.square().sum(0)])
        self._count += len(tops)
        self._still.add(maps)
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
        """Values, places and positions on the CPU, each `c k`."""
        return self.values.cpu(), self.places.cpu(), self.positions.cpu()

    def _merge(self, maps: Tensor, tops: Tensor, places: Tensor) -> None:
        k = self.values.shape[1]
        beaten = tops > self.values[:, -1]
        better, some = (beaten.any(dim).nonzero().squeeze(1) for dim in (0, 1))
        if not len(better):
            return
        pool = torch.cat([self.values[better], tops[some][:, better].T], 1)  # soon of a few pictures only
        values, order = pool.sort(dim=1, descending=True, stable=True)
        values, order = values[:, :k], order[:, :k]
        fresh = order >= k
        rows = some[(order - k).clamp(min=0)]
        kept = order.clamp(max=k - 1)
        self.values[better] = values
        self.places[better] = torch.where(fresh, places[rows], self.places[better].gather(1, kept))
        positions = self.positions[better].gather(1, kept)
        positions[fresh] = _peaks(maps, rows, better, fresh)
        self.positions[better] = positions


def _tops(maps: Float[Tensor, "n c *p"]) -> Float[Tensor, "n c"]:
    """Each channel's largest value.

    Where the maps lie channels last, whole rows are compared first: over few channels at a time torch takes twenty
    times as long.
    """
    if maps.ndim == 4 and maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous():
        n, c, h, w = maps.shape
        return maps.permute(0, 2, 3, 1).reshape(n, h, w * c).amax(1).view(n, w, c).amax(1)
    return maps.amax(tuple(range(2, maps.ndim))) if maps.ndim > 2 else maps


def _peaks(maps: Tensor, rows: Tensor, channels: Tensor, fresh: Bool[Tensor, "b k"]) -> Int64[Tensor, " m"]:
    """Where the chosen pictures' maps are largest."""
    chosen = maps[rows[fresh], channels[:, None].expand_as(rows)[fresh]]
    return chosen.flatten(1).argmax(1) if chosen.ndim > 1 else torch.zeros_like(rows[fresh])
