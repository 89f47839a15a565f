"""What a change does to the same pictures: differences of shares and of means, with 95 % intervals."""

import math

from scipy import special

from cnnaudit.results import Change
from cnnaudit.training.metrics import share


def difference(n: int, before: int, lost: int, won: int) -> Change:
    r"""After minus before of the share that is right, of `n` pictures that were asked about twice.

    With the Wilson intervals $(l_1, u_1)$ of the share $p_1$ after and $(l_2, u_2)$ of $p_2$ before, and $\varphi$ the
    correlation of the two answers, the interval reaches
    $\sqrt{(p_1-l_1)^2 - 2\varphi(p_1-l_1)(u_2-p_2) + (u_2-p_2)^2}$ down, and up the same with $u_1$ and $l_2$.

    Args:
        before: how many were right.
        lost, won: how many were right only before, and only after.

    Newcombe, Statistics in Medicine 17, 1998, pp. 2635-2650, method 10 (with the continuity correction of
    $\varphi$).
    """
    first, second = share(before - lost + won, n), share(before, n)
    both = before - lost
    neither = n - both - lost - won
    phi = _correlation(both, won, lost, neither)
    value = (won - lost) / n
    down = _reach(first.value - first.low, second.high - second.value, phi)
    up = _reach(first.high - first.value, second.value - second.low, phi)
    return Change(value, value - down, value + up)


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    n = both + first + second + neither
    area = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not area:
        return 0.0
    product = both * neither - first * second
    return (max(product - n / 2, 0) if product > 0 else product) / math.sqrt(area)


def _reach(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def chance(lost: int, won: int) -> float:
    """How likely so uneven a division is if each were as likely lost as won, two-sided.

    McNemar's test in its exact form (Psychometrika 12, 1947, p. 153).
    """
    return min(1.0, 2 * float(special.bdtr(min(lost, won), lost + won, 0.5)))


def mean_change(n: int, total: float, squares: float) -> tuple[Change | None, float]:
    """The mean of `n` differences from their sum and sum of squares with Student's interval, and his p, two-sided.

    Of fewer than two there is none, and p is 1.
    """
    if n < 2:
        return None, 1.0
    mean = total / n
    error = math.sqrt(max(0.0, squares - n * mean * mean) / (n - 1) / n)
    reach = float(special.stdtrit(n - 1, 0.975)) * error
    p = 2 * float(special.stdtr(n - 1, -abs(mean) / error)) if error else float(mean == 0)
    return Change(mean, mean - reach, mean + reach), p
