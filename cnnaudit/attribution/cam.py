"""Class activation maps: a layer's maps weighted by the gradient of the target score there."""

from collections.abc import Callable

import torch
from torch import Tensor

from cnnaudit.attribution.query import LayerMaps, Query, resized
from cnnaudit.results import Attribution


def grad_cam(query: Query, *, relu: bool = True) -> Attribution:
    r"""$\mathrm{ReLU}(\sum_k \alpha_k A_k)$ with $\alpha_k = \frac1Z \sum_{uv} \partial s / \partial A_{kuv}$.

    Args:
        query: the question; `query.layer` chooses the layer.
        relu: keep only what speaks for the target, as the paper does.

    Returns:
        A map `h w` in units of score a place of the layer's map; >= 0 with `relu`.

    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """

    def weigh(maps: LayerMaps) -> Tensor:
        return torch.einsum("k,kuv->uv", maps.gradients.mean((1, 2)), maps.activations)

    return _cam(query, weigh, relu)


def grad_cam_plus_plus(query: Query, *, relu: bool = True) -> Attribution:
    r"""Grad-CAM with the positive gradients weighted place by place.

    $w_k = \sum_{uv} \alpha_{kuv} \mathrm{ReLU}(g_{kuv})$ with
    $\alpha_{kuv} = g^2 / (2 g^2 + g^3 \sum_{ab} A_{kab})$, where $g = \partial s / \partial A$.

    Args:
        query: the question; `query.layer` chooses the layer.
        relu: keep only what speaks for the target, as the paper does.

    Returns:
        A map `h w`, >= 0 with `relu`. Its unit is arbitrary: $\alpha$ does not scale with the score.

    Chattopadhay et al. 2018, arXiv:1710.11063, equations 10 and 19. The score is passed through an
    exponential there, whose common factor $e^s$ is left out here.
    """

    def weigh(maps: LayerMaps) -> Tensor:
        g, total = maps.gradients, maps.activations.sum((1, 2), keepdim=True)
        denominator = 2 * g**2 + g**3 * total
        alpha = torch.where(denominator != 0, g**2 / torch.where(denominator != 0, denominator, 1.0), 0.0)
        return torch.einsum("k,kuv->uv", (alpha * g.clamp(min=0)).sum((1, 2)), maps.activations)

    return _cam(query, weigh, relu)


def hires_cam(query: Query, *, relu: bool = False) -> Attribution:
    r"""$\sum_k A_k \odot \partial s / \partial A_k$: each place's own first-order share in the score.

    Args:
        query: the question; `query.layer` chooses the layer.
        relu: drop what speaks against the target.

    Returns:
        A signed map `h w` in units of score a place of the layer's map. Where only pooling and one
        linear layer follow, the map at the layer sums to the score less the bias.

    Draelos and Carin 2020, arXiv:2011.08891, equation 5.
    """

    def weigh(maps: LayerMaps) -> Tensor:
        return (maps.gradients * maps.activations).sum(0)

    return _cam(query, weigh, relu)


def layer_cam(query: Query, *, relu: bool = True) -> Attribution:
    r"""$\mathrm{ReLU}(\sum_k \mathrm{ReLU}(\partial s / \partial A_k) \odot A_k)$.

    Args:
        query: the question; `query.layer` chooses the layer, earlier ones give finer maps.
        relu: keep only what speaks for the target, as the paper does.

    Returns:
        A map `h w` in units of score a place of the layer's map; >= 0 with `relu`.

    Jiang et al. 2021, "LayerCAM", IEEE TIP 30, equations 5 to 7.
    """

    def weigh(maps: LayerMaps) -> Tensor:
        return (maps.gradients.clamp(min=0) * maps.activations).sum(0)

    return _cam(query, weigh, relu)


def _cam(query: Query, weigh: Callable[[LayerMaps], Tensor], relu: bool) -> Attribution:
    fresh = query.forward_passes
    maps = query.layer_maps()
    small = weigh(maps)
    u, v = small.shape
    return Attribution(
        resized(small.clamp(min=0) if relu else small, query.pixels),
        facts={"map_size": f"{u} x {v}", "map_sum": float(small.sum())},
        layer=maps.name,
        forward_passes=query.forward_passes - fresh,
    )
