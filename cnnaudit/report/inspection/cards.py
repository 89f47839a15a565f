"""A fold of a network's blocks as a card of its graph: boxes below and beside each other, and lines between them."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.results import Block, Fold, Node

LINE = 16
EDGE = 10
_INSIDE, _BETWEEN = 7, 22
_BOLD, _PLAIN, _CODE, _AROUND_TEXT = 7.45, 6.4, 6.65, 15
_NARROWEST = 92
_LANES_APART, _ASIDE = 10, 14
_LONGEST_NAME = 30
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
class Line:
    """A connection as SVG's `d` takes it; `aside` where it goes around other boxes."""

    path: str
    aside: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One fold, measured from its own corner.

    Attributes:
        title: the block's class; what a layer does that stands alone.
        kind: "block", or "layer" or "join" for one that stands alone, which has no boxes in it.
        about: more lines of text; those of a layer say what is done behind it.
        name: of the module, in lines; of the first and the last where it is repeated.
        inner: the width of each box.
        entry: how far to the right what comes in arrives at the upper edge.
        leave: how far to the right what comes out leaves at the lower edge.
        port: where what came in is handed on to the boxes.
        says: all of it in a sentence.
    """

    title: str
    kind: str
    about: tuple[str, ...]
    name: tuple[str, ...]
    times: int
    size: tuple[float, float]
    inner: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    entry: float
    leave: float
    port: float
    says: str


def picture(shape: Sequence[int]) -> Card:
    """What the network is given."""
    return _layer(("input", _by(shape)), (), 1, joins=False, says=f"input {_by(shape)}")


def card(fold: Fold) -> Card:
    """A fold: a layer alone as one box, anything else as a frame with a box for each node."""
    nodes = _in_a_row(fold.blocks)
    says = f"{named(fold)}: {_says(fold, nodes)}".removeprefix(": ")
    counted = _counted(fold)
    if len(nodes) == 1:
        texts = (*_text(nodes[0][1]), *counted)
        return _layer(texts, _name(fold), fold.times, joins=nodes[0][1].joins, says=says)
    title = ", ".join(dict.fromkeys(block.kind for block in fold.blocks if block.kind)) or "layers"
    return _block(nodes, title, counted, _name(fold), fold.times, says)


def _layer(texts: Sequence[str], name: tuple[str, ...], times: int, *, joins: bool, says: str) -> Card:
    title, *about = texts
    badge = 28 if times > 1 else 0
    width = round(max(_NARROWEST, _wide(title, about, name) + badge), 1)
    height = LINE * (len(texts) + len(name)) + 2 * _INSIDE
    kind = "join" if joins else "layer"
    middle = width / 2
    return Card(title, kind, tuple(about), name, times, (width, height), 0, (), (), middle, middle, 0, says)


def _block(
    nodes: Sequence[tuple[tuple[int, ...], Node]], title: str, about: tuple[str, ...], name: tuple[str, ...],
    times: int, says: str,
) -> Card:  # fmt: skip
    texts = [_text(node) for _, node in nodes]
    port = EDGE + LINE * (1 + len(about) + len(name)) + 4
    inside = _inside(nodes, texts, EDGE, port)
    width = max(inside.right + EDGE, _wide(title, about, name) + 2 * EDGE + (52 if times > 1 else 0))
    inside = _inside(nodes, texts, EDGE + (width - inside.right - EDGE) / 2, port)
    size = (round(width, 1), round(inside.bottom, 1))
    boxes, lines = tuple(inside.boxes), tuple(inside.lines)
    return Card(
        title, "block", about, name, times, size, inside.width, boxes, lines, inside.entry, inside.leave, port, says
    )


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is drawn in a block: the boxes, so wide each, the lines, how far it goes, and where it begins and ends."""

    boxes: list[Box]
    lines: list[Line]
    width: float
    right: float
    bottom: float
    entry: float
    leave: float


