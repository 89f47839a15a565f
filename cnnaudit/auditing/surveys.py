"""What one pass over the pictures found: an answer and a row of numbers for each."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float32, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A row for each picture.

    Attributes:
        predicted: the class that the network answers.
        confidence: its probability.
        truthful: the probability of the picture's own class.
        embeddings: the network's last features, on at most 64 axes (a fixed random projection of more).
        properties: of the picture as a whole, by name; NaN where one does not apply.
        digest: of the network and all pictures; empty where nothing is kept on disk.
    """

    predicted: Int64[Tensor, " n"]
    confidence: Float32[Tensor, " n"]
    truthful: Float32[Tensor, " n"]
    embeddings: Float32[Tensor, "n d"]
    properties: Mapping[str, Float32[Tensor, " n"]]
    digest: str = ""
