"""Pictures that were made to please one unit of a network each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, slots=True)
class Answer:
    """The class that a network takes a picture for, and how probable that is to it."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Visualization:
    """A picture made for one objective.

    Attributes:
        objective: in words, such as "features.17, channel 37".
        layer: that a single unit belongs to; None for a class, and for several terms.
        channel: of that layer, or the class; None for a direction and for several terms.
        copy: which of the objective's pictures this is, from 0.
        pixels: in [0, 1], before normalisation.
        activation: the objective on this picture as it is: a channel's largest value over its places, a
            neuron's own, a class's logit, and for several terms their sum.
        start: the same for the picture that the search began with.
        best: the largest that is known of a dataset; None where none is known.
        given: where the layer is an activation function with an upper limit, what it is given where that is largest.
        best_given: the same of a dataset, where it is needed to tell which of two that reach the limit is ahead.
        answer: what the whole network takes the picture for; None where it runs at its own size alone.
    """

    objective: str
    layer: str | None
    channel: int | None
    copy: int
    pixels: Float32[np.ndarray, "c h w"]
    activation: float
    start: float
    best: float | None = None
    given: float | None = None
    best_given: float | None = None
    answer: Answer | None = None

    @property
    def exceeds(self) -> bool | None:
        """Whether it activates its objective more than the dataset's best does; None where that is not known.

        Behind an upper limit both may be the same; then what the activation function is given decides.
        """
        if self.best is None:
            return None
        if self.given is not None and self.best_given is not None:
            return self.given > self.best_given
        return self.activation > self.best


@dataclass(frozen=True, slots=True, eq=False)
class Visualizations:
    """Pictures made for a network's units, those of one objective beside each other.

    Attributes:
        steps: of the search.
        copies: pictures for each objective.
        diversity: how much the copies of one objective were kept apart.
    """

    pictures: Sequence[Visualization]
    steps: int
    copies: int
    diversity: float

    @property
    def compared(self) -> int:
        """How many pictures there is a dataset's best for."""
        return sum(picture.best is not None for picture in self.pictures)

    @property
    def exceeding(self) -> int:
        """How many of these exceed it."""
        return sum(bool(picture.exceeds) for picture in self.pictures)

    @property
    def settled(self) -> int:
        """How many were compared before their activation function."""
        return sum(picture.best_given is not None for picture in self.pictures)
