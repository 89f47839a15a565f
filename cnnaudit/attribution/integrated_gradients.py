"""Integrated gradients, with as many steps as completeness asks for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.results import Attribution


def integrated_gradients(
    query: Query,
    *,
    baselines: tuple[Fill, ...] = ("black", "grey", "blur"),
    tolerance: float = 0.01,
    steps: int = 8,
    max_steps: int = 256,
    batch: int = 8,
) -> Attribution:
    r"""$(x - x') \odot \int_0^1 \nabla s(x' + \alpha (x - x')) \, d\alpha$, averaged over baselines $x'$.

    The integral is taken by the trapezoidal rule. The score is known at every node, so each interval's
    own error is too: the worst intervals are halved until the completeness error
    $|\sum_i a_i - (s(x) - s(x'))| / |s(x) - s(x')|$ is below `tolerance`.

    Args:
        query: the question.
        baselines: what "nothing" looks like: `black`, `grey`, `white`, `blur` or `mean`.
        tolerance: the completeness error that is good enough, relative.
        steps: equal steps to begin with.
        max_steps: the cap, a baseline.
        batch: pictures sent through the network at once.

    Returns:
        A signed map `h w` in units of score; it sums to the mean of $s(x) - s(x')$ within the error
        reported, which is larger when time is up too soon. `parts` holds the map of each baseline.

    Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equations 1 and 3; several baselines after
    Sturmfels et al. 2020, Distill.
    """
    if len(set(baselines)) != max(1, len(baselines)) or not tolerance > 0 or not 1 <= steps <= max_steps or batch < 1:
        raise OptionError(
            "integrated_gradients takes baselines that differ, tolerance > 0, 1 <= steps <= max_steps, batch >= 1."
        )
    fresh = query.forward_passes
    paths = {
        name: _integrate(query, filled(query.pixels, name), tolerance, steps, max_steps, batch) for name in baselines
    }
    parts = {name: to_heatmap(path.attribution) for name, path in paths.items()}
    late = [name for name, path in paths.items() if path.error > tolerance]
    after = "when time was up" if query.budget.late else f"after {max_steps} steps"
    return Attribution(
        torch.stack(list(parts.values())).mean(0),
        facts={
            "baselines": tuple(baselines),
            "steps": tuple(float(len(path.positions) - 1) for path in paths.values()),
            "completeness_error": tuple(path.error for path in paths.values()),
            "score_difference": tuple(path.difference for path in paths.values()),
        },
        notes=(f"Completeness is not below {tolerance:.2%} {after} for: {', '.join(late)}.",) if late else (),
        parts=parts if len(parts) > 1 else {},
        forward_passes=query.forward_passes - fresh,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """A straight path from the baseline to the picture, at its nodes.

    Attributes:
        positions: `n`, ascending from 0 to 1.
        scores: `n`, the target score at each node.
        shares: `n h w`, the gradient at each node times the whole path's direction, colours added up.
    """

    positions: Tensor
    scores: Tensor
    shares: Tensor

    @property
    def difference(self) -> float:
        return float(self.scores[-1] - self.scores[0])

    @property
    def attribution(self) -> Tensor:
        widths = self.positions.diff()
        weights = torch.zeros_like(self.positions)
        weights[:-1] += widths / 2
        weights[1:] += widths / 2
        return torch.einsum("n,nhw->hw", weights.to(self.shares.device), self.shares.double())

    @property
    def local_errors(self) -> Tensor:
        """What the trapezoid of each interval lacks; exact, since the score is known at both ends."""
        slopes = self.shares.double().sum((1, 2)).cpu()
        return self.positions.diff() * (slopes[:-1] + slopes[1:]) / 2 - self.scores.diff()

    @property
    def error(self) -> float:
        return abs(float(self.local_errors.sum())) / max(abs(self.difference), 1e-6)

    def merged(self, other: "_Path") -> "_Path":
        positions = torch.cat([self.positions, other.positions])
        order = positions.argsort()
        scores = torch.cat([self.scores, other.scores])[order]
        return _Path(positions[order], scores, torch.cat([self.shares, other.shares])[order.to(self.shares.device)])


def _integrate(query: Query, start: Tensor, tolerance: float, steps: int, max_steps: int, batch: int) -> _Path:
    path = _at(query, start, torch.linspace(0, 1, steps + 1, dtype=torch.float64, device="cpu"), batch)
    while path.error > tolerance and len(path.positions) <= max_steps and not query.budget.is_up():
        count = min(batch, max_steps + 1 - len(path.positions), len(path.positions) - 1)
        worst = path.local_errors.abs().topk(count).indices
        middles = (path.positions[worst] + path.positions[worst + 1]) / 2
        path = path.merged(_at(query, start, middles, batch))
    return path


def _at(query: Query, start: Tensor, positions: Tensor, batch: int) -> _Path:
    direction = query.pixels - start
    scores, shares = [], []
    for some in positions.split(batch):
        alphas = some.to(start.device, start.dtype).view(-1, 1, 1, 1)
        score, gradient = query.gradient(start + alphas * direction)
        scores.append(score.double().cpu())
        shares.append((direction * gradient).sum(1))
    return _Path(positions, torch.cat(scores), torch.cat(shares))
