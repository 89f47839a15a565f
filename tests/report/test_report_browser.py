"""The page in a browser: what it fetches (nothing), draws, reads out, and how it fits."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage
from report_opened import Opened
from report_samples import (
    CONTRAST,
    METHODS,
    WOLF,
    card,
    contrasting,
    explanation,
    fallback,
    full_report,
    full_result,
    hostile_report,
    image,
    noisy,
    report,
    result,
    smooth,
)

from cnnaudit.report.encoding import STEPS, display_codes, display_limit
from cnnaudit.report.figures import OPACITY, default_palette, grey, overlay, palettes
from cnnaudit.results import ImageFailure, ImageResult, Report, Target

Opener = Callable[..., Opened]
JPEG_SLACK = 3  # two decoders may round a JPEG's pixels differently


def one(values: np.ndarray, *, signed: bool = True) -> Report:
    return report(result([explanation(card("x", "X", signed=signed), values)]))


def codes_of(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32).astype(np.float64)
    return display_codes(values, display_limit([values])).astype(int)


def photo_of(opened: Opened) -> np.ndarray:
    source = opened.page.locator(".photo img").first.get_attribute("src")
    with PillowImage.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as decoded:
        return np.asarray(decoded.convert("RGB"))


def assert_drawn(opened: Opened, expected: np.ndarray) -> None:
    opened.page.wait_for_timeout(50)
    assert np.abs(opened.pixels().astype(int) - expected.astype(int)).max() <= JPEG_SLACK


SOME = ("gradient", "grad_cam", "occlusion", "lime", "random", "edges")


def with_targets(name: str, *targets: Target) -> ImageResult:
    of = image(name)
    return result([explanation(*METHODS[each], target=target, of=of) for each in SOME for target in targets])


def many() -> Report:
    results = (with_targets("a.jpg", CONTRAST, WOLF), with_targets("b.jpg", WOLF))
    return report(*results, failures=[ImageFailure("c.jpg", "It ends too early.")], model=fallback())


# Safety


@pytest.mark.parametrize("make", [full_report, hostile_report, many])
def test_nothing_is_fetched_and_nothing_complained_about(open_page: Opener, make: Callable[[], Report]) -> None:
    opened = open_page(make())
    opened.draw_all()
    beyond = [url for url in opened.requests if not url.startswith(("data:", "blob:"))]
    assert beyond == [opened.page.url]
    assert opened.complaints == []


def test_the_policy_blocks_a_script_that_is_not_ours(open_page: Opener) -> None:
    opened = open_page(full_report())
    opened.evaluate(
        "() => {const s = document.createElement('script'); s.textContent = 'window.pwned = 1';document.body.append(s)}"
    )
    assert opened.evaluate("window.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


# Drawing


@pytest.mark.parametrize(("values", "signed"), [(contrasting(), True), (noisy(), True), (smooth(), False)])
def test_the_canvas_shows_what_python_draws(open_page: Opener, values: np.ndarray, signed: bool) -> None:
    opened = open_page(one(values, signed=signed))
    opened.draw_all()
    assert_drawn(opened, overlay(photo_of(opened), codes_of(values), default_palette(signed)))


def test_opacity_goes_from_the_photo_to_the_map_alone(open_page: Opener) -> None:
    opened = open_page(one(contrasting()))
    opened.draw_all()
    photo, codes = photo_of(opened), codes_of(contrasting())
    for opacity in (0, 35, 100):
        opened.page.fill("[name=opacity]", str(opacity))
        assert_drawn(opened, overlay(photo, codes, default_palette(True), opacity / 100))


@pytest.mark.parametrize(("name", "signed"), [("purple-green", True), ("viridis", False)])
def test_the_palette_changes_canvas_and_legend(open_page: Opener, name: str, signed: bool) -> None:
    values = contrasting() if signed else smooth()
    opened = open_page(one(values, signed=signed))
    opened.draw_all()
    opened.page.select_option(f"[name={'signed' if signed else 'unsigned'}]", name)
    assert_drawn(opened, overlay(photo_of(opened), codes_of(values), palettes()[name]))
    assert opened.page.locator(".legend rect").get_attribute("fill") == f"url(#ramp-{name})"


def hidden_as_photo(opened: Opened, hidden: np.ndarray) -> np.ndarray:
    photo = photo_of(opened)
    drawn = overlay(photo, codes_of(contrasting()), default_palette(True), OPACITY)
    return np.where(hidden[..., None], np.rint(grey(photo)), drawn)


def test_the_threshold_hides_weak_evidence(open_page: Opener) -> None:
    opened = open_page(one(contrasting()))
    opened.draw_all()
    opened.page.fill("[name=threshold]", "40")
    assert_drawn(opened, hidden_as_photo(opened, np.abs(codes_of(contrasting())) < 0.4 * STEPS))


@pytest.mark.parametrize("sign", ["for", "against"])
def test_the_sign_shows_one_side_and_reset_brings_both_back(open_page: Opener, sign: str) -> None:
    opened = open_page(one(contrasting()))
    opened.draw_all()
    opened.page.check(f"[name=sign][value={sign}]", force=True)
    codes = codes_of(contrasting())
    assert_drawn(opened, hidden_as_photo(opened, codes <= 0 if sign == "for" else codes >= 0))
    opened.page.click("[type=reset]")
    assert_drawn(opened, hidden_as_photo(opened, np.zeros_like(codes, dtype=bool)))


def test_canvases_wait_until_they_are_near(open_page: Opener) -> None:
    opened = open_page(many())
    opened.page.wait_for_selector(".map canvas", state="attached")
    drawn = opened.page.locator(".map canvas").count()
    assert drawn < opened.page.locator(".map").count() / 2


# Reading values


def shown_value(text: str) -> float:
    found = re.match(r"[<> ]*\+?(−?[\d.]+)", text)
    assert found, text
    return float(found[1].replace("−", "-"))


def test_hovering_reads_the_value(open_page: Opener) -> None:
    opened = open_page(one(contrasting()))
    opened.draw_all()
    step = display_limit([contrasting()]) / STEPS
    for row, column in [(90, 148), (178, 56), (10, 200), (218, 218), (0, 112)]:
        opened.point(row, column)
        text = opened.page.locator(".readout").inner_text()
        assert text.endswith(f"at row {row}, column {column}")
        assert abs(shown_value(text) - contrasting()[row, column]) <= step
    opened.page.mouse.move(1, 1)
    assert not opened.page.locator(".readout").is_visible()


def test_a_saturated_value_is_read_as_more_than_the_limit(open_page: Opener) -> None:
    values = contrasting()
    values[112, 112] = -50.0
    opened = open_page(one(values))
    opened.draw_all()
    opened.page.locator(".map").focus()
    text = opened.page.locator(".readout").inner_text()
    assert text.startswith("< −0.")
    assert text.endswith("at row 112, column 112")


def test_the_keyboard_reads_values_too(open_page: Opener) -> None:
    opened = open_page(one(contrasting() * 1e-7))
    opened.draw_all()
    opened.page.locator(".map").focus()
    for key in ("ArrowRight", "Shift+ArrowDown"):
        opened.page.keyboard.press(key)
    text = opened.page.locator(".readout").inner_text()
    assert text.endswith("at row 122, column 113")
    assert "× 10⁻⁸" in text


def test_a_tap_reads_the_value(open_page: Opener) -> None:
    opened = open_page(one(contrasting()), has_touch=True, viewport={"width": 390, "height": 800})
    opened.draw_all()
    opened.page.locator(".map").tap()
    assert "at row" in opened.page.locator(".readout").inner_text()


# Every reader


def test_without_javascript_the_drawn_pictures_are_there(open_page: Opener) -> None:
    opened = open_page(full_report(), java_script_enabled=False)
    pictures = opened.page.locator(".map img")
    assert pictures.count() == len(METHODS) - 1
    assert all(each.is_visible() for each in pictures.all())
    for unusable in ("#controls", ".readout", ".script-only"):
        assert not opened.page.locator(unusable).first.is_visible()


@pytest.mark.parametrize("make", [many, hostile_report])
def test_nothing_sticks_out_sideways(open_page: Opener, make: Callable[[], Report]) -> None:
    opened = open_page(make())
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in (360, 390, 768, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") == width


CONTRASTS = """() => {
    const channels = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = element => {
        for (let at = element; at; at = at.parentElement) {
            const found = channels(getComputedStyle(at).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found;
        }
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const results = [];
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('.readout')) continue;
        const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        results.push([ratio, walker.currentNode.data.trim()]);
    }
    return results;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Opener, scheme: str) -> None:
    opened = open_page(replace(full_report(), model=fallback()), color_scheme=scheme)
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    ratios = opened.evaluate(CONTRASTS)
    assert len(ratios) > 100
    assert [text for ratio, text in ratios if ratio < 4.5] == []


def test_light_and_dark_differ(open_page: Opener) -> None:
    grounds = {
        open_page(one(smooth()), color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(grounds) == 2


def test_paper_is_white_without_controls_and_with_the_parameters(open_page: Opener) -> None:
    opened = open_page(full_report(), color_scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.page.locator("#controls").is_visible()
    assert opened.page.locator(".rows dt").first.is_visible()


def test_the_index_leads_to_each_picture(open_page: Opener) -> None:
    opened = open_page(report(full_result(), full_result(image("b.jpg"))))
    opened.page.click(".index a >> nth=1")
    assert opened.page.locator("#picture-2").bounding_box()["y"] < 200
