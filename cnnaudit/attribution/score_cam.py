"""Score-CAM: a layer's maps, each weighted by the score of what it alone shows of the picture."""

from collections.abc import Iterator
from typing import Literal

import torch

from cnnaudit.attribution.query import Query, resized
from cnnaudit.errors import OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.perturbation import Copies, Grid, Precision
from cnnaudit.results import Attribution
from cnnaudit.shapes import Pixels


def score_cam(
    query: Query,
    *,
    relu: bool = True,
    channels: int | None = 256,
    fill: Fill | Literal["zero"] = "zero",
    precision: Precision = "float32",
    batch: int | None = None,
) -> Attribution:
    r"""$\mathrm{ReLU}(\sum_k \alpha_k A_k)$ with $\alpha = \mathrm{softmax}_k\, s(x \odot H_k)$.

    $H_k$ is the layer's map $A_k$ enlarged to the picture and stretched to run from 0 to 1. The score of
    an empty picture, which the paper takes off each, cancels in the softmax.

    Args:
        query: the question; `query.layer` chooses the layer.
        relu: keep only what speaks for the target, as the paper does.
        channels: how many of the maps, those that vary most over the picture; None: all, as in the paper.
            On photos and MobileNetV2, 256 of 1,280 gave maps that correlate to 0.99 with those of all.
        fill: what is seen where a map is 0. `zero` is the network's own, behind its normalisation, as in
            the published code: the mean colour of the pictures it was trained on.
        precision: `float32`, or `auto`: less where that is faster and agrees. The softmax enlarges errors.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A map `h w` in units of the layer's activation; >= 0 with `relu`. `largest_weight` is the largest
        $\alpha_k$: near 1, the map is that of one channel. When time is up, it is the map of fewer channels.

    Wang et al. 2020, arXiv:1910.01279, equations 6 to 10. Enlarged with corners aligned, as pytorch-grad-cam
    does.
    """
    if channels is not None and channels < 1:
        raise OptionError(f"score_cam takes at least one channel; got {channels}.")
    fresh = query.forward_passes
    name, maps = query.activations()
    chosen = maps[maps.flatten(1).std(1).argsort(descending=True, stable=True)[:channels]]
    size = int(query.pixels.shape[2]), int(query.pixels.shape[3])
    hidden = _zero(query) if fill == "zero" else filled(query.pixels, fill)
    copies = query.copies(hidden, expected=len(chosen), precision=precision, batch=batch)
    logits = copies.first(Grid(chosen, size, corners=True, stretched=True))
    wanted, chosen = len(chosen), chosen[: len(logits)]
    weights = query.of_logits(logits).double().softmax(0)
    small = torch.einsum("k,kuv->uv", weights.to(maps), chosen)
    return Attribution(
        resized(small.clamp(min=0) if relu else small, query.pixels),
        facts={
            "channels": f"{len(chosen)} of {len(maps)}",
            "largest_weight": float(weights.max()),
            "precision": copies.precision_used,
        },
        notes=(*_late(copies, wanted), *copies.notes),
        layer=name,
        forward_passes=query.forward_passes - fresh + copies.asked,
    )


def _late(copies: Copies, wanted: int) -> Iterator[str]:
    if copies.late:
        yield f"Time was up after {copies.done} of {wanted} channels, those that vary most: the map is that of these."


def _zero(query: Query) -> Pixels:
    mean = torch.tensor(query.classifier.mean, dtype=query.pixels.dtype, device=query.pixels.device)
    return mean.view(1, -1, 1, 1).expand_as(query.pixels)
