"""The map of a photo set on the page: where points are, their colours, the sheet of thumbnails, the browser."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_section import page_of
from report_samples import HOSTILE
from test_report_page import Tags
from train_reading import decoded

from cnnaudit.report.inspection import embedding as drawing
from cnnaudit.report.plain import plain
from cnnaudit.results import Embedding


def facts(n: int = 30, *, labels: int = 3, size: tuple[int, int] = (48, 64), **changes: Any) -> Embedding:
    rng = np.random.default_rng(n)
    names = tuple(f"kind {k}" for k in range(labels))
    classes = tuple(names[k % labels] for k in range(n))
    answers = (*classes[: n - 4], *(names[(k + 1) % labels] for k in range(n - 4, n)))
    thumbnails = np.repeat((np.arange(n) * 8 % 256).astype(np.uint8), size[0] * size[1] * 3)
    made = Embedding(
        method="pca",
        layer="fc",
        features=512,
        pooled=False,
        total=n,
        indices=tuple(range(n)),
        names=(),
        points=rng.normal(size=(n, 2)).astype(np.float32),
        explained=(0.4, 0.25),
        classes=classes,
        answers=answers,
        confidences=tuple(np.linspace(0.5, 1, n).tolist()),
        mistakes=tuple(a != b for a, b in zip(classes, answers, strict=True)),
        thumbnails=thumbnails.reshape(n, *size, 3),
        unread=(),
    )
    return replace(made, **changes)


def html(of: Embedding) -> str:
    return page_of("embedding", drawing.view(of))


def text(of: Embedding) -> str:
    return " ".join(html(of).split()).replace("\u202f", " ")


def circles(of: Embedding) -> list[dict[str, str | None]]:
    return [each for tag, each in Tags(html(of)).tags if tag == "circle" and "%" in (each.get("cx") or "")]


def test_one_unit_along_both_axes_and_up_is_up() -> None:
    points = np.array([[0, 0], [4, 0], [2, 1], [2, -1]], np.float32)
    view = drawing.view(facts(4, points=points))
    across = [point.across for point in view.points]
    down = [point.down for point in view.points]
    assert across[0] == pytest.approx(100 - across[1])
    assert down[2] == pytest.approx(100 - down[3])
    assert down[2] < 50
    unit = (across[1] - across[0]) / 4
    assert (down[3] - down[2]) / drawing.ASPECT == pytest.approx(2 * unit, abs=0.02)
    assert all(0 < place < 100 for place in (*across, *down))


def test_points_in_one_place_are_in_the_middle() -> None:
    view = drawing.view(facts(4, points=np.ones((4, 2), np.float32)))
    assert {(point.across, point.down) for point in view.points} == {(50.0, 50.0)}


def test_points_have_the_colours_of_class_and_answer() -> None:
    of = facts()
    drawn = circles(of)
    assert drawn[0]["class"] == "t0 a0"
    assert drawn[29]["class"] == "t2 a0 wrong"
    assert sum("wrong" in (each["class"] or "") for each in drawn[:30]) == 4
    assert "4 of 30 are mistakes" in text(of)
    assert 'value="class" checked' in html(of)


def test_of_many_classes_the_most_frequent_have_a_colour() -> None:
    view = drawing.view(facts(120, labels=40))
    assert (len(view.keys), view.others) == (10, 30)
    assert view.choices[0] == "mistake"
    assert any(point.truth is None for point in view.points)


def test_without_classes_colours_are_answers() -> None:
    of = facts(classes=None, mistakes=None)
    assert drawing.view(of).choices == ("answer",)
    assert "The true classes are not known" in text(of)
    assert "mistakes" not in text(of).partition("</style>")[2].partition("<script>")[0]


def test_the_text_says_how_the_map_was_made() -> None:
    assert "across 40 % of their variance, up 25 %" in text(facts())
    assert "All 30 pictures" in text(facts())
    drawn = facts(total=10_000, unread=("a.jpg: broken",))
    assert "30 pictures, drawn at random from 10 000" in text(drawn)
    assert "1 file could not be read" in text(drawn)
    assert "(UMAP)" in text(facts(method="umap", explained=None))


@pytest.mark.parametrize(("n", "size"), [(30, (48, 64)), (1000, (64, 64))])
def test_the_sheet_holds_every_thumbnail_within_its_budget(n: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (n, *size, 3), dtype=np.uint8)
    sheet = drawing.view(facts(n, thumbnails=noise)).sheet
    assert len(sheet.picture) <= 600_000
    height, width = decoded(sheet.picture).shape[:2]
    assert width == sheet.columns * sheet.width
    assert (height // sheet.height) * sheet.columns >= n


def test_a_thumbnail_is_where_the_script_looks_for_it() -> None:
    view = drawing.view(facts(30, size=(64, 64)))
    sheet, whole = view.sheet, decoded(view.sheet.picture)
    for place in (0, 7, 29):
        top, left = place // sheet.columns * sheet.height, place % sheet.columns * sheet.width
        part = whole[top : top + sheet.height, left : left + sheet.width]
        assert part.mean() == pytest.approx(place * 8, abs=3)


@pytest.mark.parametrize("shape", [(1, 40, 1), (28, 28, 1), (1, 40, 3), (20, 20, 4)])
def test_any_kind_of_picture_has_a_thumbnail(shape: tuple[int, int, int]) -> None:
    assert drawing.view(facts(5, thumbnails=np.full((5, *shape), 99, np.uint8))).sheet.picture


def test_the_twin_has_every_point() -> None:
    of = facts(names=tuple(f"{k}.jpg" for k in range(30)))
    record = json.loads(json.dumps(plain(drawing.twin(of)), allow_nan=False))
    assert [each["point"] for each in record["pictures"]] == [pytest.approx(p, rel=1e-5) for p in of.points.tolist()]
    assert record["pictures"][29] == {
        "index": 29, "name": "29.jpg", "point": record["pictures"][29]["point"], "class": "kind 2",
        "answer": "kind 0", "probability": 1.0, "mistake": True,
    }  # fmt: skip
    assert record["mistakes"] == 4


def test_names_cannot_break_out() -> None:
    of = facts(layer=HOSTILE, names=(HOSTILE,) * 30, classes=(HOSTILE,) * 30, answers=(HOSTILE,) * 30)
    assert HOSTILE not in html(of)


def test_pointing_shows_the_picture_and_its_words(browser: Any, tmp_path: Path) -> None:
    points = np.array([[0, 0], [4, 0], [0, 3], [4, 3]], np.float32)
    of = facts(4, points=points, size=(64, 64), thumbnails=np.full((4, 64, 64, 3), 200, np.uint8))
    path = tmp_path / "page.html"
    path.write_text(html(of), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    card = page.locator(".seen")
    assert not card.is_visible()
    page.locator(".points circle").nth(1).hover()
    assert card.is_visible()
    assert "no. 1: says" in card.inner_text()
    seen = page.evaluate("[...document.querySelector('.seen canvas').getContext('2d').getImageData(32, 32, 1, 1).data]")
    assert seen == pytest.approx([200, 200, 200, 255], abs=3)
    page.locator(".points").focus()
    page.keyboard.press("ArrowRight")
    assert "no. 2: says" in card.inner_text()
    page.keyboard.press("Escape")
    assert not card.is_visible()
    page.locator('[value="mistake"]').check()
    fill = "getComputedStyle(document.querySelector('.points .wrong')).fill"
    assert page.evaluate(fill) == "rgb(194, 42, 42)"
    assert not complaints
    page.close()
