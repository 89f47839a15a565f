"""Where a position of a layer really looks: the part of its receptive field that holds its gradient."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from cnnaudit.results.networks import ReceptiveField

Box = tuple[int, int, int, int]
"""First row, first column, last row and last column, the last ones included."""


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveField:
    """The effective receptive field of one position of a layer, beside the exact one.

    Attributes:
        position: of the layer's output, one number for each of its spatial directions.
        exact: what a position can see, from the graph.
        extent: the exact field of this position, cut off at the picture's edges.
        strength: how much the position changes with each pixel: the root of the mean over pictures of the squared
            gradients of all its channels with respect to all the pixel's; 0 outside `extent`.
        box: between the rows and between the columns that leave `outside` of the strength's mass before and behind
            them; None where the position does not change with any pixel.
        spread: standard deviation of the mass along rows and along columns, in pixels.
        share: of the pixels in `extent`, the fewest that together hold `mass` of it.
        pictures: over which the mean was taken.
    """

    layer: str
    position: tuple[int, ...]
    exact: ReceptiveField
    extent: Box
    strength: Float32[np.ndarray, "h w"]
    box: Box | None
    spread: tuple[float, float]
    share: float
    pictures: int


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveFields:
    """Several layers' fields over one picture.

    Attributes:
        mass: the part of the strength that each `share` holds, and that lies between the edges of each `box` along
            rows, and along columns.
        source: what the gradients were taken on, in words.
        photo: the pixels behind the drawings; None: there is no picture.
    """

    fields: tuple[EffectiveField, ...]
    mass: float
    source: str
    photo: Float32[np.ndarray, "c h w"] | None
