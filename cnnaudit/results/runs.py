"""Which network, and how it was run."""

from collections.abc import Mapping
from dataclasses import dataclass

Fact = str | int | float | bool | None | tuple[float, ...] | tuple[str, ...]
"""One value among a method's parameters or findings: plain, so that it goes into JSON as it is."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which network it was, in numbers that let another person load the same one.

    Attributes:
        name: as the user gave it ("resnet50", "husky-wolf", a file's name).
        source: where the weights are from, in words.
        sha256: of the weights' bytes, in the order of the state dict.
        input_size: height and width in pixels.
        resize_size: the shorter side before the centre crop; None: the picture is fitted to `input_size`.
        notes: what the reader must know (the fallback model was used; weights are random).
    """

    name: str
    architecture: str
    source: str
    sha256: str
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parameters: int
    labels: int
    notes: tuple[str, ...] = ()
    channels: int = 3
    resize_size: int | None = None
    interpolation: str = "bilinear"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How it was run. `started` (ISO 8601, UTC) and `seconds` go into the JSON twin only."""

    command: str
    versions: Mapping[str, str]
    seed: int
    device: str
    dtype: str
    started: str
    seconds: float
