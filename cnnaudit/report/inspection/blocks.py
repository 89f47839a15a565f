"""The graph of a network's blocks as drawings, one for each fold: boxes in layers, and lines between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnaudit.report import numbers
from cnnaudit.results import Block, Blocks, Fold, Node

_LINE, _INSIDE, _BETWEEN = 16, 7, 24
_CHARACTER, _NARROWEST = 6.7, 92
_EDGE = 8
_LANES_APART, _ASIDE = 16, 16
_PICTURE = -1


@dataclass(frozen=True, slots=True)
class Box:
    """One node: its corner, and its lines of text; the first says what it is."""

    x: float
    y: float
    height: float
    lines: tuple[str, ...]
    joins: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """One fold.

    Attributes:
        title: the block's class, or nothing for a layer that stands alone.
        name: of the module; of the first and the last where it is repeated.
        width: of each box.
        size: of the whole drawing, width and height.
        lines: between the boxes, as SVG's `d` takes them.
        follows: whether it takes from the one before it.
        others: names of earlier blocks that it takes from.
        start: how far down the lines begin.
    """

    title: str
    name: str
    times: int
    width: float
    size: tuple[float, float]
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    parameters: str
    follows: bool
    others: tuple[str, ...]
    start: float
    says: str


@dataclass(frozen=True, slots=True)
class View:
    """The section."""

    picture: str
    drawings: tuple[Drawing, ...]


def view(found: Blocks) -> View:
    """The graph as the page shows it."""
    return View(_by(found.picture), tuple(_drawing(found, at) for at in range(len(found.folds))))


def twin(found: Blocks) -> dict[str, Any]:
    """The same for a script."""
    return {"picture": found.picture, "folds": found.folds}


def _drawing(found: Blocks, at: int) -> Drawing:
    fold = found.folds[at]
    nodes = _in_a_row(fold.blocks)
    rows, lanes = _rows(nodes), _lanes(nodes)
    texts = [(*_spoken(node), _by(node.output_shape)) for _, node in nodes]
    width = max(_NARROWEST, *(_CHARACTER * len(line) + 18 for text in texts for line in text))
    alone = len(nodes) == 1
    top = 0 if alone else _EDGE + _BETWEEN
    boxes, bottom = _boxes(nodes, texts, rows, lanes, width, top)
    edge = 0 if alone else _EDGE
    lines, right = _lines(nodes, boxes, rows, lanes, width, top)
    return Drawing(
        title=_title(fold),
        name=_named(fold),
        times=fold.times,
        width=round(width, 1),
        size=(round(right + edge, 1), round(bottom + edge, 1)),
        boxes=tuple(boxes),
        lines=tuple(lines),
        parameters=numbers.count(fold.parameters),
        follows=at - 1 in fold.inputs,
        others=tuple(
            _named(found.folds[taken]) if taken != _PICTURE else "the picture"
            for taken in fold.inputs
            if taken != at - 1
        ),
        start=_EDGE,
        says=_says(fold, nodes),
    )


def _in_a_row(blocks: Sequence[Block]) -> list[tuple[tuple[int, ...], Node]]:
    """All nodes of the blocks with what they take from, by place; −1 comes in from above."""
    nodes: list[tuple[tuple[int, ...], Node]] = []
    for block in blocks:
        first = len(nodes)
        nodes += [(tuple(first - 1 if i < 0 else first + i for i in node.inputs), node) for node in block.nodes]
    return nodes


def _rows(nodes: Sequence[tuple[tuple[int, ...], Node]]) -> list[int]:
    """How far down each node stands: below all that it takes from."""
    rows: list[int] = []
    for inputs, _ in nodes:
        rows.append(1 + max((rows[i] for i in inputs if i >= 0), default=-1))
    return rows


def _lanes(nodes: Sequence[tuple[tuple[int, ...], Node]]) -> list[float]:
    """How far to the right: below what it takes from where that is free, a join between its branches."""
    lanes: list[float] = []
    taken = dict.fromkeys(range(-1, len(nodes)), False)
    for inputs, _ in nodes:
        inner = [i for i in inputs if i >= 0]
        if len(inner) > 1:
            lanes.append((min(lanes[i] for i in inner) + max(lanes[i] for i in inner)) / 2)
        elif not taken[first := inner[0] if inner else -1]:
            lanes.append(lanes[first] if inner else 0.0)
        else:
            lanes.append(float(int(max(lanes, default=-1.0)) + 1))
        for i in inner or [-1]:
            taken[i] = True
    return lanes


def _boxes(
    nodes: Sequence[tuple[tuple[int, ...], Node]],
    texts: Sequence[tuple[str, ...]],
    rows: Sequence[int],
    lanes: Sequence[float],
    width: float,
    top: float,
) -> tuple[list[Box], float]:
    """The boxes, and where the lowest ends."""
    tall = [_LINE * len(text) + 2 * _INSIDE for text in texts]
    heights = [max(h for h, own in zip(tall, rows, strict=True) if own == row) for row in range(max(rows) + 1)]
    edge = 0 if len(nodes) == 1 else _EDGE
    boxes = [
        Box(
            round(edge + lane * (width + _LANES_APART), 1),
            top + sum(heights[:row]) + row * _BETWEEN,
            height,
            text,
            node.joins,
        )
        for (_, node), text, row, lane, height in zip(nodes, texts, rows, lanes, tall, strict=True)
    ]
    return boxes, max(box.y + box.height for box in boxes)


def _lines(
    nodes: Sequence[tuple[tuple[int, ...], Node]],
    boxes: Sequence[Box],
    rows: Sequence[int],
    lanes: Sequence[float],
    width: float,
    top: float,
) -> tuple[list[str], float]:
    """The connections, and how far to the right all of it goes."""
    right = max(box.x for box in boxes) + width
    found: list[str] = []
    for at, (inputs, _) in enumerate(nodes):
        for source in inputs if len(nodes) > 1 else ():
            above = boxes[source] if source >= 0 else None
            x, y = (above.x, above.y + above.height) if above else (boxes[0].x, top - _BETWEEN)
            lane, row = (lanes[source], rows[source]) if above else (0.0, -1)
            if _is_free(lane, row, rows[at], lanes, rows):
                found.append(_down(x + width / 2, y, boxes[at].x + width / 2, boxes[at].y))
            else:
                right += _ASIDE
                found.append(_aside(x + width / 2, y, right, boxes[at].x + width, boxes[at].y + boxes[at].height / 2))
    return found, right


def _is_free(lane: float, above: int, below: int, lanes: Sequence[float], rows: Sequence[int]) -> bool:
    """Whether nothing stands in a lane between two rows."""
    between = zip(lanes, rows, strict=True)
    return not any(above < row < below and abs(other - lane) < 1 for other, row in between)


def _down(x: float, y: float, to_x: float, to_y: float) -> str:
    if x == to_x:
        return f"M{x:g} {y:g}V{to_y:g}"
    bend = to_y - _BETWEEN
    return f"M{x:g} {y:g}V{bend:g}C{x:g} {to_y:g} {to_x:g} {bend:g} {to_x:g} {to_y:g}"


def _aside(x: float, y: float, side: float, to_x: float, to_y: float) -> str:
    """Around what stands in the way, and in from the right."""
    half = _BETWEEN / 2
    return (
        f"M{x:g} {y:g}C{x:g} {y + half:g} {side:g} {y:g} {side:g} {y + _BETWEEN:g}"
        f"V{to_y - half:g}Q{side:g} {to_y:g} {to_x:g} {to_y:g}"
    )


def _spoken(node: Node) -> tuple[str, ...]:
    """What it does first, and the rest in one line."""
    first, *rest = node.label
    return (first, ", ".join(rest)) if rest else (first,)


def _title(fold: Fold) -> str:
    kinds = list(dict.fromkeys(block.kind for block in fold.blocks if block.kind))
    return ", ".join(kinds) or ("layers" if len(fold.blocks) > 1 else "")


def _named(fold: Fold) -> str:
    """The first block and the last; what their dotted names begin with alike is said once."""
    first, last = fold.blocks[0].name, fold.last
    if first == last or not (first and last):
        return first or last
    one, other = first.split("."), last.split(".")
    same = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)) - 1
    )
    return f"{first} … {'.'.join(other[same:])}"


def _says(fold: Fold, nodes: Sequence[tuple[tuple[int, ...], Node]]) -> str:
    """The drawing in a sentence, for who cannot see it."""
    parts = []
    for at, (inputs, node) in enumerate(nodes):
        after = [nodes[i][1].label[0] if i >= 0 else "the input" for i in inputs if i != at - 1 or node.joins]
        parts.append(", ".join(node.label) + (f" of {' and '.join(after)}" if after and len(nodes) > 1 else ""))
    again = f", {fold.times} times" if fold.times > 1 else ""
    return f"{'; '.join(parts)}{again}; output {_by(nodes[-1][1].output_shape)}"


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(numbers.count, shape))
