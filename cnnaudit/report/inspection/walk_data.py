"""The numbers behind a walk through a convolution, for the script that shows any place of it, and for the twin."""

import math
from typing import Any

import numpy as np

from cnnaudit.report.encoding import display_limit, encode_heatmap
from cnnaudit.results import Stage, Walkthrough, Windows

_MOST_NUMBERS = 1_500_000
"""With more than these a page would be too heavy; it then shows one place only."""


def limits_of(walk: Walkthrough) -> dict[str, float]:
    """At which |value| the colour saturates: one limit for all channels of the same maps."""
    found = {
        "input": [*walk.maps],
        "kernel": [kernel.weights for kernel in walk.kernels],
        "output": [kernel.output for kernel in walk.kernels],
        **{f"stage{at}": [*stage.maps] for at, stage in enumerate(walk.stages)},
    }
    return {name: display_limit([values.astype(np.float64) for values in maps]) for name, maps in found.items()}


def decimals(limit: float) -> int:
    """How many a value on this scale is written with."""
    return min(6, max(0, 2 - math.floor(math.log10(limit)))) if limit else 2


def _count(walk: Walkthrough) -> int:
    behind = sum(stage.maps.size for stage in walk.stages)
    return walk.maps.size + 2 * sum(kernel.output.size for kernel in walk.kernels) + behind


def data_of(walk: Walkthrough) -> dict[str, Any] | None:
    """Everything that the script looks up: maps as 16-bit integers with a scale each; None where that is too much."""
    if _count(walk) > _MOST_NUMBERS:
        return None
    limits = limits_of(walk)
    height, width = walk.kernels[0].output.shape
    fields = [walk.field(row, 0) for row in range(height)], [walk.field(0, column) for column in range(width)]
    return {
        "shape": [height, width],
        "photo": list(walk.pixels.shape[1:]),
        "input": list(walk.shape),
        "padded": list(walk.maps.shape[1:]),
        "kernel": list(walk.sliding.kernel),
        "stride": list(walk.sliding.stride),
        "dilation": list(walk.sliding.dilation),
        "before": list(walk.sliding.before),
        "limits": limits,
        "decimals": {name: decimals(limit) for name, limit in limits.items()},
        "rows": [box and [box[0], box[2]] for box in fields[0]],
        "columns": [box and [box[1], box[3]] for box in fields[1]],
        "inputs": {str(number): _packed(maps) for number, maps in zip(walk.inputs, walk.maps, strict=True)},
        "channels": [
            {
                "channel": kernel.channel,
                "inputs": list(kernel.inputs),
                "weights": [[float(f"{w:.6g}") for w in each.flat] for each in kernel.weights],
                "bias": kernel.bias,
                "output": _packed(kernel.output),
                "rest": _packed(kernel.rest) if kernel.rest.any() else None,
                "stages": [_packed(stage.maps[at]) for stage in walk.stages],
                "scale": [stage.scale and [stage.scale[at], (stage.shift or (0.0,))[at]] for stage in walk.stages],
            }
            for at, kernel in enumerate(walk.kernels)
        ],
        "stages": [{"kind": stage.kind, "name": stage.name, **_pooling(stage, height, width)} for stage in walk.stages],
    }


def _pooling(stage: Stage, height: int, width: int) -> dict[str, Any]:
    if stage.rows is None or stage.columns is None:
        return {}
    return {"rows": _windows(stage.rows, height), "columns": _windows(stage.columns, width)}


def _windows(windows: Windows, size: int) -> dict[str, Any]:
    """The places of each window, and for each place the window that it is shown in."""
    return {"places": [list(places) for places in windows.places], "around": [windows.around(at) for at in range(size)]}


def _packed(values: np.ndarray) -> dict[str, Any]:
    record = encode_heatmap(values.astype(np.float64))
    return {"shape": record["shape"], "scale": record["scale"], "data": record["data"]}
