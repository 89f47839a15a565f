"""The page of a training in a browser: nothing fetched, nothing sticking out, epochs read out."""

from collections.abc import Callable

import pytest
from report_opened import Opened
from test_report_browser import CONTRASTS
from train_reading import changed, facts
from train_samples import ALL, hostile, hundred, husky_wolf, linear, mnist, signals, thirty

from cnnaudit.results import Report

Opener = Callable[..., Opened]
Maker = Callable[[], Report]
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"


@pytest.mark.parametrize("make", ALL)
def test_nothing_is_fetched_and_nothing_complained_about(open_page: Opener, make: Maker) -> None:
    opened = open_page(make())
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]
    assert opened.complaints == []


def test_the_policy_blocks_a_script_that_is_not_ours(open_page: Opener) -> None:
    opened = open_page(mnist())
    opened.evaluate(
        "() => {const s = document.createElement('script'); s.textContent = 'window.pwned = 1';document.body.append(s)}"
    )
    assert opened.evaluate("window.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


@pytest.mark.parametrize("make", ALL)
def test_nothing_sticks_out_sideways(open_page: Opener, make: Maker) -> None:
    opened = open_page(make())
    opened.evaluate(OPEN_ALL)
    for width in (360, 390, 768, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") == width


OUTSIDE = """() => [...document.querySelectorAll('svg text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth);
}).map(text => text.textContent)"""


OVERLAPPING = """() => [...document.querySelectorAll('.chart .plot')].flatMap(plot => {
    const ticks = ['.up', '.across', '.training, .validation'].flatMap(kind =>
        [...plot.querySelectorAll(kind)].filter(each => each.tagName === 'text'));
    const boxes = ticks.map(text => [text.textContent, text.getBoundingClientRect()]);
    return boxes.flatMap(([name, a], at) => boxes.slice(at + 1)
        .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
        .map(([other]) => `${name} on ${other}`));
})"""


@pytest.mark.parametrize("make", [mnist, hundred, signals, linear, thirty])
def test_text_of_plots_stays_on_the_page_and_apart(open_page: Opener, make: Maker) -> None:
    opened = open_page(make())
    for width in (360, 768, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened.evaluate(OUTSIDE) == []
        assert opened.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", [mnist, husky_wolf, signals])
def test_text_stands_out_from_its_ground(open_page: Opener, make: Maker, scheme: str) -> None:
    opened = open_page(make(), color_scheme=scheme)
    opened.evaluate(OPEN_ALL)
    ratios = opened.evaluate(CONTRASTS)
    assert len(ratios) > 200
    assert [text for ratio, text in ratios if ratio < 4.5] == []


# Reading epochs


def values(opened: Opened, chart: str) -> str:
    return " ".join(opened.page.locator(f".{chart} .values").inner_text().split())


def point(opened: Opened, chart: str, share: float) -> None:
    """Move the pointer over a chart, so far from its left end."""
    plot = opened.page.locator(f".{chart} .plot")
    plot.scroll_into_view_if_needed()
    box = opened.evaluate(
        f"(() => {{const b = document.querySelector('.{chart} .plot').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]})()"
    )
    opened.page.mouse.move(box[0] + share * box[2], box[1] + box[3] / 2)


def expected(of: Report, place: int) -> list[float]:
    epoch = facts(of).epochs[place]
    return [epoch.loss, epoch.validation_loss]


def shown(text: str) -> list[float]:
    words = text.split()
    return [float(words[words.index(name) + 1]) for name in ("training", "validation")]


def test_at_rest_the_kept_epoch_is_written_above_each_chart(open_page: Opener) -> None:
    opened = open_page(mnist(), java_script_enabled=False)
    best = facts(mnist()).best_epoch
    for chart in ("loss", "accuracy", "learning-rate"):
        assert values(opened, chart).startswith(f"epoch {best}, kept")
    assert shown(values(opened, "loss")) == pytest.approx(expected(mnist(), best - 1), rel=0.005)
    assert not opened.page.locator(".script-only").first.is_visible()


@pytest.mark.parametrize(
    ("make", "share", "epoch"), [(mnist, 0.31, 3), (mnist, 0.97, 10), (hundred, 0.5, 150), (linear, 0.2, 1)]
)
def test_pointing_reads_the_nearest_epoch_in_every_chart(
    open_page: Opener, make: Maker, share: float, epoch: int
) -> None:
    opened = open_page(make())
    point(opened, "accuracy", share)
    for chart in ("loss", "accuracy", "learning-rate"):
        assert values(opened, chart).split(",")[0].startswith(f"epoch {epoch}")
    assert shown(values(opened, "loss")) == pytest.approx(expected(make(), epoch - 1), rel=0.005)


def test_the_marks_lie_on_the_curves(open_page: Opener) -> None:
    opened = open_page(mnist())
    point(opened, "loss", 0.4)
    dots = opened.evaluate(
        "[...document.querySelectorAll('.loss circle.cursor')].map(e => "
        "[parseFloat(e.getAttribute('cx')), parseFloat(e.getAttribute('cy'))])"
    )
    lines = opened.evaluate(
        "[...document.querySelectorAll('.loss polyline[data-column]')].map(e => "
        "e.getAttribute('points').split(' ')[3].split(',').map(Number))"
    )
    assert dots == lines
    assert opened.page.locator(".loss line.cursor").get_attribute("x1") == "40%"


def test_leaving_brings_the_kept_epoch_back(open_page: Opener) -> None:
    opened = open_page(mnist())
    before = values(opened, "loss")
    point(opened, "loss", 0.1)
    assert values(opened, "loss") != before
    opened.page.mouse.move(1, 1)
    assert values(opened, "loss") == before
    assert not opened.page.locator(".loss line.cursor").is_visible()


def test_without_a_kept_epoch_nothing_is_written_until_one_is_read(open_page: Opener) -> None:
    opened = open_page(changed(mnist(), best_epoch=0))
    assert values(opened, "learning-rate") == ""
    point(opened, "loss", 0.1)
    assert values(opened, "learning-rate").startswith("epoch 1 ")
    opened.page.mouse.move(1, 1)
    assert values(opened, "learning-rate") == ""


def test_the_keyboard_reads_epochs_too(open_page: Opener) -> None:
    opened = open_page(hundred())
    opened.page.locator(".loss .plot").focus()
    best = facts(hundred()).best_epoch
    assert values(opened, "accuracy").startswith(f"epoch {best}, kept")
    for key, epoch in (
        ("Home", 1),
        ("ArrowRight", 2),
        ("PageUp", 12),
        ("ArrowLeft", 11),
        ("PageDown", 1),
        ("End", 300),
        ("End", 300),
    ):
        opened.page.keyboard.press(key)
        assert values(opened, "accuracy").startswith(f"epoch {epoch}")


def test_a_tap_reads_an_epoch(open_page: Opener) -> None:
    opened = open_page(mnist(), has_touch=True, viewport={"width": 390, "height": 800})
    plot = opened.page.locator(".accuracy .plot")
    plot.scroll_into_view_if_needed()
    plot.tap(position={"x": 1, "y": 100})
    assert values(opened, "accuracy").startswith("epoch 1 ")


# Every reader


def test_long_tables_scroll_inside_their_box(open_page: Opener) -> None:
    opened = open_page(hundred(), viewport={"width": 390, "height": 800})
    opened.evaluate(OPEN_ALL)
    scrolls = "document.querySelector('.layers').parentElement"
    assert opened.evaluate(f"{scrolls}.scrollWidth > {scrolls}.clientWidth")
    assert opened.evaluate("document.querySelector('.epochs .scroll').clientHeight") < 600


def test_labels_written_from_right_to_left_stay_apart(open_page: Opener) -> None:
    opened = open_page(hostile())
    title = opened.page.locator(".matrix tbody th").nth(1)
    assert (
        opened.evaluate("e => getComputedStyle(e.firstElementChild).unicodeBidi", title.element_handle()) == "isolate"
    )


def test_paper_is_white_and_has_no_table_of_epochs(open_page: Opener) -> None:
    opened = open_page(mnist(), color_scheme="dark")
    ground = "getComputedStyle(document.querySelector('.matrix .s1')).backgroundColor"
    dark = opened.evaluate(ground)
    opened.page.emulate_media(media="print")
    assert opened.evaluate(ground) != dark
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.page.locator(".epochs").is_visible()
    assert opened.page.locator(".matrix").is_visible()
