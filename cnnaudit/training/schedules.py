"""How the learning rate goes from the first step to the last."""

import math
from collections.abc import Callable


def _cosine(done: float) -> float:
    """Half a cosine towards 0 (Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def _linear(done: float) -> float:
    """A straight line to 0."""
    return 1 - done


def _step(done: float) -> float:
    """A tenth after half of the steps, a hundredth after three quarters (He et al., CVPR 2016, section 4.2)."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def _constant(done: float) -> float:
    """The peak throughout."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "step": _step,
    "constant": _constant,
}
"""By name, the share of the peak when a share of the steps behind the warm-up, from 0 to below 1, is done."""


def learning_rate(step: int, steps: int, peak: float, *, schedule: str = "cosine", warm_up: float = 0.1) -> float:
    """The rate in `step` (from 1) of `steps`: a linear rise to `peak` in a share `warm_up`, then the schedule.

    Cosine and line would be at 0 one step behind the last, so that every step learns.
    """
    rise = max(1, round(warm_up * steps))
    if step <= rise:
        return peak * step / rise
    return peak * SCHEDULES[schedule]((step - rise) / (steps - rise + 1))
