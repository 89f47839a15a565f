"""A drawn graph read back from its SVG: boxes by their rectangles, and connections by where lines begin and end."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

Point = tuple[float, float]
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def holds(self, point: Point, slack: float = 0.2) -> bool:
        x, y = point
        return self.x - slack <= x <= self.right + slack and self.y - slack <= y <= self.bottom + slack

    def strictly_holds(self, point: Point) -> bool:
        return self.holds(point, -0.5)

    def edge_holds(self, point: Point) -> bool:
        return self.holds(point) and not self.strictly_holds(point)

    def around(self, other: "Area") -> bool:
        return self.holds((other.x, other.y)) and self.holds((other.right, other.bottom))

    def apart(self, other: "Area") -> bool:
        beside = self.right <= other.x or other.right <= self.x
        return beside or self.bottom <= other.y or other.bottom <= self.y


@dataclass(frozen=True, slots=True)
class DrawnCard(Area):
    """A card; `inner` are its lines from box to box, −1 where they come from its port."""

    title: str = ""
    names: tuple[str, ...] = ()
    times: int = 1
    boxes: tuple[Area, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    inner: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """All of it; `edges` are lines from card to card, by place, and `paths` their corners."""

    page: Area
    cards: list[DrawnCard]
    edges: set[tuple[int, int]]
    paths: list[list[Point]]


def graph_of(page: str) -> DrawnGraph:
    """The graph that is drawn on a page."""
    source = page[page.index("<svg") : page.index("</svg>") + 6].replace("<svg ", f'<svg xmlns="{_SVG[1:-1]}" ', 1)
    svg = ElementTree.fromstring(source)
    cards = [_card(each) for each in svg.findall(f"{_SVG}g")]
    paths = [list(corners(each.get("d", ""))) for each in svg.findall(f"{_SVG}path")]
    edges = [(_touched(path[0], cards), _touched(path[-1], cards)) for path in paths]
    assert len(set(edges)) == len(edges), "each is drawn once"
    return DrawnGraph(Area(0, 0, _number(svg, "width"), _number(svg, "height")), cards, set(edges), paths)


def _card(group: ElementTree.Element) -> DrawnCard:
    found = re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform", ""))
    assert found
    frame = group.find(f"{_SVG}rect[@class='frame']")
    assert frame is not None
    boxes = [each for each in group.findall(f"{_SVG}g") if "box" in each.get("class", "")]
    areas = tuple(_area(rect) for each in boxes for rect in each.findall(f"{_SVG}rect"))
    badge = "".join(text.text or "" for text in group.findall(f"{_SVG}g[@class='times']/{_SVG}text"))
    title, *_ = (text.text or "" for text in group.findall(f"{_SVG}text"))
    port = group.find(f"{_SVG}circle")
    inner = set[tuple[int, int]]()
    for path in group.findall(f"{_SVG}path"):
        points = list(corners(path.get("d", "")))
        if not _number(frame, "height") - points[-1][1]:
            assert _touched(points[0], areas) == len(areas) - 1, "the last box leads out"
            continue
        assert port is not None
        comes_in = points[0] == (_number(port, "cx"), _number(port, "cy"))
        inner.add((-1 if comes_in else _touched(points[0], areas), _touched(points[-1], areas)))
    return DrawnCard(
        float(found[1]),
        float(found[2]),
        _number(frame, "width"),
        _number(frame, "height"),
        title,
        tuple(text.text or "" for text in group.findall(f"{_SVG}text[@class='name']")),
        int(badge.removeprefix("× ") or 1),
        areas,
        tuple(tuple(text.text or "" for text in each.findall(f"{_SVG}text")) for each in boxes),
        inner,
    )


def _touched(point: Point, areas: Sequence[Area]) -> int:
    """The one on whose edge a line begins or ends."""
    (found,) = [at for at, area in enumerate(areas) if area.edge_holds(point)]
    return found


def _area(rect: ElementTree.Element) -> Area:
    return Area(*(_number(rect, name) for name in ("x", "y", "width", "height")))


def _number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name, "0"))


def corners(path: str) -> Iterator[Point]:
    """The points of a path, without those that only bend it."""
    x = y = 0.0
    for command, given in re.findall(r"([MLVQC])([^MLVQC]*)", path):
        values = [float(each) for each in given.split()]
        x, y = (x, values[-1]) if command == "V" else (values[-2], values[-1])
        yield x, y
