"""Intervals on segments' values, as facts, parts and notes of an attribution."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cnnaudit.attribution.query import to_heatmap
from cnnaudit.attribution.segments import Regions
from cnnaudit.results import Fact
from cnnaudit.shapes import Heatmap


def interval_facts(values: Float[Tensor, " k"], reach: Float[Tensor, " k"] | None) -> dict[str, Fact]:
    """The values of all segments, and the ends of their 95 % intervals where there are any."""
    facts: dict[str, Fact] = {"coefficients": tuple(values.tolist())}
    if reach is not None:
        facts["low"], facts["high"] = tuple((values - reach).tolist()), tuple((values + reach).tolist())
    return facts


def settled_part(regions: Regions, values: Float[Tensor, " k"], unsettled: Bool[Tensor, " k"]) -> dict[str, Heatmap]:
    """The map without the segments whose sign is not settled; nothing where all are."""
    if not bool(unsettled.any()):
        return {}
    return {"settled": to_heatmap(regions.spread(torch.where(unsettled, 0.0, values)))}


def unsettled_note(unsettled: Bool[Tensor, " k"]) -> Iterator[str]:
    """How many segments' signs are not settled."""
    if bool(unsettled.any()):
        yield (
            f"The sign of {int(unsettled.sum())} of {len(unsettled)} segments is not settled: their 95 % intervals "
            "hold 0, or the samples are too few for one. They are left out of the small map."
        )
