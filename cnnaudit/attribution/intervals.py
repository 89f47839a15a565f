"""Intervals on segments' values, as facts, parts and notes of an attribution."""

from collections.abc import Iterator

from jaxtyping import Bool, Float
from torch import Tensor

from cnnaudit.attribution.segments import Regions
from cnnaudit.perturbation import Copies
from cnnaudit.results import Fact
from cnnaudit.shapes import Marked


def interval_facts(values: Float[Tensor, " k"], reach: Float[Tensor, " k"] | None) -> dict[str, Fact]:
    """The values of all segments, and the ends of their 95 % intervals where there are any."""
    facts: dict[str, Fact] = {"coefficients": tuple(values.tolist())}
    if reach is not None:
        facts["low"], facts["high"] = tuple((values - reach).tolist()), tuple((values + reach).tolist())
    return facts


def unsettled_map(regions: Regions, unsettled: Bool[Tensor, " k"]) -> Marked | None:
    """Where the segments are whose sign is not settled; None where all are settled."""
    return regions.spread(unsettled) if bool(unsettled.any()) else None


def late_note(copies: Copies, most: int) -> Iterator[str]:
    """What the time limit left out."""
    if copies.late:
        yield f"Time was up after {copies.done} of {most} samples: the errors given are those of so few."


def few_note(asked: int, count: int, what: str) -> Iterator[str]:
    """That so few samples say little of so many segments; not where all masks were asked about."""
    if asked < min(3 * count, 2**count):
        yield f"{asked} samples are few for {count} segments: {what} mean little."


def unsettled_note(unsettled: Bool[Tensor, " k"]) -> Iterator[str]:
    """How many segments' signs are not settled."""
    if bool(unsettled.any()):
        yield (
            f"The sign of {int(unsettled.sum())} of {len(unsettled)} segments is not settled: their 95 % intervals "
            "hold 0, or the samples are too few for one. They are hatched."
        )
