"""LIME's local linear model: weights, the fit, its intervals, and the ridge regression of the `lime` package."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cnnaudit.errors import OptionError

_LEVEL = 0.95
_LEAST_FREEDOM = 4  # degrees below which an interval says nothing
_LEAST_EFFECTIVE = 0.1  # share of the masks that must count for a fit
_MORE_THAN_ONE = 1.05  # masks that must count where there are few
_POWERS = 3  # of the number of segments shown that are regressed out


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A linear model of the score.

    Attributes:
        coefficients: a segment, `K`, float64, in units of score.
        covariance: of their errors, `K K`; zero where all masks were asked about, None where the samples
            were too few to tell.
        quantile: how many standard errors a 95 % interval reaches to each side.
        r2: the share of the weighted variance of the scores that the coefficients explain.
    """

    coefficients: Float[Tensor, " k"]
    covariance: Float[Tensor, "k k"] | None
    quantile: float
    r2: float

    @property
    def reach(self) -> Float[Tensor, " k"] | None:
        """Half the width of each coefficient's 95 % interval, `K`."""
        return None if self.covariance is None else self.quantile * self.covariance.diagonal().clamp(min=0).sqrt()

    def unsettled(self) -> Bool[Tensor, " k"]:
        """The coefficients whose interval holds 0; those that are 0 exactly are settled."""
        if self.reach is None:
            return torch.ones_like(self.coefficients, dtype=torch.bool)
        return (self.coefficients.abs() <= self.reach) & (self.reach > 0)

    def order_is_settled(self, top: int) -> bool:
        """Whether each of the `top` largest coefficients differs from the next one by more than chance, at 95 %."""
        if self.covariance is None:
            return False
        order = self.coefficients.abs().argsort(descending=True, stable=True)[: top + 1]
        signed = self.coefficients[order].sign()
        values = self.coefficients[order] * signed
        covariance = self.covariance[order][:, order] * signed * signed[:, None]
        variance = covariance.diagonal()
        between = variance[:-1] + variance[1:] - 2 * covariance.diagonal(1)
        return bool((values[:-1] - values[1:] >= self.quantile * between.clamp(min=0).sqrt()).all())


def kernel(shown: Bool[Tensor, "n k"], width: float) -> Float[Tensor, " n"]:
    r"""$\sqrt{\exp(-d^2 / \sigma^2)}$, $d$ a mask's cosine distance to the mask that shows all."""
    return _of_share(shown.double().mean(1), width)


def check_width(width: float, count: int) -> None:
    r"""Refuse a kernel so narrow that hardly a mask of `count` segments counts, and a fit says nothing.

    How many count is $(\sum w)^2 / \sum w^2$ over all masks, Kish's effective number.

    Raises:
        OptionError: fewer than one in ten do, or no more than one.
    """
    share = torch.arange(count + 1, dtype=torch.float64, device="cpu") / count
    weights = -((1 - share.sqrt()) ** 2) / (2 * width**2) if width**2 > 0 else torch.full_like(share, -math.inf)
    chances = _log_chances(count) - count * math.log(2)
    effective = float(torch.exp(2 * (chances + weights).logsumexp(0) - (chances + 2 * weights).logsumexp(0)))
    if not effective >= max(_LEAST_EFFECTIVE, _MORE_THAN_ONE * 0.5**count):
        raise OptionError(
            f"kernel_width = {width:g} is so narrow that almost no sample counts beside those that show nearly all "
            f"of the {count} segments. Take a larger one; 0.25 is usual."
        )


def _log_chances(count: int) -> Tensor:
    """The logarithm of how many masks show 0, 1, … of the segments."""
    sizes = torch.arange(count + 1, dtype=torch.float64, device="cpu")
    return math.lgamma(count + 1) - torch.lgamma(sizes + 1) - torch.lgamma(count - sizes + 1)


def _of_share(share: Tensor, width: float) -> Tensor:
    return torch.exp(-((1 - share.sqrt()) ** 2) / width**2).sqrt()


def fit_all(shown: Bool[Tensor, "n k"], scores: Tensor, width: float) -> Fit:
    """The weighted least-squares fit to all masks: what samples estimate, without an error."""
    weights = kernel(shown, width)
    coefficients = _solved(_with_one(shown.double()), scores.double(), weights)[1:]
    count = shown.shape[1]
    zero = torch.zeros(count, count, dtype=torch.float64, device="cpu")
    return Fit(coefficients, zero, 0.0, _r2(shown, scores, weights, coefficients))


