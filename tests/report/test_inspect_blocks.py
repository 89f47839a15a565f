"""The drawn graph of the blocks: what stands where, what it says, and how it fits a screen."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from drawn_graph import Area, DrawnGraph, graph_of
from one_section import page_of

from cnnaudit.report.inspection import blocks
from cnnaudit.report.inspection.cards import Card
from cnnaudit.report.plain import plain
from cnnaudit.results import Block, Blocks, Fold, Node


def node(label: str, *inputs: int, more: tuple[str, ...] = (), shape: tuple[int, ...] = (64, 56, 56)) -> Node:
    return Node((label,), (label, *more), len(inputs) > 1, inputs, shape, 1000)


RESIDUAL = Block(
    "layer1.0",
    "Bottleneck",
    (
        node("one", -1, more=("batch norm", "ReLU")),
        node("two", 0),
        node("three", 1),
        node("sum", -1, 2, more=("ReLU",)),
    ),
)
BRANCHES = Block("mix", "Inception", (node("a", -1), node("b", -1), node("c", 1), node("d", -1), node("cat", 0, 2, 3)))
STEM = Block("stem", "", (node("conv 7 × 7, stride 2", -1, more=("<i>norm</i>",)),))
FOUND = Blocks(
    (3, 224, 224),
    (
        Fold((STEM,), 1, 9408, "stem", (-1,)),
        Fold((RESIDUAL,), 35, 140000, "layer1.34", (0,)),
        Fold((BRANCHES,), 1, 5000, "mix", (0, 1)),
    ),
)
HEAD = Fold((Block("head", "", (node("linear", -1),)),), 1, 10, "head", (0,))


def drawn(at: int) -> Card:
    return blocks.view(FOUND).sheet.cards[at + 1].card


def shown(found: Blocks) -> DrawnGraph:
    return graph_of(page_of("blocks", blocks.view(found), scripted=False))


def chain(skips: dict[int, tuple[int, ...]], length: int) -> Blocks:
    """As many inception blocks, each of which takes from the one before it and from those given."""
    folds = (Fold((BRANCHES,), 1, 0, "mix", tuple(sorted({at - 1, *skips.get(at, ())}))) for at in range(length))
    return Blocks((3, 8, 8), tuple(folds))


def test_boxes_of_a_chain_stand_below_each_other() -> None:
    boxes = drawn(1).boxes
    assert len({box.x for box in boxes}) == 1
    assert all(above.y + above.height < below.y for above, below in pairwise(boxes))
    assert boxes[0].lines == ("one", "batch norm, ReLU", "64 × 56 × 56")


def test_branches_stand_side_by_side_and_meet_below() -> None:
    a, b, c, d, cat = drawn(2).boxes
    assert a.y == b.y == d.y < c.y < cat.y
    assert a.x < b.x == c.x < d.x
    assert a.x < cat.x < d.x and cat.joins


def test_a_shortcut_goes_around_what_stands_in_its_way() -> None:
    lines = drawn(1).lines
    assert [line.aside for line in lines] == [False, False, False, True, False, False]
    assert blocks.view(FOUND).shortcuts
    assert not blocks.view(Blocks(FOUND.picture, FOUND.folds[:1])).shortcuts


def test_what_it_says_to_who_cannot_see_it() -> None:
    assert drawn(1).says == (
        "layer1.0 … 34: one, batch norm, ReLU; two; three; sum, ReLU of the input and three, 35 times; "
        "output 64 × 56 × 56"
    )
    whole = blocks.view(FOUND).says
    assert whole.startswith("input 3 × 224 × 224; then stem: conv 7 × 7, stride 2")
    assert whole.endswith(", from stem and layer1.0 … 34")


def test_one_drawing_has_every_card_and_every_edge() -> None:
    page = page_of("blocks", blocks.view(FOUND), scripted=False)
    assert page.count("<svg") == page.count("<desc") == 1
    graph = graph_of(page)
    assert [(card.names, card.times) for card in graph.cards] == [
        ((), 1), (("stem",), 1), (("layer1.0 … 34",), 35), (("mix",), 1),
    ]  # fmt: skip
    assert graph.edges == {(0, 1), (1, 2), (2, 3), (1, 3)}
    assert graph.cards[2].inner == {(-1, 0), (0, 1), (1, 2), (2, 3), (-1, 3)}
    assert graph.cards[3].inner == {(-1, 0), (-1, 1), (1, 2), (-1, 3), (0, 4), (2, 4), (3, 4)}


def test_foreign_names_stay_text() -> None:
    page = page_of("blocks", blocks.view(FOUND), scripted=False)
    assert "<i>norm</i>" not in page and "&lt;i&gt;norm" in page


def test_what_does_not_follow_the_one_before_it_is_not_joined_to_it() -> None:
    assert shown(Blocks(FOUND.picture, (*FOUND.folds[:2], HEAD))).edges == {(0, 1), (1, 2), (1, 3)}


@pytest.mark.parametrize(
    "skips", [{}, {3: (0, 1)}, {11: (-1,)}, {2: (0,), 5: (0, 3), 9: (4, 0), 11: (9,)}, {4: (2,), 9: (7,), 10: (7,)}]
)
def test_edges_reach_their_cards_in_any_column(skips: dict[int, tuple[int, ...]]) -> None:
    found = chain(skips, 12)
    graph = shown(found)
    assert len({card.x for card in graph.cards[1:]}) > 1, "more than one column"
    assert graph.edges == {(source + 1, at + 1) for at, fold in enumerate(found.folds) for source in fold.inputs}


@pytest.mark.parametrize("found", [FOUND, chain({}, 1), chain({2: (0,), 5: (0, 3), 9: (4, 0)}, 12)])
def test_nothing_overlaps_or_sticks_out(found: Blocks) -> None:
    graph = shown(found)
    for at, one in enumerate(graph.cards):
        assert all(one.apart(other) for other in graph.cards[at + 1 :])
        assert all(Area(0, 0, one.width, one.height).around(box) for box in one.boxes)
        assert all(a.apart(b) for a, b in pairwise(one.boxes))
        assert graph.page.around(one)
    assert all(graph.page.holds(point) for path in graph.paths for point in path)


def test_lines_past_cards_touch_none_of_them_nor_each_other() -> None:
    graph = shown(chain({2: (0,), 5: (0, 3), 9: (4, 0), 11: (9,)}, 12))
    for path in graph.paths:
        for (x, y), (to_x, to_y) in pairwise(path):
            middle = ((x + to_x) / 2, (y + to_y) / 2)
            assert not any(card.strictly_holds(middle) for card in graph.cards)
    upright = [(x, min(y, to), max(y, to)) for path in graph.paths for (x, y), (at, to) in pairwise(path) if x == at]
    long = sorted(run for run in upright if run[2] - run[1] > 60)
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in pairwise(long))


def test_a_long_name_is_shortened_on_the_card_alone() -> None:
    name = ".".join(["deeply"] * 9)
    block = Block(name, "", STEM.nodes)
    page = page_of("blocks", blocks.view(Blocks((3, 8, 8), (Fold((block,), 1, 1, name, (-1,)),))), scripted=False)
    assert graph_of(page).cards[1].names == (f"…{name[-30:]}",)
    assert name in page


def test_the_twin_has_the_graph() -> None:
    twin = plain(blocks.twin(FOUND))
    assert twin["folds"][1]["times"] == 35
    assert twin["folds"][2]["blocks"][0]["nodes"][4]["inputs"] == [0, 2, 3]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk(browser: Any, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "blocks.html"
    path.write_text(page_of("blocks", blocks.view(FOUND), scripted=False), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(path.as_uri())
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.querySelector('.blocks text').getBoundingClientRect().height") > 11
        outside = page.evaluate(
            "[...document.querySelectorAll('.blocks :is(.box, .card, .times) > text')].filter(text => {"
            "const own = text.getBBox(), frame = text.parentNode.querySelector('rect:not(.behind)').getBBox();"
            "return own.x < frame.x || own.x + own.width > frame.x + frame.width}).length"
        )
        assert outside == 0
    assert complaints == []
    context.close()
