"""Cards in columns like a newspaper's, and the lines between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from cnnaudit.report.inspection.cards import Card

_WIDEST, _TALLEST = 1136, 640
_BELOW, _MARGIN = 30, 5
_GUTTER, _LANE = 28, 9
_OVER = 14  # how far above the cards of a column the line runs that comes from the column before
_AT_SIDE = 14  # how far from a card's corner a line leaves or arrives at its side
_CORNER = 8.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """A card and its corner."""

    card: Card
    x: float
    y: float

    @property
    def right(self) -> float:
        """Of its frame."""
        return self.x + self.card.size[0]

    @property
    def bottom(self) -> float:
        """Of its frame."""
        return self.y + self.card.size[1]


@dataclass(frozen=True, slots=True)
class Edge:
    """A line between two cards, given by their places, as SVG's `d` takes it; `skips` if others run between them."""

    source: int
    target: int
    path: str
    skips: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole drawing: the cards in order, the lines, and its width and height."""

    cards: tuple[Placed, ...]
    edges: tuple[Edge, ...]
    size: Point


@dataclass(frozen=True, slots=True)
class _Skip:
    """An edge past other cards; gutter `g` is what lies right of column `g`."""

    source: int
    target: int
    gutters: tuple[int, ...]
    ends: tuple[float, float]
    over: float

    def runs(self) -> list[tuple[int, float, float]]:
        """Each gutter that it uses, and from where to where."""
        if len(self.gutters) == 1:
            return [(self.gutters[0], min(self.ends), max(self.ends))]
        return [(gutter, self.over, end) for gutter, end in zip(self.gutters, self.ends, strict=True)]


def sheet(cards: Sequence[Card], inputs: Sequence[Sequence[int]]) -> Sheet:
    """The cards in columns, in the order in which they run, and a line to each from all that it takes from."""
    columns = _columns(cards)
    column = [at for at, own in enumerate(columns) for _ in own]
    far = [(s, t) for t, taken in enumerate(inputs) for s in taken if s < t - 1 and column[t] - column[s] > 1]
    top = _MARGIN + (_OVER if len(columns) > 1 else 0) + _LANE * len(far)
    ys = [top + each for own in columns for each in _depths(own)]
    skips: list[_Skip] = []
    for target, taken in enumerate(inputs):
        for rank, source in enumerate(each for each in taken if each < target - 1):
            first, last = column[source], max(column[source], column[target] - 1)
            ends = ys[source] + cards[source].size[1] - _AT_SIDE, ys[target] + _AT_SIDE + _LANE * rank
            over = _MARGIN + _LANE * far.index((source, target)) if first != last else 0.0
            skips.append(_Skip(source, target, tuple(dict.fromkeys((first, last))), ends, over))
    lanes = _lanes(skips)
    lefts = _lefts(columns, lanes)
    stand = [
        Placed(card, round(lefts[at] + (_width(columns[at]) - card.size[0]) / 2, 1), y)
        for card, at, y in zip(cards, column, ys, strict=True)
    ]
    edges = [_next(stand, column, lefts, target) for target, taken in enumerate(inputs) if target - 1 in taken]
    for skip in skips:
        beside = {gutter: lefts[gutter] + _width(columns[gutter]) + _LANE for gutter in skip.gutters}
        xs = [beside[gutter] + _LANE * lanes[skip, gutter] for gutter in skip.gutters]
        edges.append(_past(skip, stand, column, xs))
    return Sheet(tuple(stand), tuple(edges), (lefts[-1], max(each.bottom for each in stand) + _OVER + _MARGIN))


def _columns(cards: Sequence[Card]) -> list[list[Card]]:
    """As few columns as are needed to be no taller than is pleasant; no more than the page is wide."""
    best = [list(cards)]
    for many in range(2, len(cards) + 1):
        if max(map(_height, best)) <= _TALLEST:
            break
        found = _balanced(cards, many)
        if sum(_width(own) + _GUTTER for own in found) - _GUTTER + 2 * _MARGIN > _WIDEST:
            break
        best = found
    return best


def _balanced(cards: Sequence[Card], many: int) -> list[list[Card]]:
    """At most so many columns, the tallest as low as can be."""
    limit = max(card.size[1] for card in cards)
    while True:
        found: list[list[Card]] = [[]]
        for card in cards:
            if found[-1] and _height([*found[-1], card]) > limit:
                found.append([])
            found[-1].append(card)
        if len(found) <= many:
            return found
        limit += 4


def _height(cards: Sequence[Card]) -> float:
    return sum(card.size[1] + _BELOW for card in cards) - _BELOW


def _width(cards: Sequence[Card]) -> float:
    return max(card.size[0] for card in cards)


def _depths(cards: Sequence[Card]) -> list[float]:
    """How far down each begins."""
    return [_height(cards[:at]) + _BELOW for at in range(len(cards))]


def _lanes(skips: Sequence[_Skip]) -> dict[tuple[_Skip, int], int]:
    """A lane for each line in each gutter, so that no two lie upon each other."""
    runs = [(skip, *run) for skip in skips for run in skip.runs()]
    found: dict[tuple[_Skip, int], int] = {}
    for at, (skip, gutter, high, low) in enumerate(runs):
        taken = {
            found[other, gutter]
            for other, where, its_high, its_low in runs[:at]
            if where == gutter and its_high <= low and high <= its_low
        }
        found[skip, gutter] = next(lane for lane in count() if lane not in taken)
    return found


def _lefts(columns: Sequence[Sequence[Card]], lanes: Mapping[tuple[_Skip, int], int]) -> list[float]:
    """Where each column begins, and where all ends."""
    lefts = [float(_MARGIN)]
    for at, own in enumerate(columns):
        used = 1 + max((lane for (_, gutter), lane in lanes.items() if gutter == at), default=-1)
        gutter = _GUTTER if at < len(columns) - 1 else 2 * _MARGIN
        lefts.append(lefts[-1] + _width(own) + gutter + _LANE * used)
    return lefts


def _next(stand: Sequence[Placed], column: Sequence[int], lefts: Sequence[float], target: int) -> Edge:
    """From the card before: straight down, or up to the head of the next column."""
    above, below = stand[target - 1], stand[target]
    start = above.x + above.card.leave, above.bottom
    end = below.x + below.card.entry, below.y
    bend = above.bottom + _OVER
    if column[target - 1] == column[target]:
        corners = [(start[0], bend), (end[0], bend)]
    else:
        side, over = lefts[column[target]] - _GUTTER / 2, below.y - _OVER
        corners = [(start[0], bend), (side, bend), (side, over), (end[0], over)]
    return Edge(target - 1, target, _rounded([start, *corners, end]), skips=False)


def _past(skip: _Skip, stand: Sequence[Placed], column: Sequence[int], xs: Sequence[float]) -> Edge:
    """Out at the side, through the gutters, and in at the side."""
    source, target = stand[skip.source], stand[skip.target]
    leave, arrive = skip.ends
    same = column[skip.source] == column[skip.target]
    over = [(xs[0], skip.over), (xs[-1], skip.over)] if len(xs) > 1 else []
    end = target.right if same else target.x, arrive
    points = [(source.right, leave), (xs[0], leave), *over, (xs[-1], arrive), end]
    return Edge(skip.source, skip.target, _rounded(points), skips=True)


def _rounded(points: Sequence[Point]) -> str:
    """Straight lines between the points, their corners rounded."""
    points = [point for point, before in zip(points, [None, *points], strict=False) if point != before]
    path = f"M{_at(points[0])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        path += f"L{_at(_towards(corner, before))}Q{_at(corner)} {_at(_towards(corner, after))}"
    return f"{path}L{_at(points[-1])}"


def _towards(start: Point, end: Point) -> Point:
    """A corner's radius from one point to another, or half-way."""
    across, down = end[0] - start[0], end[1] - start[1]
    share = min(0.5, _CORNER / (abs(across) + abs(down)))
    return start[0] + share * across, start[1] + share * down


def _at(point: Point) -> str:
    return f"{round(point[0], 1):g} {round(point[1], 1):g}"
