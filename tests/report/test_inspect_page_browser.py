"""The page of an inspection in a browser: nothing fetched, nothing sticking out, the contents at hand."""

from collections.abc import Callable

import pytest
from report_opened import Opened
from test_inspect_page import changed, whole
from test_report_browser import CONTRASTS

Opener = Callable[..., Opened]
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"


def test_nothing_is_fetched_and_nothing_complained_about(open_page: Opener) -> None:
    opened = open_page(whole())
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]
    assert opened.complaints == []


def test_nothing_sticks_out_sideways(open_page: Opener) -> None:
    opened = open_page(whole())
    opened.evaluate(OPEN_ALL)
    for width in (360, 390, 768, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Opener, scheme: str) -> None:
    opened = open_page(whole(), color_scheme=scheme)
    opened.evaluate(OPEN_ALL)
    assert [text for ratio, text in opened.evaluate(CONTRASTS) if ratio < 4.5] == []


def test_the_contents_stay_in_view_and_mark_the_section_that_is_read(open_page: Opener) -> None:
    opened = open_page(whole())
    assert opened.page.locator(".contents [aria-current]").inner_text() == "Layers"
    opened.page.locator("#fields").scroll_into_view_if_needed()
    opened.evaluate("document.getElementById('fields').scrollIntoView()")
    opened.page.locator(".contents [aria-current][href='#fields']").wait_for()
    box = opened.page.locator(".contents").bounding_box()
    assert box["y"] == 0
    heading = opened.page.locator("#fields h2").bounding_box()
    assert heading["y"] >= box["height"]


def test_a_long_table_is_folded_and_paper_has_no_contents(open_page: Opener) -> None:
    opened = open_page(changed(skipped={"exemplars": "There are no pictures."}))
    opened.page.emulate_media(media="print")
    assert not opened.page.locator(".contents").is_visible()
    assert opened.page.locator(".left-out").is_visible()


def test_frames_on_the_walk_s_maps_are_as_large_as_what_they_frame(open_page: Opener) -> None:
    opened = open_page(whole())
    opened.page.locator(".walk.ready").wait_for()
    sizes = opened.evaluate(
        "[...document.querySelectorAll('.walk-picture rect.mark')].map(each => "
        "[each.getBBox().width, Number(each.getAttribute('width'))])"
    )
    assert len(sizes) > 2 and all(shown == given > 0 for shown, given in sizes)
