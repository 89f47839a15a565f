"""Pictures made for units, as the page shows them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from cnnaudit import numbers
from cnnaudit.errors import CnnAuditError
from cnnaudit.report import figures
from cnnaudit.results import Visualization, Visualizations

_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture, or one signal as lines in per cent of the plot.

    Attributes:
        unit: which of its group this is: "channel 37".
        start: the activation that the search began with.
        best: of a dataset; None where it is not known.
        given, best_given: the same before an activation function whose limit both reach; None elsewhere.
        answer: the class that the network takes it for, and how sure it is.
    """

    unit: str
    picture: str | None
    lines: tuple[str, ...]
    activation: str
    start: str
    best: str | None
    given: str | None
    best_given: str | None
    exceeds: bool | None
    answer: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Group:
    """The pictures of one layer; `layer` is None for others, whose `title` says what they are."""

    layer: str | None
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The section.

    Attributes:
        size: "128 × 128", rows and columns.
        small: whether a picture is shown as squares.
        compared, exceeding: how many pictures a dataset's best is known for, and how many exceed it.
        share: the second of the first, in words.
        settled: how many were compared before their activation function.
    """

    groups: tuple[Group, ...]
    steps: int
    copies: int
    size: str
    shape: tuple[int, int]
    compared: int
    exceeding: int
    share: str
    settled: int

    @property
    def answered(self) -> bool:
        """Whether it is known what the network takes them for."""
        return any(each.answer for group in self.groups for each in group.figures)

    @property
    def signals(self) -> bool:
        """Whether these are signals, drawn as lines."""
        return self.shape[0] == 1

    @property
    def small(self) -> bool:
        """Whether the pictures are so small that they are shown as squares."""
        return figures.is_small(self.shape)


def view(facts: Visualizations) -> View:
    """The section.

    Raises:
        CnnAuditError: there is no picture, or a number is not finite.
    """
    if not facts.pictures:
        raise CnnAuditError("There is no picture to show; a visualisation has at least one.")
    shape = facts.pictures[0].pixels.shape[1:]
    groups = groupby(facts.pictures, key=lambda each: (each.layer, _title(each)))
    return View(
        tuple(Group(layer, title, tuple(_figure(e, facts.copies) for e in found)) for (layer, title), found in groups),
        facts.steps,
        facts.copies,
        " × ".join(map(str, shape)) if shape[0] > 1 else str(shape[1]),
        (int(shape[0]), int(shape[1])),
        facts.compared,
        facts.exceeding,
        numbers.share(facts.exceeding / facts.compared) if facts.compared else "",
        facts.settled,
    )


def twin(facts: Visualizations) -> dict[str, Any]:
    """The section's numbers; the pictures themselves are on the page alone."""
    return {
        "steps": facts.steps,
        "copies": facts.copies,
        "diversity": facts.diversity,
        "compared": facts.compared,
        "exceeding": facts.exceeding,
        "settled_before_activation": facts.settled,
        "pictures": [_record(each) for each in facts.pictures],
    }


def _title(each: Visualization) -> str:
    if each.layer is not None:
        return each.layer
    return "Classes" if each.channel is not None else "Directions and sums"


def _record(each: Visualization) -> dict[str, Any]:
    return {
        "objective": each.objective,
        "layer": each.layer,
        "channel": each.channel,
        "copy": each.copy,
        "shape": each.pixels.shape,
        "activation": each.activation,
        "start": each.start,
        "best": each.best,
        "given": each.given,
        "best_given": each.best_given,
        "exceeds": each.exceeds,
        "answer": None if each.answer is None else asdict(each.answer),
    }


def _figure(each: Visualization, copies: int) -> Figure:
    unit = each.objective if each.layer is None else each.objective.removeprefix(f"{each.layer}, ")
    height = each.pixels.shape[1]
    return Figure(
        unit=f"{unit}, {each.copy + 1} of {copies}" if copies > 1 else unit,
        picture=_picture(each.pixels) if height > 1 else None,
        lines=_lines(each.pixels[:, 0]) if height == 1 else (),
        activation=numbers.number(each.activation),
        start=numbers.number(each.start),
        best=None if each.best is None else numbers.number(each.best),
        given=None if each.given is None or each.best_given is None else numbers.number(each.given),
        best_given=None if each.best_given is None else numbers.number(each.best_given),
        exceeds=each.exceeds,
        answer=None if each.answer is None else (each.answer.label, numbers.percent(each.answer.probability)),
    )


def _picture(pixels: np.ndarray) -> str:
    channels = pixels if len(pixels) == 3 else np.repeat(pixels[:1], 3, axis=0)
    picture = np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if figures.is_small(picture.shape):
        return figures.png_uri(picture if len(pixels) == 3 else picture[..., 0])
    return figures.jpeg_uri(picture, _QUALITY)


def _lines(signal: Sequence[np.ndarray] | np.ndarray) -> tuple[str, ...]:
    """A line for each channel, 0 at the bottom of the plot and 1 at its top, as SVG takes them."""
    return tuple(
        " ".join(
            f"{100 * place / max(1, len(values) - 1):g},{100 * (1 - value):.4g}"
            for place, value in enumerate(np.clip(values, 0, 1).tolist())
        )
        for values in signal
    )
