"""Where the pictures of a set lie in a network's last features."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

EmbeddingMethod = Literal["pca", "umap"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A two-dimensional map of pictures by their penultimate features.

    Attributes:
        layer: what reads the features: the last linear layer or convolution.
        features: how many there are a picture.
        pooled: whether they are means over the places of maps.
        total: pictures in the set; `n` of them were drawn for the map.
        indices: which ones, in rising order.
        names: of files; empty for pictures that have none.
        points: where each picture lies; for PCA in the unit of the features.
        explained: the share of the features' variance along each axis; None where the axes have no such meaning.
        classes: the true class of each picture; None where it is not known.
        answers: the class that the network gives each.
        confidences: the probability of that class.
        mistakes: whether the two differ; None where that cannot be told.
        thumbnails: of the pictures, small.
        unread: the files that could not be read, each with the reason.
    """

    method: EmbeddingMethod
    layer: str
    features: int
    pooled: bool
    total: int
    indices: tuple[int, ...]
    names: tuple[str, ...]
    points: Float32[np.ndarray, "n 2"]
    explained: tuple[float, float] | None
    classes: tuple[str, ...] | None
    answers: tuple[str, ...]
    confidences: tuple[float, ...]
    mistakes: tuple[bool, ...] | None
    thumbnails: UInt8[np.ndarray, "n h w c"]
    unread: tuple[str, ...]
