"""What the page shows, worked out before the template runs: cards, legends, drawn pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnnaudit import numbers
from cnnaudit.report import encoding, figures, intervals, segments
from cnnaudit.report.grouping import Group, Maps, groups
from cnnaudit.results import Declined, Explanation, ImageResult, MethodCard, Target

_PHOTO_QUALITY = 92
_OVERLAY_QUALITY = 68
_PART_SIZE = 128
_THUMBNAIL_SIZE = 96

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Legend:
    """The colour scale of a map in words and numbers.

    Attributes:
        limit: where the colour saturates.
        signed: True when the scale runs from −limit to +limit.
        remark: how far the values go, and whether any is beyond the limit.
    """

    limit: float
    signed: bool
    unit: str
    remark: str

    @property
    def palette(self) -> figures.Palette:
        """The palette of the drawn picture."""
        return figures.default_palette(self.signed)


@dataclass(frozen=True, slots=True)
class Part:
    """A small picture of one of the maps that an explanation was made from."""

    title: str
    picture: str | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One map: an explanation of one target. `picture` is None where there is no evidence.

    Attributes:
        hatching: where the sign may be chance, as a picture that is white there; None where that is nowhere so.
        hatched: the share of the picture that is hatched.
        segments: the values of the picture's segments, for a map of such.
    """

    target: Target
    picture: str | None
    codes: str
    hatching: str | None
    hatched: float
    legend: Legend
    segments: segments.Table | None
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One method with a panel for each target, all on one scale."""

    method: MethodCard
    panels: tuple[Panel, ...]
    parameters: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A method that could not run; `targets` are the scores that it was asked about."""

    method: MethodCard
    reason: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One picture with all that was found for it."""

    result: ImageResult
    photo: str
    thumbnail: str
    shape: tuple[int, int]
    targets: tuple[Target, ...]
    cards: tuple[Card, ...]
    yardsticks: tuple[Card, ...]
    refusals: tuple[Refusal, ...]

    @property
    def hatched(self) -> bool:
        """True when a part of any map is hatched."""
        return any(panel.hatching for card in self.cards for panel in card.panels)

    @property
    def pixelated(self) -> bool:
        """True for a picture so small that its pixels should stay visible."""
        return figures.is_small(self.shape)

    @property
    def explains_first_choice(self) -> bool:
        """True when the one target is what the network answered."""
        first = self.result.predictions[0].index
        return [(target.index, target.versus_index) for target in self.targets] == [(first, None)]


def section(result: ImageResult) -> Section:
    """All that the page shows for one picture.

    Raises:
        MethodError: a map holds a value that is not finite.
    """
    picture = figures.photo(result.pixels)
    cards = [_card(group, picture) for group in groups(result.explanations)]
    asked = (*result.explanations, *result.declined)
    return Section(
        result,
        photo=_photo(picture),
        thumbnail=figures.jpeg_uri(figures.shrunk(picture, _THUMBNAIL_SIZE), _OVERLAY_QUALITY),
        shape=(picture.shape[0], picture.shape[1]),
        targets=tuple(dict.fromkeys(each.target for each in asked)),
        cards=tuple(card for card in cards if not card.method.baseline),
        yardsticks=tuple(card for card in cards if card.method.baseline),
        refusals=tuple(_refusals(result.declined)),
    )


def _photo(picture: np.ndarray) -> str:
    """JPEG, or PNG where single pixels will be seen."""
    small = figures.is_small(picture.shape)
    return figures.png_uri(picture) if small else figures.jpeg_uri(picture, _PHOTO_QUALITY, subsampling=0)


def _overlay(drawn: np.ndarray) -> str:
    return figures.png_uri(drawn) if figures.is_small(drawn.shape) else figures.jpeg_uri(drawn, _OVERLAY_QUALITY)


def _refusals(declined: Sequence[Declined]) -> Iterator[Refusal]:
    for method, reason in dict.fromkeys((each.card, each.reason) for each in declined):
        targets = (each.target.name for each in declined if (each.card, each.reason) == (method, reason))
        yield Refusal(method, reason, tuple(targets))


def _card(group: Group, picture: np.ndarray) -> Card:
    panels = tuple(_panel(maps, group, picture) for maps in group.maps)
    return Card(group.method, panels, tuple(_parameters(group.maps[0].explanation)))


def _panel(maps: Maps, group: Group, picture: np.ndarray) -> Panel:
    explanation = maps.explanation
    table = segments.table(explanation)
    remark = _remark(maps.whole, group.limit, group.signed)
    legend = Legend(group.limit, group.signed, explanation.card.unit, remark)
    drawn = _drawn(maps.whole, picture, legend)
    return Panel(
        explanation.target,
        picture=drawn if drawn is None else _overlay(drawn),
        codes=encoding.deflated(encoding.display_codes(maps.whole, group.limit)),
        hatching=None if maps.unsettled is None else figures.mask_uri(maps.unsettled),
        hatched=0.0 if maps.unsettled is None else float(maps.unsettled.mean()),
        legend=legend,
        segments=table,
        parts=tuple(_part(name, values, picture, legend) for name, values in maps.parts.items()),
        notes=explanation.notes,
        rows=tuple(_findings(explanation, maps.whole, segments.SHOWN if table else frozenset())),
    )


def _part(name: str, values: np.ndarray, picture: np.ndarray, legend: Legend) -> Part:
    drawn = _drawn(values, picture, legend)
    small = drawn if drawn is None else figures.shrunk(drawn, _PART_SIZE)
    return Part(name, small if small is None else _overlay(small))


def _drawn(values: np.ndarray, picture: np.ndarray, legend: Legend) -> np.ndarray | None:
    if not values.any():
        return None
    return figures.overlay(picture, encoding.display_codes(values, legend.limit), legend.palette)


def _remark(values: np.ndarray, limit: float, signed: bool) -> str:
    low, high = numbers.number(values.min()), numbers.number(values.max())
    if np.abs(values).max() <= limit:
        return f"Values from {low} to {high}."
    at = f"±{numbers.number(limit)}" if signed else numbers.number(limit)
    return f"Colour saturates at {at}; values from {low} to {high}."


def _parameters(explanation: Explanation) -> Iterator[Row]:
    yield from ((numbers.words(name), numbers.fact(value)) for name, value in explanation.options.items())
    if explanation.layer:
        yield "layer", explanation.layer


def _findings(explanation: Explanation, values: np.ndarray, elsewhere: frozenset[str]) -> Iterator[Row]:
    yield from intervals.rows({name: fact for name, fact in explanation.facts.items() if name not in elsewhere})
    if values.max() > 0:
        yield "share of the positive values in the top tenth of the pixels", numbers.percent(explanation.concentration)
    yield "forward passes", numbers.count(explanation.forward_passes)
