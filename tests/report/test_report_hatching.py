"""Segments whose sign is not settled: hatched on the map, named under the pointer, marked in the twin."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from report_opened import Opened
from report_samples import METHODS, card, explanation, image, report, result, smooth

from cnnaudit import Attribution, Classifier, explain
from cnnaudit.errors import MethodError
from cnnaudit.report.encoding import decode_marks, encode_marks
from cnnaudit.report.figures import hatched
from cnnaudit.report.maps import save_maps
from cnnaudit.results import Explanation, Report

Opener = Callable[..., Opened]
MARKED = smooth() < 0.4


def one(unsettled: np.ndarray | None = MARKED) -> Explanation:
    return explanation(card("x", "X"), smooth(), unsettled=unsettled)


def of(*made: Explanation) -> Report:
    return report(result(made))


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (64, 64), (224, 224)])
def test_marks_come_back(shape: tuple[int, int]) -> None:
    marked = np.random.default_rng(0).random(shape) < 0.4
    record = json.loads(json.dumps(encode_marks(marked)))
    assert np.array_equal(decode_marks(record), marked)
    assert record["share"] == pytest.approx(marked.mean())


def test_the_twin_has_the_marks_and_none_where_there_are_none() -> None:
    first, second = json.loads(of(one(), explanation(*METHODS["lime"])).json())["images"][0]["explanations"]
    assert np.array_equal(decode_marks(first["unsettled"]), MARKED)
    assert second["unsettled"] is None


def test_the_page_has_the_marks_as_a_mask_and_says_what_they_mean() -> None:
    html = of(one()).html()
    (uri,) = [part.split('"')[0] for part in html.split('href="data:image/png;base64,')[1:]]
    with PillowImage.open(io.BytesIO(base64.b64decode(uri))) as mask:
        assert mask.mode == "1"
        assert np.array_equal(np.asarray(mask), MARKED)
    assert f"Hatched, {100 * MARKED.mean():.0f}\u202f% of the picture: the sign may be chance" in html
    assert "hatched where its sign may be chance" in html  # in the words for those who cannot see it


def test_without_marks_nothing_speaks_of_hatching() -> None:
    html = of(one(None)).html()
    assert not any(word in html for word in ("Hatched", '<input type="checkbox"', 'class="hatching"'))


def test_an_empty_map_is_not_hatched() -> None:
    empty = explanation(card("x", "X"), smooth() * 0, unsettled=MARKED)
    assert 'class="hatching"' not in of(empty).html()


def test_saved_overlays_are_hatched(tmp_path: Path) -> None:
    plain, marked = (
        np.asarray(PillowImage.open(save_maps(of(one(marks)), tmp_path / str(marks is None))[1]))
        for marks in (None, MARKED)
    )
    differs = (plain != marked).any(2)
    assert not differs[~MARKED].any()
    assert 0.15 < differs[MARKED].mean() < 0.35
    small = hatched(np.full((28, 28, 3), 128, np.uint8), np.ones((28, 28), bool))
    assert (small == 128).mean() == 0.5


@pytest.mark.parametrize("wrong", [torch.zeros(3, 3, dtype=torch.bool), torch.zeros(8, 8)])
def test_marks_that_do_not_fit_are_refused(wrong: torch.Tensor) -> None:
    clf = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2)), input_size=(8, 8))
    with pytest.raises(MethodError, match=r"expected torch.bool of \(8, 8\)"):
        explain(clf, torch.rand(1, 3, 8, 8), method=lambda query: Attribution(torch.ones(8, 8), unsettled=wrong))


# In the browser


def seen(opened: Opened) -> np.ndarray:
    """The first map as it is on the screen, one pixel for each of the picture's."""
    opened.page.locator(".map").first.scroll_into_view_if_needed()
    opened.page.wait_for_timeout(100)
    shot = opened.page.locator(".map").first.screenshot()
    with PillowImage.open(io.BytesIO(shot)) as drawn:
        return np.asarray(drawn.convert("RGB")).astype(int)


LEFT = np.broadcast_to(np.arange(MARKED.shape[1]) < MARKED.shape[1] // 2, MARKED.shape).copy()


def assert_lined_on_the_left(plain: np.ndarray, lined: np.ndarray) -> None:
    differs = np.abs(plain - lined).max(2) > 20
    middle = differs.shape[1] // 2
    assert not differs[:, middle + 2 :].any()
    assert 0.2 < differs[:, : middle - 2].mean() < 0.6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_are_drawn_where_marked_and_nowhere_else(open_page: Opener, scheme: str) -> None:
    opened = open_page(of(one(LEFT)), color_scheme=scheme)
    opened.draw_all()
    lined = seen(opened)
    opened.page.locator("[name=hatching]").uncheck()
    assert_lined_on_the_left(seen(opened), lined)


def test_lines_are_drawn_without_javascript_too(open_page: Opener) -> None:
    plain, lined = (seen(open_page(of(one(marks)), java_script_enabled=False)) for marks in (None, LEFT))
    assert_lined_on_the_left(plain, lined)


def test_the_box_takes_the_lines_away(open_page: Opener) -> None:
    opened = open_page(of(one()))
    box, lines = opened.page.locator("[name=hatching]"), opened.page.locator(".hatching").first
    assert (box.is_checked(), lines.is_visible()) == (True, True)
    box.uncheck()
    assert not lines.is_visible()
    opened.page.locator("button[type=reset]").click()
    assert lines.is_visible()
    assert opened.complaints == []


def test_the_box_is_above_several_pictures_too(open_page: Opener) -> None:
    both = [result([explanation(card("x", "X"), smooth(), of=image(n), unsettled=MARKED)]) for n in ("a.jpg", "b.jpg")]
    opened = open_page(report(*both))
    assert opened.page.locator(".hatching").count() == 2
    opened.page.locator("[name=hatching]").uncheck()
    assert not any(each.is_visible() for each in opened.page.locator(".hatching").all())


def test_the_pointer_reads_that_a_sign_is_not_settled(open_page: Opener) -> None:
    opened = open_page(of(one()))
    opened.draw_all()
    for row, column in ((5, 5), tuple(int(i) for i in np.argwhere(~MARKED)[500])):
        opened.point(row, column)
        text = opened.page.locator(".readout").inner_text()
        assert ("sign not settled" in text) == MARKED[row, column]
