"""The kernels of the convolutions: ordered by likeness, the superfluous ones counted."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError, NotApplicableError, OptionError
from cnnaudit.inspection.convolutions import Convolution, chosen_convolutions, convolutions
from cnnaudit.results import AlikeFilters, FilterBank, Filters

_PAIRS = 20

Kernels = Float64[np.ndarray, "n c h w"]


def filters(
    classifier: Classifier,
    *,
    layers: Sequence[str] | None = None,
    inputs: int = 6,
    alike: float = 0.95,
    near_zero: float = 0.01,
) -> Filters:
    r"""The filters of convolutions, like beside like, with near-duplicates and filters near zero counted.

    Two filters are compared by the cosine of the angle between their weights,
    $\cos(a, b) = \langle a, b \rangle / (\|a\| \|b\|)$. The order is a greedy chain: it begins with the longest
    filter and goes on with the one most like the last, filters near zero at the end.

    Args:
        classifier: the network.
        layers: names of convolutions; by default all that run.
        inputs: of each filter, at most so many input channels are kept, those with the largest weights.
        alike: |cosine| from which two filters that read the same channels are near-duplicates.
        near_zero: share of the layer's root mean square length up to which a filter is near zero. A batch
            normalisation behind the layer may enlarge such a filter again.

    Returns:
        A bank for each layer, in the order in which they run (or are named).

    Raises:
        LayerError: there is no such layer, or it is no convolution.
        NotApplicableError: the network has no convolution, or is traced.
        OptionError: an option is out of range.
        ModelError: a weight is not finite.
    """
    if inputs < 1 or not 0 < alike <= 1 or not 0 <= near_zero < 1:
        raise OptionError(
            f"filters takes inputs of at least 1, alike in (0, 1] and near_zero in [0, 1); got {inputs}, {alike}, "
            f"{near_zero}."
        )
    chosen = chosen_convolutions(classifier, layers)
    with hooks.borrowed(classifier.network), torch.no_grad():  # a weight may be computed, with side effects
        banks = tuple(_bank(name, module, inputs, alike, near_zero) for name, module in chosen.items())
    first = next(iter(convolutions(classifier) if layers else chosen))
    return Filters(banks, first if first in chosen else None, alike, near_zero)


def _bank(name: str, module: Convolution, inputs: int, alike: float, near_zero: float) -> FilterBank:
    kernels, groups = _kernels(name, module), int(module.groups)
    lengths = np.sqrt(np.square(kernels).sum((1, 2, 3)))
    faint = lengths <= near_zero * np.sqrt(np.square(lengths).mean())
    cosines = _cosines(kernels, lengths)
    pairs = _near_duplicates(cosines, faint, groups, alike)
    channels, held = _strongest(kernels, inputs)
    return FilterBank(
        layer=name,
        shape=kernels.shape,
        groups=groups,
        order=_chain(cosines, lengths, faint),
        kernels=np.take_along_axis(kernels, channels[..., None, None], axis=1).astype(np.float32),
        channels=channels + _first_channels(kernels, groups)[:, None],
        held=held.astype(np.float32),
        lengths=lengths.astype(np.float32),
        pairs=len(pairs),
        duplicated=len(np.unique(pairs)),
        alike=_most_alike(pairs, cosines),
        near_zero=tuple(np.flatnonzero(faint).tolist()),
    )


def _kernels(name: str, module: Convolution) -> Kernels:
    """The weights by the channel that they make, also of a transposed convolution; a signal's have one row."""
    if not hasattr(module, "groups"):
        raise NotApplicableError(f"{name!r} is traced and no longer tells its groups, so that its filters are unknown.")
    weight = module.weight.detach().double().cpu()
    if "Transpose" in getattr(module, "original_name", type(module).__name__):
        parted = weight.unflatten(0, (module.groups, -1)).transpose(1, 2)
        weight = parted.flatten(0, 1)
    kernels = (weight.unsqueeze(2) if weight.ndim == 3 else weight).numpy()
    if not np.isfinite(kernels).all():
        raise ModelError(f"The weights of {name!r} are not all finite. Are they damaged?")
    return kernels


def _first_channels(kernels: Kernels, groups: int) -> Int64[np.ndarray, " n"]:
    """The first input channel that each filter reads."""
    return _group(len(kernels), groups) * kernels.shape[1]


def _group(count: int, groups: int) -> Int64[np.ndarray, " n"]:
    return np.arange(count) // (count // groups)


def _strongest(kernels: Kernels, inputs: int) -> tuple[Int64[np.ndarray, "n k"], Float64[np.ndarray, " n"]]:
    """The channels that are kept of each filter, within its group, and their part of its squared weights."""
    squares = np.square(kernels).sum((2, 3))
    if squares.shape[1] <= inputs:
        return np.tile(np.arange(squares.shape[1]), (len(squares), 1)), np.ones(len(squares))
    channels = np.argsort(-squares, axis=1, kind="stable")[:, :inputs]
    totals = squares.sum(1)
    kept = np.take_along_axis(squares, channels, axis=1).sum(1)
    return channels, np.divide(kept, totals, out=np.ones(len(squares)), where=totals > 0)


def _cosines(kernels: Kernels, lengths: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n n"]:
    flat = kernels.reshape(len(kernels), -1)
    units = np.divide(flat, lengths[:, None], out=np.zeros_like(flat), where=lengths[:, None] > 0)
    return np.clip(units @ units.T, -1, 1)


def _near_duplicates(
    cosines: Float64[np.ndarray, "n n"], faint: Bool[np.ndarray, " n"], groups: int, alike: float
) -> Int64[np.ndarray, "p 2"]:
    """Pairs of one group, the smaller number first."""
    group = _group(len(cosines), groups)
    close = (np.abs(cosines) >= alike) & (group[:, None] == group) & ~(faint[:, None] | faint)
    return np.argwhere(np.triu(close, 1))


def _most_alike(pairs: Int64[np.ndarray, "p 2"], cosines: Float64[np.ndarray, "n n"]) -> tuple[AlikeFilters, ...]:
    values = cosines[pairs[:, 0], pairs[:, 1]]
    best = np.argsort(-np.abs(values), kind="stable")[:_PAIRS]
    return tuple(AlikeFilters(int(pairs[k, 0]), int(pairs[k, 1]), float(values[k])) for k in best)


def _chain(
    cosines: Float64[np.ndarray, "n n"], lengths: Float64[np.ndarray, " n"], faint: Bool[np.ndarray, " n"]
) -> tuple[int, ...]:
    left = ~faint
    order: list[int] = []
    last = int(np.argmax(np.where(left, lengths, -1)))
    while left.any():
        order.append(last)
        left[last] = False
        last = int(np.argmax(np.where(left, cosines[last], -np.inf)))
    return (*order, *np.flatnonzero(faint).tolist())
