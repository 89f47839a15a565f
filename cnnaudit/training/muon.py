"""Muon: steps of one size in all directions, for the weights of the layers between the first and the last."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cnnaudit.errors import OptionError

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_MOMENTUM = 0.6
"""Of the orthogonalised steps; Jordan's for CIFAR-10."""
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: they take small singular values up as fast as such a polynomial can."""
_TIMES = 5


class Muon(torch.optim.Optimizer):
    r"""Orthogonalised momentum for inner weights, SGD with Nesterov's momentum for all others.

    An inner weight $W$, as a matrix with a row for each output, is stepped by
    $W \leftarrow W - \eta \lVert W_0 \rVert O / \lVert O \rVert$, where $O$ is the nearest orthogonal matrix
    to its Nesterov momentum, and then scaled to its first norm $\lVert W_0 \rVert$ again: $\eta$ is the step's
    size as a share of the weight's.

    Jordan 2024, "Muon: An optimizer for hidden layers in neural networks", and with the norm held in his
    record for CIFAR-10; Bernstein and Newhouse 2024, arXiv 2409.20325, say why.

    Args:
        inner: weights of two dimensions or more.
        others: all other weights; `decay` pulls on them alone, and `momentum` is theirs.
    """

    def __init__(
        self, inner: Iterable[Tensor], others: Iterable[Tensor], *, rate: float, decay: float, momentum: float
    ) -> None:
        groups = [
            {"params": list(inner), "inner": True, "momentum": _MOMENTUM, "decay": 0.0},
            {"params": list(others), "inner": False, "momentum": momentum, "decay": decay},
        ]
        super().__init__(groups, {"lr": rate})
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
                if group["inner"]:
                    self.state[weight]["norm"] = weight.detach().norm()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of all weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, weight.grad, group)
        return loss

    def _step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        gradient = gradient.add(weight, alpha=group["decay"])
        buffer = self.state[weight]["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        change = gradient.add(buffer, alpha=group["momentum"])
        if not group["inner"]:
            weight.sub_(change, alpha=group["lr"])
            return
        norm = self.state[weight]["norm"]
        direction = orthogonalised(change.flatten(1)).view_as(weight)
        weight.sub_(direction * (group["lr"] * norm / direction.norm().clamp(min=1e-30)))
        weight.mul_(norm / weight.norm().clamp(min=1e-30))


def orthogonalised(matrix: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
    """About the nearest matrix whose singular values are all 1: they come to lie between 0.68 and 1.14.

    Five Newton-Schulz steps with a polynomial of degree five, made on the smaller of the matrix's squares,
    of which all the factors are polynomials: half the work where one side is much longer. Singular values
    below about a thousandth of the matrix's norm are left behind. Zero stays zero.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / x.norm().clamp(min=1e-30)
    a, b, c = _QUINTIC
    square = x @ x.T
    factors = torch.eye(len(x), dtype=x.dtype, device=x.device)
    for _ in range(_TIMES):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        factors, square = factor @ factors, factor @ square @ factor
    x = factors @ x
    return x if wide else x.T


def inner_weights(network: nn.Module) -> list[Tensor]:
    """The weights of all convolutions and linear layers but the first and the last, in their order.

    Raises:
        OptionError: there is none.
    """
    layers = {id(module.weight): module.weight for module in network.modules() if isinstance(module, _LAYERS)}
    inner = list(layers.values())[1:-1]
    if not inner:
        raise OptionError(
            "muon is for weights between the first layer and the last, and this network has none. Take sgd or adamw."
        )
    return inner
