"""Heatmaps as small integers: up to a display limit for the page, over the full range for the twin."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Context
from typing import Any

import numpy as np

from cnnaudit.errors import MethodError
from cnnaudit.shapes import Heatmap

STEPS = 126
"""Display codes from 0 to the limit; the code one further, ±127, means "beyond the limit"."""

ENCODING = "base64(zlib(int16 little-endian, row by row)); value = integer * scale"

BITS = "base64(zlib(a bit a pixel, row by row, the first pixel in the highest bit))"

LABELS = "base64(zlib(uint32 little-endian, row by row))"

_FULL_SCALE = 32767
_ROBUST_PERCENTILE = 99.0
_TOLERATED_OUTLIER = 1.25  # a largest value within this factor of the percentile is the limit itself
_THREE_DIGITS_UP = Context(prec=3, rounding=ROUND_CEILING)


def checked(heatmap: Heatmap, what: str) -> np.ndarray:
    """The map as float64, `h w`.

    Raises:
        MethodError: a value is infinite or not a number; `what` names the map in the message.
    """
    values = heatmap.detach().cpu().numpy().astype(np.float64)
    broken = values.size - int(np.isfinite(values).sum())
    if broken:
        raise MethodError(
            f"{what}: {broken} of {values.size} values of the heatmap are not finite numbers, so there is "
            "no scale to draw it on. Run the method in float32, or leave it out."
        )
    return values


def display_limit(maps: Sequence[np.ndarray]) -> float:
    """The value at which the colour saturates, shared by all `maps`; 0 when all of them are zero.

    The 99th percentile of |value|, or the largest where that is hardly larger, so that one
    outlier does not make the rest invisible. Rounded up to three digits: the legend is exact.
    """
    limit = max(_robust_limit(np.abs(values)) for values in maps)
    return float(_THREE_DIGITS_UP.create_decimal_from_float(limit))


def _robust_limit(sizes: np.ndarray) -> float:
    largest, usual = float(sizes.max()), float(np.percentile(sizes, _ROBUST_PERCENTILE))
    return usual if largest > usual * _TOLERATED_OUTLIER and usual > 0 else largest


def display_codes(values: np.ndarray, limit: float) -> np.ndarray:
    """int8, `h w`: value · 126 / limit, rounded; ±127 where |value| is beyond `limit`."""
    if limit == 0:
        return np.zeros(values.shape, np.int8)
    steps = np.rint(np.clip(values / limit, -1, 1) * STEPS)
    beyond = np.abs(values) > limit
    return np.where(beyond, np.sign(values) * (STEPS + 1), steps).astype(np.int8)


def deflated(integers: np.ndarray) -> str:
    """The array's bytes, row by row, zlib-compressed, in base64."""
    return base64.b64encode(zlib.compress(integers.tobytes(), level=9)).decode("ascii")


def encode_heatmap(values: np.ndarray) -> dict[str, Any]:
    """The record of a map in the JSON twin; `decode_heatmap` reads it back to within `scale` / 2."""
    scale = float(np.abs(values).max()) / _FULL_SCALE
    integers = np.rint(values / scale) if scale else np.zeros(values.shape)
    return {
        "shape": list(values.shape),
        "min": float(values.min()),
        "max": float(values.max()),
        "encoding": ENCODING,
        "scale": scale,
        "data": deflated(integers.astype("<i2")),
    }


def decode_heatmap(record: Mapping[str, Any]) -> np.ndarray:
    """The map of a JSON twin's `heatmap` record: float64, `h w`, in the explanation's `unit`."""
    integers = np.frombuffer(zlib.decompress(base64.b64decode(record["data"])), "<i2")
    return integers.reshape(record["shape"]) * float(record["scale"])


def encode_marks(marked: np.ndarray) -> dict[str, Any]:
    """The record of marked pixels, bool `h w`, in the JSON twin; `decode_marks` reads it back."""
    return {
        "shape": list(marked.shape),
        "share": float(marked.mean()),
        "encoding": BITS,
        "data": deflated(np.packbits(marked)),
    }


def decode_marks(record: Mapping[str, Any]) -> np.ndarray:
    """The marked pixels of a JSON twin's `unsettled` record: bool, `h w`."""
    packed = np.frombuffer(zlib.decompress(base64.b64decode(record["data"])), np.uint8)
    height, width = record["shape"]
    return np.unpackbits(packed, count=height * width).reshape(height, width).astype(bool)


def packed_labels(labels: np.ndarray) -> str:
    """Which segment each pixel belongs to, whole numbers `h w`, in a few kilobytes."""
    return deflated(labels.astype("<u4"))


def encode_labels(labels: np.ndarray) -> dict[str, Any]:
    """The record of a picture's segments in the JSON twin; `decode_labels` reads it back."""
    return {
        "shape": list(labels.shape),
        "count": int(labels.max()) + 1,
        "encoding": LABELS,
        "data": packed_labels(labels),
    }


def decode_labels(record: Mapping[str, Any]) -> np.ndarray:
    """The segments of a JSON twin's `regions` record: int64, `h w`, in the order of the values among `facts`."""
    labels = np.frombuffer(zlib.decompress(base64.b64decode(record["data"])), "<u4")
    return labels.reshape(record["shape"]).astype(np.int64)
