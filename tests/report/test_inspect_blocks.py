"""The drawn graph of the blocks: what stands where, what it says, and how it fits a screen."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from one_section import page_of

from cnnaudit.report.inspection import blocks
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


def drawn(at: int) -> blocks.Drawing:
    return blocks.view(FOUND).drawings[at]


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


def test_no_two_boxes_overlap() -> None:
    for drawing in blocks.view(FOUND).drawings:
        for at, one in enumerate(drawing.boxes):
            for other in drawing.boxes[at + 1 :]:
                beside = abs(one.x - other.x) >= drawing.width
                assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
        assert all(box.x >= 0 and box.x + drawing.width <= drawing.size[0] for box in drawing.boxes)
        assert all(box.y + box.height <= drawing.size[1] for box in drawing.boxes)


def test_a_shortcut_goes_around_what_stands_in_its_way() -> None:
    drawing = drawn(1)
    assert len(drawing.lines) == 5
    reach = [max(map(float, re.findall(r"-?[\d.]+", line)[::2])) for line in drawing.lines]
    assert max(float(x) for line in drawing.lines for x in re.findall(r"C[\d.]+ [\d.]+ ([\d.]+)", line)) > (
        drawing.boxes[0].x + drawing.width
    )
    assert max(reach) <= max(drawing.size)


def test_every_line_lies_in_the_drawing() -> None:
    for drawing in blocks.view(FOUND).drawings:
        for line in drawing.lines:
            numbers = [float(each) for each in re.findall(r"-?[\d.]+", line)]
            assert min(numbers) >= 0 and max(numbers) <= max(drawing.size)


def test_what_it_says_to_who_cannot_see_it() -> None:
    assert drawn(1).says == (
        "one, batch norm, ReLU; two; three; sum, ReLU of the input and three, 35 times; output 64 × 56 × 56"
    )
    assert (drawn(1).name, drawn(1).times, drawn(2).others) == ("layer1.0 … 34", 35, ("stem",))


def test_what_does_not_follow_the_one_before_it_says_so() -> None:
    aside = Blocks(FOUND.picture, (*FOUND.folds[:2], Fold((BRANCHES,), 1, 5000, "mix", (-1, 0))))
    drawing = blocks.view(aside).drawings[2]
    assert (drawing.follows, drawing.others) == (False, ("the picture", "stem"))
    page = page_of("blocks", blocks.view(aside), scripted=False)
    assert "takes from the picture and stem, not from what is drawn before it" in page


def test_the_page_holds_a_title_and_a_description_for_each_drawing() -> None:
    page = page_of("blocks", blocks.view(FOUND), scripted=False)
    assert page.count("<svg") == page.count("<desc>") == page.count('role="img"') == 3
    assert "× 35" in page and "also takes from stem" in page
    assert "<i>norm</i>" not in page and "&lt;i&gt;norm" in page


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
        outside = page.evaluate(
            "[...document.querySelectorAll('.fold-graph g')].filter(g => g.querySelector('text').getBBox().width > "
            "g.querySelector('rect').getBBox().width).length"
        )
        assert outside == 0
    assert complaints == []
    context.close()
