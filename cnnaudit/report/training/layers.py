"""The architecture table: a row a layer, numbers in words, shares of the totals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.results import ArchitectureFacts, DeadUnits, LayerFacts

FOLDED_ABOVE = 60
"""Longer tables are folded away."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A count in words, and its share of the whole network's in per cent."""

    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Row:
    """One layer; an empty text where it has no such property.

    `window` is kernel, stride, padding and, where the table has any, dilation in one text; `seen` the receptive
    field, its jump and its offset.
    """

    name: str
    kind: str
    kernel: str
    stride: str
    padding: str
    dilation: str
    window: str
    output: str
    parameters: Amount
    multiply_adds: Amount
    memory: str
    receptive_field: str
    seen: str
    dead: str


@dataclass(frozen=True, slots=True)
class Table:
    """The layers and their sums; `dilated` is True where the column of dilations says anything.

    `detailed` is True where memory and all of the receptive field are shown too; `dead` is the sum of the dead
    units, None where they were not counted.
    """

    rows: tuple[Row, ...]
    parameters: str
    trainable: str
    frozen: bool
    multiply_adds: str
    memory: str
    dilated: bool
    folded: bool
    detailed: bool
    dead: str | None


def table(
    architecture: ArchitectureFacts, *, detailed: bool = False, dead: Mapping[str, DeadUnits] | None = None
) -> Table:
    """The network as the page shows it; `dead` has the dead units of some layers, by name."""
    counted = dead or {}
    dilated = any(max(layer.dilation or (1,)) > 1 for layer in architecture.layers)
    return Table(
        rows=tuple(_row(layer, architecture, counted.get(layer.name), dilated) for layer in architecture.layers),
        parameters=numbers.count(architecture.parameters),
        trainable=numbers.count(architecture.trainable),
        frozen=architecture.trainable < architecture.parameters,
        multiply_adds=numbers.count(architecture.multiply_adds),
        memory=numbers.size(architecture.memory),
        dilated=dilated,
        folded=len(architecture.layers) > FOLDED_ABOVE,
        detailed=detailed,
        dead=None
        if dead is None
        else _of(sum(len(d.dead) for d in dead.values()), sum(d.units for d in dead.values())),
    )


def _row(layer: LayerFacts, whole: ArchitectureFacts, dead: DeadUnits | None, dilated: bool) -> Row:
    field = layer.receptive_field
    kept = slice(1, None) if _is_signal(whole) else slice(None)
    reach = _by(field.size[kept] if field else None)
    sides = (layer.stride, layer.padding, *((layer.dilation,) if dilated else ()))
    return Row(
        layer.name,
        layer.kind,
        kernel=_by(layer.kernel),
        stride=_by(layer.stride),
        padding=_by(layer.padding),
        dilation=_by(layer.dilation),
        window=_joined(_by(layer.kernel), *map(_once, sides)),
        output=_by(layer.output_shape),
        parameters=_amount(layer.parameters, whole.parameters),
        multiply_adds=_amount(layer.multiply_adds, whole.multiply_adds),
        memory=numbers.size(layer.memory),
        receptive_field=reach,
        seen=_joined(reach, _once(field.jump[kept]), _once(field.offset[kept])) if field else "",
        dead=_of(len(dead.dead), dead.units) if dead else "",
    )


def _is_signal(whole: ArchitectureFacts) -> bool:
    """Whether there is but one row to see, so that only columns say anything."""
    fields = [layer.receptive_field for layer in whole.layers if layer.receptive_field]
    return all(field.size[0] == 1 and field.jump[0] == 0 for field in fields)


def _by(sizes: Sequence[int] | None) -> str:
    """`"5 × 5"`, or nothing."""
    return " × ".join(map(numbers.count, sizes or ()))


def _of(some: int, whole: int) -> str:
    """`"3 of 64"`, or `"0"`."""
    return f"{numbers.count(some)} of {numbers.count(whole)}" if some else "0"


def _once(values: Sequence[float] | None) -> str:
    """`"1.5 × 2"`, or `"1.5"` where all are the same, or nothing."""
    texts = [numbers.number(value) for value in values or ()]
    return texts[0] if len(set(texts)) == 1 else " × ".join(texts)


def _joined(*texts: str) -> str:
    return " / ".join(filter(None, texts))


def _amount(value: int, whole: int) -> Amount:
    return Amount(numbers.count(value) if value else "", round(100 * value / whole, 2) if whole else 0.0)
