"""DeepLIFT with the rescale rule, by replacing the nonlinear operations that a forward pass meets.

The picture and its baseline go through the network as one batch, picture first. Every nonlinear
operation is replaced by one with the same value whose backward pass carries multipliers
(differences of output over differences of input) instead of derivatives. Since operations are
replaced and not modules, a ReLU that is reused, in place or functional is treated like any other.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.in_place import replacement
from cnnaudit.attribution.query import Query, gradients_of, to_heatmap
from cnnaudit.attribution.rescale import maximum_pool, multiplied, product, rescaled
from cnnaudit.errors import NotApplicableError
from cnnaudit.fills import Fill, filled
from cnnaudit.results import Attribution

_ELEMENTWISE: tuple[Callable[..., Any], ...] = (
    F.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus,
    F.hardswish, F.hardsigmoid, F.sigmoid, F.tanh, F.prelu, F.logsigmoid, F.softsign, F.tanhshrink,
    F.threshold, torch.relu, torch.sigmoid, torch.tanh, torch.exp, torch.sqrt, torch.clamp, torch.clip,
    torch.clamp_min, torch.clamp_max, Tensor.relu, Tensor.sigmoid, Tensor.tanh, Tensor.exp, Tensor.sqrt,
    Tensor.clamp, Tensor.clip, Tensor.clamp_min, Tensor.clamp_max,
)  # fmt: skip
_IN_PLACE: dict[Callable[..., Any], Callable[..., Any]] = {
    F.relu_: F.relu,
    torch.relu_: F.relu,
    Tensor.relu_: F.relu,
    F.leaky_relu_: F.leaky_relu,
    F.elu_: F.elu,
    F.hardtanh_: F.hardtanh,
    Tensor.sigmoid_: torch.sigmoid,
    Tensor.tanh_: torch.tanh,
    Tensor.exp_: torch.exp,
    Tensor.sqrt_: torch.sqrt,
    Tensor.clamp_: torch.clamp,
    Tensor.clamp_min_: torch.clamp_min,
}
_PRODUCTS: tuple[Callable[..., Any], ...] = (
    torch.mul,
    torch.multiply,
    Tensor.mul,
    Tensor.multiply,
    Tensor.__mul__,
)
_PRODUCTS_IN_PLACE: tuple[Callable[..., Any], ...] = (Tensor.mul_, Tensor.multiply_, Tensor.__imul__)
_MAX_POOLS: tuple[Callable[..., Any], ...] = (F.max_pool2d, torch.max_pool2d)


def deep_lift(query: Query, *, baseline: Fill = "black") -> Attribution:
    r"""Each pixel's share in the difference of the score to a baseline's, by the rescale rule.

    At a nonlinearity $y = f(x)$ the multiplier is $m = \Delta y / \Delta x$ (the derivative where
    $\Delta x$ vanishes); at a product of two signals each has the other's mean as its multiplier; at
    max-pooling the difference goes to the places that hold the two maxima.

    Args:
        query: the question.
        baseline: the picture to compare with.

    Returns:
        A signed map `h w` in units of score; it sums to $s(x) - s(x')$. `completeness_error` says
        how nearly: operations without a rule (normalisation over positions, softmax, attention)
        keep their gradient and break the sum.

    Raises:
        NotApplicableError: no operation with a rule is met, and the sum does not hold without one.

    Shrikumar, Greenside and Kundaje 2017, arXiv:1704.02685, section 3.5.1 (rescale); the product rule
    is the exact first-order one.
    """
    fresh = query.forward_passes
    start = filled(query.pixels, baseline)
    both = torch.cat([query.pixels, start]).detach().requires_grad_()
    met: list[Callable[..., Any]] = []
    with hooks.intercepted(_replacements(met)):
        scores = query.score(both)
        multipliers = gradients_of(scores[0], [both])[0][0]
    attribution = ((query.pixels - start)[0] * multipliers).sum(0)
    difference = float((scores[0] - scores[1]).detach())
    error = abs(float(attribution.double().sum()) - difference) / max(abs(difference), 1e-6)
    if not met and error > 0.01:
        raise NotApplicableError(
            "the forward pass meets no operation that DeepLIFT has a rule for (it is compiled, scripted or written "
            "in other operations), so this would be input x gradient. Use integrated_gradients."
        )
    note = f"The map sums to the score difference only within {error:.1%}: an operation has no rule here."
    return Attribution(
        to_heatmap(attribution),
        facts={"baseline": baseline, "completeness_error": error, "score_difference": difference},
        notes=(note,) if error > 0.01 else (),
        forward_passes=query.forward_passes - fresh,
    )


def _replacements(met: list[Callable[..., Any]]) -> dict[Callable[..., Any], Callable[..., Any]]:
    """A replacement for each operation with a rule; those that a forward pass meets are added to `met`."""
    table: dict[Callable[..., Any], Callable[..., Any]] = {op: replacement(op, rescaled) for op in _ELEMENTWISE}
    table |= {op: replacement(plain, rescaled, in_place=True) for op, plain in _IN_PLACE.items()}
    table |= dict.fromkeys(_PRODUCTS, product) | dict.fromkeys(_PRODUCTS_IN_PLACE, multiplied)
    table |= dict.fromkeys(_MAX_POOLS, maximum_pool)

    def noted(rule: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            met.append(rule)
            return rule(*args, **kwargs)

        return called

    return {op: noted(rule) for op, rule in table.items()}
