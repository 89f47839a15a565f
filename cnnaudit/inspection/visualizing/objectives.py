"""What a picture is made for: units, classes and directions, and their sums and differences."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, OptionError

Outputs = Mapping[str | None, Tensor]
"""What layers returned for one picture, `channels *places`, by name; the logits are that of None."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One layer's answer to a picture, in one channel or along one direction.

    Attributes:
        name: in words.
        layer: None for the logits.
        along: a channel, or a direction of length 1.
        place: a position of the layer's output, "middle" for that in its middle, or None for all.
        weight: what the answer is multiplied by.
        before: the module whose output is climbed in the place of the layer's, which is an activation function with
            an upper limit: there the climb would end.
    """

    name: str
    layer: str | None
    along: int | Tensor
    place: tuple[int, ...] | Literal["middle"] | None = None
    weight: float = 1.0
    before: str | None = None

    def climbed(self, outputs: Outputs) -> Tensor:
        """What the search makes larger: half the mean over the places and half the largest, or the one place's answer.

        The mean alone, as in the paper, leaves no place quite as active as it could be where neighbouring
        places want different things.
        """
        answers = self._answers(outputs, self.before)
        return self.weight * (answers.mean() + answers.amax()) / 2

    def reached(self, outputs: Outputs) -> Tensor:
        """What is reported: the largest answer of all places, or the answer at the one place."""
        return self.weight * self._answers(outputs, None).amax()

    def given(self, outputs: Outputs) -> Tensor | None:
        """The same of what the activation function is given; None where it has no upper limit."""
        return None if self.before is None else self.weight * self._answers(outputs, self.before).amax()

    def check(self, shape: Sequence[int]) -> None:
        """See that a layer with outputs of this shape (`channels *places`) can give this answer.

        Raises:
            LayerError: the layer has no such channel or place, or another number of channels.
        """
        channels, places = shape[0], tuple(shape[1:])
        if isinstance(self.along, Tensor) and len(self.along) != channels:
            raise LayerError(f"{self.layer!r} has {channels} channels; the direction has {len(self.along)} numbers.")
        if not isinstance(self.along, int | Tensor):
            raise LayerError(f"A channel is a whole number; got {self.along!r}.")
        if isinstance(self.along, int) and not 0 <= self.along < channels:
            raise LayerError(f"{self.layer!r} has the channels 0 to {channels - 1}; got {self.along}.")
        at = self.place if isinstance(self.place, tuple) else None
        inside = at is None or (len(at) == len(places) and all(0 <= a < b for a, b in zip(at, places, strict=True)))
        if not inside:
            raise LayerError(f"{self.layer!r} has places up to {tuple(b - 1 for b in places)}; got {at}.")

    def _answers(self, outputs: Outputs, before: str | None) -> Tensor:
        output = outputs[before or self.layer]
        if self.place is not None:
            middle = tuple(size // 2 for size in output.shape[1:])
            output = output[(slice(None), *(middle if isinstance(self.place, str) else self.place))]
        if isinstance(self.along, int):
            return output[self.along]
        return torch.tensordot(self.along.to(output), output, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """A weighted sum of terms; objectives are added, subtracted, negated, and multiplied by numbers."""

    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        """In words."""
        texts = [_text(term, first=not place) for place, term in enumerate(self.terms)]
        return " ".join(texts)

    @property
    def place_of_unit(self) -> tuple[str | None, int | None]:
        """Layer (None for the logits) and channel of the one unit that this is; twice None where it is not one."""
        term = self.terms[0]
        if len(self.terms) > 1 or term.weight != 1 or not isinstance(term.along, int):
            return None, None
        return term.layer, term.along

    @property
    def layers(self) -> frozenset[str | None]:
        """The layers that the terms look at; None stands for the logits."""
        return frozenset(term.layer for term in self.terms) | frozenset(
            term.before for term in self.terms if term.before
        )

    def through(self, before: Mapping[str, str]) -> "Objective":
        """The same, climbed before the activation functions that have an upper limit, by what each is given.

        Directions are not: a sum of what is given need not rise with that of what comes out.
        """
        return Objective(
            tuple(
                replace(term, before=before.get(term.layer)) if term.layer and isinstance(term.along, int) else term
                for term in self.terms
            )
        )

    def climbed(self, outputs: Outputs) -> Tensor:
        """The sum of what the terms climb, a scalar."""
        return torch.stack([term.climbed(outputs).float() for term in self.terms]).sum()

    def reached(self, outputs: Outputs) -> Tensor:
        """The sum of what the terms reach, a scalar."""
        return torch.stack([term.reached(outputs).float() for term in self.terms]).sum()

    def given(self, outputs: Outputs) -> float | None:
        """Of a single term what its activation function is given; None where that has no upper limit."""
        value = self.terms[0].given(outputs) if len(self.terms) == 1 else None
        return None if value is None else float(value)

    def __add__(self, other: "Objective") -> "Objective":
        if not isinstance(other, Objective):
            return NotImplemented
        return Objective(self.terms + other.terms)

    def __radd__(self, other: object) -> "Objective":
        """`sum` begins with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, factor: float) -> "Objective":
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            return NotImplemented
        if not math.isfinite(factor) or not factor:
            raise OptionError(f"An objective is multiplied by a number other than 0; got {factor}.")
        return Objective(tuple(replace(term, weight=term.weight * factor) for term in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return self * -1

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -other

    def __truediv__(self, divisor: float) -> "Objective":
        return self * (1 / divisor)


def channel(layer: str, index: int) -> Objective:
    """A channel of a layer, wherever in the picture: its mean over all places and its largest value are climbed.

    The largest value is reported. Channels are the first dimension of the layer's output behind that of
    the pictures.
    """
    return Objective((Term(f"{layer}, channel {index}", layer, index),))


def neuron(layer: str, index: int, place: Sequence[int] | None = None) -> Objective:
    """A channel of a layer at one place, by default the middle."""
    where = "the middle" if place is None else tuple(place)
    name = f"{layer}, channel {index} at {where}"
    return Objective((Term(name, layer, index, "middle" if place is None else tuple(place)),))


def direction(layer: str, vector: Tensor, *, name: str = "") -> Objective:
    """A direction in a layer's space of channels: the scalar product with it, of length 1, at all places.

    Without a name, six characters that stand for its numbers tell it from others.

    Raises:
        OptionError: `vector` is not one row of finite numbers, or zero.
    """
    values = torch.as_tensor(vector).detach().float()
    length = float(values.norm())
    if values.ndim != 1 or not math.isfinite(length) or not length:
        raise OptionError(
            f"A direction is a vector of finite numbers, a number a channel, not all 0; got {tuple(values.shape)}."
        )
    values = values / length
    return Objective((Term(name or f"{layer}, direction {_print(values)}", layer, values),))


def class_logit(classifier: Classifier, label: str | int) -> Objective:
    """A class's score before softmax.

    Raises:
        OptionError: there is no such class; the message names near matches.
    """
    index = classifier.index(label)
    name = classifier.labels[index]
    return Objective((Term(name if name.startswith("class ") else f"class {name}", None, index),))


def _print(values: Tensor) -> str:
    """Six characters by which one direction is told from another."""
    return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()[:6]


def _text(term: Term, *, first: bool) -> str:
    sign = "" if first and term.weight > 0 else "− " if term.weight < 0 else "+ "
    size = abs(term.weight)
    return f"{sign}{term.name}" if size == 1 else f"{sign}{size:g} × ({term.name})"