def fit_pairs(shown: Bool[Tensor, "n k"], scores: Tensor, width: float) -> Fit:
    r"""A weighted least-squares fit to pairs of opposites, and the jackknife over pairs as its covariance.

    Powers of the number of segments shown enter the regression beside the segments. They are made
    orthogonal to the segments over all masks, so that they leave what is estimated as it is, and take the
    score's curvature out of the noise.
    """
    z, weights, scores = shown.double(), kernel(shown, width), scores.double()
    columns = _with_one(z)
    powers = _powers(shown, width)
    if len(z) // 2 >= columns.shape[1] + powers.shape[1] + _LEAST_FREEDOM:
        columns = torch.cat([columns, powers], 1)
    solution = _solved(columns, scores, weights)
    freedom = len(z) // 2 - columns.shape[1]
    covariance = None
    if freedom >= _LEAST_FREEDOM:
        covariance = _jackknife(columns, scores - columns @ solution, weights)[1 : 1 + z.shape[1], 1 : 1 + z.shape[1]]
    coefficients = solution[1 : 1 + z.shape[1]]
    return Fit(coefficients, covariance, t_quantile(freedom), _r2(shown, scores, weights, coefficients))


def ridge(shown: Bool[Tensor, "n k"], scores: Tensor, width: float, alpha: float = 1.0) -> tuple[Tensor, float]:
    """The `lime` package's own estimator: weighted ridge regression with a free intercept, and its R².

    Ribeiro's `lime_base.explain_instance_with_data`, with all segments as features.
    """
    z, weights, scores = shown.double(), kernel(shown, width), scores.double()
    share = weights / weights.sum()
    root = weights.sqrt()
    x, y = root[:, None] * (z - share @ z), root * (scores - share @ scores)
    eye = alpha * torch.eye(min(x.shape), dtype=torch.float64, device="cpu")
    if len(x) < x.shape[1]:  # the same by fewer equations
        coefficients = x.T @ torch.linalg.solve(x @ x.T + eye, y)
    else:
        coefficients = torch.linalg.solve(x.T @ x + eye, x.T @ y)
    return coefficients, _r2(shown, scores, weights, coefficients)


def t_quantile(freedom: int) -> float:
    """Student's t at 97.5 %; infinite without a degree of freedom."""
    from scipy.stats import t

    return float(t.ppf((1 + _LEVEL) / 2, freedom)) if freedom > 0 else math.inf


def _with_one(z: Tensor) -> Tensor:
    return torch.cat([torch.ones(len(z), 1, dtype=z.dtype, device="cpu"), z], 1)


def _solved(columns: Tensor, scores: Tensor, weights: Tensor) -> Tensor:
    """Weighted least squares; the shortest solution where there are many. Equal scores give exact zeros."""
    root, first = weights.sqrt(), scores[0]
    rows, values = root[:, None] * columns, root * (scores - first)
    if len(rows) < rows.shape[1]:
        solution = shortest(rows, values)
    else:
        solution = torch.linalg.lstsq(rows, values[:, None], driver="gelsd").solution[:, 0]
    solution[0] += first
    return solution


def shortest(rows: Float[Tensor, "n p"], values: Float[Tensor, " n"]) -> Float[Tensor, " p"]:
    """The shortest solution of fewer equations than unknowns, from products of rows: the unknowns may be thousands."""
    return rows.T @ (torch.linalg.pinv(rows @ rows.T, hermitian=True) @ values)


def _powers(shown: Bool[Tensor, "n k"], width: float) -> Tensor:
    """Powers of the share shown, `n p`, uncorrelated with the segments over all masks as they are weighted.

    By symmetry a function of the size alone meets all segments alike, so it suffices to take off its
    regression on the size.
    """
    count = shown.shape[1]
    log_chance = _log_chances(count)
    share = torch.arange(count + 1, dtype=torch.float64, device="cpu") / count
    weights = torch.exp(log_chance - log_chance.max()) * _of_share(share, width)
    centred = share - 0.5
    powers = torch.stack([centred**power for power in range(2, min(_POWERS, count) + 1)], 1)
    linear = _with_one(centred[:, None])
    root = weights.sqrt()[:, None]
    taken = linear @ torch.linalg.lstsq(root * linear, root * powers, driver="gelsd").solution
    powers = powers - taken
    powers = powers / (root * powers).norm(dim=0) * root.norm()
    return powers[shown.sum(1)]


def _jackknife(columns: Tensor, residuals: Tensor, weights: Tensor) -> Tensor:
    """The covariance of a weighted fit by leaving out one pair of rows at a time, `p p`.

    Pairs, not rows, because two opposites share what is even in the segments.
    """
    root = weights.sqrt()
    x, e = (root[:, None] * columns).view(-1, 2, columns.shape[1]), (root * residuals).view(-1, 2, 1)
    inverse = torch.linalg.pinv((x.mT @ x).sum(0), hermitian=True)
    leverage = x @ inverse @ x.mT
    eye = torch.eye(2, dtype=torch.float64, device="cpu")
    off = torch.linalg.pinv(eye - leverage, hermitian=True) @ e
    change = (inverse @ x.mT @ off)[..., 0]
    pairs = len(x)
    return (pairs - 1) / pairs * change.T @ change


def _r2(shown: Bool[Tensor, "n k"], scores: Tensor, weights: Tensor, coefficients: Tensor) -> float:
    share, scores = weights / weights.sum(), scores.double()
    rest = scores - shown.double() @ coefficients
    left, total = (share @ (values - share @ values) ** 2 for values in (rest, scores))
    return float(1 - left / total) if total > 0 else 1.0
