"""Best patches on the page: a row of small pictures a unit, as the network was given them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from cnnaudit import numbers
from cnnaudit.report import figures
from cnnaudit.results import Exemplars, LayerExemplars, Meaning, Patch, UnitExemplars
from cnnaudit.shapes import Photo

_MOST = 12
_LONGEST = 96
_QUALITY = 80
_CLASSES = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """A patch: `picture`, or for a signal one line a channel, the points as SVG takes them."""

    picture: str | None
    lines: tuple[str, ...]
    shape: tuple[int, int]
    activation: str
    label: str
    says: str

    @property
    def small(self) -> bool:
        """True for a picture whose pixels should stay visible."""
        return figures.is_small(self.shape)


@dataclass(frozen=True, slots=True)
class Row:
    """One unit: its patches, where they come from, and what they show."""

    unit: int
    tiles: tuple[Tile, ...]
    usual: str
    classes: str
    meaning: str | None
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One layer; `count` units of it were looked at, and the most prominent of these are in `rows`."""

    layer: str
    channels: int
    field: tuple[int, int] | None
    silent: int
    count: int
    rows: tuple[Row, ...]
    signals: bool


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The section."""

    facts: Exemplars
    groups: tuple[Group, ...]
    patches: int
    marked: bool

    @property
    def signals(self) -> bool:
        """True where the patches are no pictures."""
        return any(group.signals for group in self.groups)


def view(facts: Exemplars) -> View:
    """The section of best patches.

    Raises:
        CnnAuditError: an activation is not finite.
    """
    units = [unit for layer in facts.layers for unit in layer.units]
    return View(
        facts,
        tuple(map(_group, facts.layers)),
        max((len(unit.patches) for unit in units), default=0),
        any(unit.meaning for unit in units),
    )


def twin(facts: Exemplars) -> dict[str, Any]:
    """The section in the JSON twin: every patch of every unit; the pictures are on the page alone."""
    return {
        "pictures": facts.pictures,
        "labelled": facts.labelled,
        "whole": [{"label": label, "share": share} for label, share in facts.whole],
        "unread": facts.unread,
        "layers": [
            {
                "layer": layer.layer,
                "shape": layer.shape,
                "field": layer.field,
                "silent": layer.silent,
                "units": list(map(_record, layer.units)),
            }
            for layer in facts.layers
        ],
    }


def _record(unit: UnitExemplars) -> dict[str, Any]:
    return {
        "unit": unit.unit,
        "mean": unit.mean,
        "deviation": unit.deviation,
        "prominence": unit.prominence,
        "meaning": unit.meaning,
        "patches": [
            {
                "index": patch.index,
                **({"name": patch.name} if patch.name else {}),
                "label": patch.label,
                "activation": patch.activation,
                "position": patch.position,
                "box": patch.box,
            }
            for patch in unit.patches
        ],
    }


def _group(layer: LayerExemplars) -> Group:
    prominent = sorted(layer.units, key=lambda unit: -unit.prominence)[:_MOST]
    shown = prominent if len(layer.units) > _MOST else layer.units
    rows = tuple(map(_row, shown))
    signals = any(tile.picture is None for row in rows for tile in row.tiles)
    size = layer.field.size if layer.field else None
    return Group(layer.layer, layer.shape[0], size, len(layer.silent), len(layer.units), rows, signals)


def _row(unit: UnitExemplars) -> Row:
    return Row(
        unit.unit,
        tuple(map(_tile, unit.patches)),
        f"{numbers.number(unit.mean)} ± {numbers.number(unit.deviation)}",
        _classes(unit),
        None if unit.meaning is None else says(unit.meaning),
        unit.meaning is not None and unit.meaning.is_sure,
    )


def says(meaning: Meaning) -> str:
    """How many patches show a part, and how many would by chance."""
    n = meaning.patches
    return (
        f"{n.right} of {n.n} mostly {meaning.part} (95 % interval {numbers.percent(n.low)} to "
        f"{numbers.percent(n.high)}; {numbers.percent(meaning.chance)} of patches at random)"
    )


def _classes(unit: UnitExemplars) -> str:
    """`"wolf (7), husky (2)"`; where no class comes twice, their names alone."""
    counts = Counter(patch.label for patch in unit.patches).most_common()
    single = len(counts) == len(unit.patches) > 1
    shown = ", ".join(label if single else f"{label} ({count})" for label, count in counts[:_CLASSES])
    return shown + (f" and {len(counts) - _CLASSES} more" if len(counts) > _CLASSES else "")


def _tile(patch: Patch) -> Tile:
    height, width = patch.pixels.shape[:2]
    name = patch.name or f"no. {patch.index}"
    top, left, bottom, right = patch.box
    where = f"columns {left} to {right}" if height == 1 else f"rows {top} to {bottom}, columns {left} to {right}"
    activation = numbers.number(patch.activation)
    text = f"{name}, {patch.label}: {activation} at {where}"
    if height == 1:
        return Tile(None, tuple(map(_line, patch.pixels[0].T)), (height, width), activation, patch.label, text)
    return Tile(_picture(patch.pixels), (), (height, width), activation, patch.label, text)


def _picture(pixels: Photo) -> str:
    shown = figures.shrunk(figures.flat(pixels if pixels.shape[2] in (1, 3) else pixels[..., :1]), _LONGEST)
    return figures.png_uri(shown) if figures.is_small(pixels.shape) else figures.jpeg_uri(shown, _QUALITY)


def _line(values: Any) -> str:
    return " ".join(f"{place},{255 - value}" for place, value in enumerate(values.tolist()))
