"""Methods that read the gradient of the target score at the picture: saliency, input x gradient, SmoothGrad."""

from typing import Literal

import torch
from torch import Tensor

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import OptionError
from cnnaudit.results import Attribution

Channels = Literal["max", "norm"]


def saliency(query: Query, *, channels: Channels = "max") -> Attribution:
    r"""How strongly each pixel could move the score: $\max_c |\partial s / \partial x_c|$.

    Args:
        query: the question.
        channels: how colours are joined: the largest magnitude, or the Euclidean norm.

    Returns:
        A map `h w` >= 0, in units of score a unit of pixel value (the pixels run from 0 to 1).

    Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3.
    """
    fresh = query.forward_passes
    gradient = query.input_gradient()
    return Attribution(to_heatmap(magnitude(gradient[0], channels)), forward_passes=query.forward_passes - fresh)


def input_x_gradient(query: Query) -> Attribution:
    r"""First-order share of each pixel in the score: $\sum_c x_c \, \partial s / \partial x_c$.

    Returns:
        A signed map `h w` in units of score. On a ReLU network without biases, and without
        normalisation's mean, its sum is the score.

    Shrikumar et al. 2016, arXiv:1605.01713. The pixels are those in [0, 1], before normalisation, so
    that black counts for nothing.
    """
    fresh = query.forward_passes
    product = query.pixels[0] * query.input_gradient()[0]
    return Attribution(to_heatmap(product.sum(0)), forward_passes=query.forward_passes - fresh)


def smoothgrad(
    query: Query, *, samples: int = 25, noise: float = 0.15, channels: Channels = "max", batch: int = 8
) -> Attribution:
    r"""Saliency of the gradient averaged over noisy copies: $\frac1n \sum_i \nabla s(x + \epsilon_i)$.

    Args:
        query: the question.
        samples: number of noisy copies.
        noise: standard deviation of the Gaussian noise, in pixel units (the pixels run from 0 to 1).
        channels: how colours are joined, as in `saliency`.
        batch: copies sent through the network at once.

    Returns:
        A map `h w` >= 0, in units of score a unit of pixel value; of fewer copies when time is up.

    Smilkov et al. 2017, arXiv:1706.03825, equation 1. The average is taken before the magnitude.
    """
    if samples < 1 or not noise >= 0 or batch < 1:
        raise OptionError(f"smoothgrad takes samples >= 1, noise >= 0, batch >= 1; got {samples}, {noise}, {batch}.")
    fresh = query.forward_passes
    generator = query.generator("smoothgrad")
    total = torch.zeros_like(query.pixels[0])
    drawn = 0
    for start in range(0, samples, batch):
        if drawn and query.budget.is_up():
            break
        shape = (min(batch, samples - start), *query.pixels.shape[1:])
        epsilon = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(query.pixels.device)
        total += query.gradient(query.pixels + noise * epsilon)[1].sum(0)
        drawn += len(epsilon)
        query.budget.tell(drawn, samples)
    heatmap = to_heatmap(magnitude(total / drawn, channels))
    notes = (f"Time was up after {drawn} of {samples} noisy copies.",) if drawn < samples else ()
    return Attribution(heatmap, notes=notes, forward_passes=query.forward_passes - fresh)


def magnitude(gradient: Tensor, channels: Channels) -> Tensor:
    """Join the colours of a gradient `c h w` into a map `h w` >= 0."""
    if channels == "max":
        return gradient.abs().amax(0)
    if channels == "norm":
        return gradient.norm(dim=0)
    raise OptionError(f"channels must be 'max' or 'norm'; got {channels!r}.")