def _inside(
    nodes: Sequence[tuple[tuple[int, ...], Node]], texts: Sequence[tuple[str, ...]], left: float, port: float
) -> _Inside:
    width = round(max(_NARROWEST, *(_wide(text[0], text[1:], ()) for text in texts)), 1)
    rows, lanes = _rows(nodes), _lanes(nodes)
    boxes = _boxes(nodes, texts, rows, lanes, width, (left, port + _BETWEEN))
    first = [box.x for box, (inputs, _) in zip(boxes, nodes, strict=True) if box.y == boxes[0].y and _PICTURE in inputs]
    entry, leave = round((min(first) + max(first) + width) / 2, 1), round(boxes[-1].x + width / 2, 1)
    lines, right = _lines(nodes, boxes, rows, lanes, width, (entry, port))
    bottom = max(box.y + box.height for box in boxes) + EDGE
    lines.append(Line(f"M{leave:g} {boxes[-1].y + boxes[-1].height:g}V{bottom:g}", aside=False))
    return _Inside(boxes, lines, width, right, bottom, entry, leave)


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
    nodes: Sequence[tuple[tuple[int, ...], Node]], texts: Sequence[tuple[str, ...]], rows: Sequence[int],
    lanes: Sequence[float], width: float, corner: tuple[float, float],
) -> list[Box]:  # fmt: skip
    tall = [LINE * len(text) + 2 * _INSIDE for text in texts]
    heights = [max(h for h, own in zip(tall, rows, strict=True) if own == row) for row in range(max(rows) + 1)]
    return [
        Box(
            round(corner[0] + lane * (width + _LANES_APART), 1),
            corner[1] + sum(heights[:row]) + row * _BETWEEN,
            height,
            text,
            node.joins,
        )
        for (_, node), text, row, lane, height in zip(nodes, texts, rows, lanes, tall, strict=True)
    ]


def _lines(
    nodes: Sequence[tuple[tuple[int, ...], Node]], boxes: Sequence[Box], rows: Sequence[int], lanes: Sequence[float],
    width: float, port: tuple[float, float],
) -> tuple[list[Line], float]:  # fmt: skip
    """The connections, and how far to the right all of it goes."""
    right = max(box.x for box in boxes) + width
    found: list[Line] = []
    for at, (inputs, _) in enumerate(nodes):
        box = boxes[at]
        for source in inputs:
            above = boxes[source] if source >= 0 else None
            x, y = (above.x + width / 2, above.y + above.height) if above else port
            lane, row = (lanes[source], rows[source]) if above else (0.0, -1)
            if _is_free(lane, row, rows[at], lanes, rows):
                found.append(Line(_down(x, y, box.x + width / 2, box.y), aside=False))
            else:
                right += _ASIDE
                found.append(Line(_aside(x, y, right, box.x + width, box.y + box.height / 2), aside=True))
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


def _text(node: Node) -> tuple[str, ...]:
    """What it does first, the rest in one line, and what comes out."""
    first, *rest = node.label
    return (first, *([", ".join(rest)] if rest else []), _by(node.output_shape))


def _wide(title: str, about: Sequence[str], name: Sequence[str]) -> float:
    """As wide as the longest line may become; fonts differ."""
    widths = [_BOLD * len(title), *(_PLAIN * len(line) for line in about), *(_CODE * len(line) for line in name)]
    return max(widths) + _AROUND_TEXT


def _counted(fold: Fold) -> tuple[str, ...]:
    if not fold.parameters:
        return ()
    return (f"{numbers.count(fold.parameters)} parameters{' in all' if fold.times > 1 else ''}",)


def _name(fold: Fold) -> tuple[str, ...]:
    """In two lines where it is long; of a line that is still too long the end."""
    whole = named(fold)
    first, some, last = whole.partition(" … ")
    lines = [first, f"… {last}"] if some and len(whole) > _LONGEST_NAME else [whole] if whole else []
    return tuple(line if len(line) <= _LONGEST_NAME + 2 else f"…{line[-_LONGEST_NAME:]}" for line in lines)


def named(fold: Fold) -> str:
    """The first block and the last; what their dotted names begin with alike is said once."""
    first, last = fold.blocks[0].name, fold.last
    if first == last or not (first and last):
        return first or last
    one, other = first.split("."), last.split(".")
    differ = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    same = next(differ, min(len(one), len(other)) - 1)
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
