"""What the layers of a network answer to one photo."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from cnnaudit.results.explanations import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """The most active maps of one call of one layer.

    Attributes:
        call: which call of the layer this is, from 1.
        behind: the operations behind the layer after which the values were taken, by name; empty: they are
            what the layer itself returned.
        block: the part of the network that the layer belongs to.
        shape: channels, rows and columns of all that the layer returns; a signal has one row.
        channels: the channels of `maps`, the most active first.
        maps: their values.
        activity: of each channel of `maps`, the mean of |value| over its places.
        silent: how many of all channels are zero everywhere.
        low, high: the smallest and the largest value of all channels.
    """

    layer: str
    call: int
    behind: tuple[str, ...]
    block: str
    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    maps: Float32[np.ndarray, "k h w"]
    activity: tuple[float, ...]
    silent: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """The maps of a network for one photo, in the order in which the layers return.

    Attributes:
        image: the photo's name.
        pixels: as the network was given them, before normalisation.
        strip: places in `layers` of the last layer of each block, from input to output.
        predictions: the most probable classes, at most five.
    """

    image: str
    pixels: Float32[np.ndarray, "c h w"]
    layers: tuple[FeatureMaps, ...]
    strip: tuple[int, ...]
    predictions: tuple[Prediction, ...]
