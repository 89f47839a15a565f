"""Which pixels a position really looks at: where the mass of its gradient lies in its receptive field."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, OptionError
from cnnaudit.inspection.extents import extent_of
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.inspection.layouts import need_channels_first
from cnnaudit.inspection.operations import tensors
from cnnaudit.inspection.receptive_field import receptive_field
from cnnaudit.results import EffectiveField
from cnnaudit.results.effective_fields import Box
from cnnaudit.shapes import Pixels

MASS = 0.95
"""The part of the gradient's mass that counts as where a position looks."""


def effective_field(
    classifier: Classifier,
    layer: str,
    pixels: Pixels,
    *,
    position: Sequence[int] | None = None,
    draws: int = 1,
    seed: int = 0,
) -> EffectiveField:
    r"""How much one position of a layer changes with each pixel, and where most of that lies.

    For the channels $y_k$ of the position and pixels $x_c(p)$, the strength is
    $s(p) = \sqrt{\operatorname{mean} \sum_{k,c} (\partial y_k / \partial x_c(p))^2}$, the mean over pictures. The sum
    over channels is estimated without bias as $(\sum_k v_k\, \partial y_k / \partial x_c)^2$ with random signs
    $v_k$, so that one backward pass serves all of them; it is exact for a position with one channel.

    Args:
        layer: whose output has spatial directions, and a receptive field that can be told.
        pixels: pictures `n c h w` in [0, 1] to take the mean over; the field depends on them.
        position: of the layer's output; by default the one in its middle.
        draws: of random signs for each picture; more make the estimate steadier.
        seed: of the signs.

    Returns:
        Strength of each pixel, `h w`, not negative, in the unit of the layer's output a unit of the pixel; and the
        numbers that sum it up.

    Raises:
        LayerError: no such layer, it has no positions or no receptive field, its channels come last, or no gradient
            leads to the pixels.
        OptionError: the position is outside the layer's output, `draws` is not positive, or there is no picture.
        ModelError: the network fails on the pictures.

    Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
    NeurIPS 2016, arXiv 1701.04128. There the gradient is that of one channel, averaged over random weights.
    """
    find_module(classifier, layer)
    exact = receptive_field(classifier, layer)
    need_channels_first(classifier, [layer])
    if draws < 1 or pixels.ndim != 4 or not len(pixels):
        raise OptionError(
            f"An effective field takes at least one picture, n c h w, and one draw; got {tuple(pixels.shape)} and "
            f"{draws} draws."
        )
    strength, place = _strength(classifier, layer, pixels, position, draws, seed)
    extent = extent_of(exact, place, (pixels.shape[2], pixels.shape[3]))
    return EffectiveField(
        layer=layer,
        position=place,
        exact=exact,
        extent=extent,
        strength=strength,
        box=_box(strength) if strength.any() else None,
        spread=(_deviation(strength.sum(1)), _deviation(strength.sum(0))),
        share=_share(strength, extent),
        pictures=len(pixels),
    )


def _strength(
    classifier: Classifier, layer: str, pixels: Pixels, position: Sequence[int] | None, draws: int, seed: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The root mean square gradient, `h w`, and the position that it is of."""
    generator = torch.Generator("cpu").manual_seed(seed)
    kept: list[tuple[Tensor, tuple[int, ...]]] = []

    def seen(_name: str, output: object) -> None:
        if not kept:  # a layer that is called again sees the same pixels, or has no receptive field
            kept.append(_picked(classifier, layer, output, position))

    with hooks.borrowed(classifier.network), hooks.watched({layer: find_module(classifier, layer)}, seen):
        given = pixels.detach().to(classifier.device, torch.float32, copy=True).requires_grad_()
        with batch_errors(classifier, pixels):
            classifier.logits(given)
        if not kept:
            raise LayerError(f"{classifier.name} does not run {layer!r} on these pictures. Name a layer that runs.")
        values, place = kept[0]
        if not values.requires_grad:
            raise LayerError(
                f"No gradient leads from {layer!r} of {classifier.name} to the pixels. Name a layer before."
            )
        total = torch.zeros(given.shape[2:], device=given.device, dtype=torch.float64)
        for draw in range(draws):
            signs = torch.randint(0, 2, values.shape, generator=generator).mul(2).sub(1).to(values)
            (gradient,) = torch.autograd.grad((values * signs).sum(), given, retain_graph=draw + 1 < draws)
            total += gradient.double().square().sum((0, 1))
    return (total / (draws * len(pixels))).sqrt().float().cpu().numpy(), place


def _picked(
    classifier: Classifier, layer: str, output: object, position: Sequence[int] | None
) -> tuple[Tensor, tuple[int, ...]]:
    """All channels of one position, `n k`; a copy, since what comes next may work in place."""
    found = tensors(output)
    if not found or found[0].ndim not in (3, 4):
        shape = tuple(found[0].shape) if found else type(output).__name__
        raise LayerError(
            f"{layer!r} of {classifier.name} returns {shape}, which has no positions. Name a layer whose output is "
            "n c h w or n c length."
        )
    sizes = tuple(found[0].shape[2:])
    place = tuple(size // 2 for size in sizes) if position is None else tuple(int(number) for number in position)
    if len(place) != len(sizes) or not all(0 <= number < size for number, size in zip(place, sizes, strict=True)):
        raise OptionError(f"{layer!r} has {' x '.join(map(str, sizes))} positions; got {place}.")
    return found[0][(slice(None), slice(None), *place)].clone(), place


def _box(strength: np.ndarray) -> Box:
    (top, bottom), (left, right) = _middle(strength.sum(1)), _middle(strength.sum(0))
    return top, left, bottom, right


def _middle(mass: np.ndarray) -> tuple[int, int]:
    """The first and the last place that are left when half of what is not `MASS` is cut off at either end."""
    reached = np.cumsum(mass, dtype=np.float64) / mass.sum(dtype=np.float64)
    first = int(np.searchsorted(reached, (1 - MASS) / 2, side="right"))
    last = int(np.searchsorted(reached, 1 - (1 - MASS) / 2 - 1e-12))
    return first, min(max(first, last), len(mass) - 1)


def _deviation(mass: np.ndarray) -> float:
    weights, places = mass.astype(np.float64), np.arange(len(mass))
    if not weights.any():
        return 0.0
    mean = np.average(places, weights=weights)
    return float(np.sqrt(np.average((places - mean) ** 2, weights=weights)))


def _share(strength: np.ndarray, extent: Box) -> float:
    """Of the pixels in the exact field, the fewest that hold `MASS`."""
    top, left, bottom, right = extent
    falling = np.sort(strength.astype(np.float64), axis=None)[::-1]
    if not falling[0]:
        return 0.0
    fewest = int(np.searchsorted(np.cumsum(falling), MASS * falling.sum() * (1 - 1e-12))) + 1
    return min(1.0, fewest / ((bottom - top + 1) * (right - left + 1)))
