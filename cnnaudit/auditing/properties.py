"""Properties of whole pictures: measured in the one pass, and made cues where they go with a class."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float32
from torch import Tensor

from cnnaudit.auditing.measures import of_files, of_pixels
from cnnaudit.shapes import Pixels


def measured(pixels: Pixels, paths: Sequence[Path]) -> dict[str, Float32[Tensor, " n"]]:
    """The properties of some pictures, and of their files where there are any (one path a picture).

    A property that does not apply to a picture is NaN; grey pictures have no properties of colour.
    """
    return of_pixels(pixels) | (of_files(paths) if paths else {})
