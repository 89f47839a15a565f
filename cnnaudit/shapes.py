"""Names for the tensors that travel between functions.

`n` pictures, `c` channels, `h` and `w` rows and columns, `k` classes.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8
from torch import Tensor

Pixels: TypeAlias = Float[Tensor, "n c h w"]
"""Pictures as the network's own geometry has them, values in [0, 1], before normalisation."""

Logits: TypeAlias = Float[Tensor, "n k"]
"""Scores before softmax, one column a class."""

Heatmap: TypeAlias = Float32[Tensor, "h w"]
"""Signed evidence a pixel in the unit of the target score, on the CPU; never rescaled when made."""

Marked: TypeAlias = Bool[Tensor, "h w"]
"""Which pixels are meant, on the CPU."""

Labelled: TypeAlias = Int32[Tensor, "h w"]
"""Which segment each pixel belongs to, 0 to K-1, on the CPU."""

Photo: TypeAlias = UInt8[np.ndarray, "h w c"]
"""A decoded picture, upright, 1 or 3 channels, 0 to 255."""
