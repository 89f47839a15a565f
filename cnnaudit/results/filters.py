"""What the convolutions of a network look for: their kernels, in an order in which like stands beside like."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64


@dataclass(frozen=True, slots=True)
class AlikeFilters:
    """Two filters of one layer, by number, and the cosine of the angle between their weights."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class FilterBank:
    """The filters of one convolution. Arrays go by the filters' own numbers, `n` of them.

    Attributes:
        shape: filters, input channels that each reads, rows and columns of a kernel.
        groups: of the convolution; filters of different groups read different channels.
        order: all filters, like beside like, those near zero last.
        kernels: of each filter the `k` input channels with the largest weights, or all where there are
            no more than `k`.
        channels: which of the layer's input channels these are: the strongest first, or in their own order
            where they are all.
        held: the part of the sum of each filter's squared weights that is in them.
        lengths: of each filter, the square root of the sum of its squared weights.
        pairs: how many pairs of one group are near-duplicates.
        duplicated: how many filters are in such a pair.
        alike: the most alike of these pairs, the first ones first where they are equal.
        near_zero: the filters whose length is next to nothing beside the others'.
    """

    layer: str
    shape: tuple[int, int, int, int]
    groups: int
    order: tuple[int, ...]
    kernels: Float32[np.ndarray, "n k h w"]
    channels: Int64[np.ndarray, "n k"]
    held: Float32[np.ndarray, " n"]
    lengths: Float32[np.ndarray, " n"]
    pairs: int
    duplicated: int
    alike: tuple[AlikeFilters, ...]
    near_zero: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """The filters of a network's convolutions, in the order in which these run.

    Attributes:
        first: the layer that reads the picture itself; None where it is not among the banks.
        alike: |cosine| from which two filters of one group count as near-duplicates.
        near_zero: share of the layer's root mean square length up to which a filter counts as near zero.
    """

    banks: tuple[FilterBank, ...]
    first: str | None
    alike: float
    near_zero: float
