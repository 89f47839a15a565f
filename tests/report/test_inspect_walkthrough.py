"""The walk on the page: the numbers of any place that the reader goes to are torch's own."""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from one_section import page_of
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import CnnAuditError
from cnnaudit.inspection import walkthrough as walkthroughs
from cnnaudit.models import ARCHITECTURES
from cnnaudit.report import decode_heatmap
from cnnaudit.report.inspection import walkthrough
from cnnaudit.report.inspection.walk_data import limits_of
from cnnaudit.report.plain import plain
from cnnaudit.results import Walkthrough


def made(net: nn.Sequential, size: tuple[int, int], channels: int) -> tuple[nn.Sequential, Tensor, Walkthrough]:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        for module in net.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
                module.reset_parameters()
        pixels = torch.rand(1, channels, *size)
    clf = ca.Classifier(net.eval(), input_size=size, channels=channels)
    layer = next(name for name, m in net.named_modules() if isinstance(m, nn.Conv1d | nn.Conv2d))
    return net, pixels, walkthroughs(clf, pixels, layer, channels=[2, 0])


@cache
def photo() -> tuple[nn.Sequential, Tensor, Walkthrough]:
    return made(
        nn.Sequential(
            nn.Conv2d(3, 6, (3, 4), stride=(1, 2), padding=(1, 2), dilation=(2, 1)),
            nn.BatchNorm2d(6),
            nn.LeakyReLU(0.2),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Flatten(),
            nn.Linear(6 * 9 * 7, 3),
        ),
        (20, 24),
        3,
    )


@cache
def signal() -> tuple[nn.Sequential, Tensor, Walkthrough]:
    return made(ARCHITECTURES["mnist1d-cnn"](), (1, 40), 1)


@cache
def html(make: Callable[[], tuple[nn.Sequential, Tensor, Walkthrough]]) -> str:
    return page_of("walkthrough", walkthrough.view(make()[2]))


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    contexts, complaints = [], []

    def go(make: Any, **settings: Any) -> Any:
        path = tmp_path / "walk.html"
        path.write_text(html(make), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        if settings.get("java_script_enabled", True):
            page.wait_for_selector(".walk.ready")
        return page

    yield go
    assert complaints == []
    for context in contexts:
        context.close()


def numbers(page: Any, grid: str) -> list[float]:
    texts = page.evaluate(f"[...document.querySelectorAll('[data-grid={grid}] g title')].map(e => e.textContent)")
    return [float(text.replace("−", "-")) for text in texts]


def result(page: Any, line: str) -> float:
    text = page.locator(f"[data-line={line}]").inner_text()
    return float(re.findall(r"[−\d.]+$", text)[0].replace("−", "-"))


def click(page: Any, name: str, row: int, column: int, shape: tuple[int, ...]) -> None:
    """On the middle of a place of a map."""
    picture = page.locator(f"[data-map={name}] .walk-picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    across, down = (column + 0.5) / shape[1] * box["width"], (row + 0.5) / shape[0] * box["height"]
    page.mouse.click(box["x"] + across, box["y"] + down)


def at(page: Any) -> tuple[int, int]:
    row, column = (page.locator(f"[data-role={role}]").text_content() for role in ("row", "column"))
    return int(row), int(column)


def torchs(net: nn.Sequential, pixels: Tensor) -> list[np.ndarray]:
    """What each module returns, `c h w`."""
    maps, values = pixels, []
    with torch.no_grad():
        for module in net[:4]:
            maps = module(maps)
            values.append((maps if maps.ndim == 4 else maps[:, :, None])[0].numpy())
    return values


def agree(shown: float, expected: float, limit: float) -> bool:
    """To half of the last decimal that is written, and what 16 bits lose."""
    return abs(shown - expected) <= 0.51 * 10.0 ** -min(6, max(0, 2 - math.floor(math.log10(limit)))) + limit / 30000


@pytest.mark.parametrize(("channel", "place"), [(0, (0, 0)), (0, (7, 9)), (1, (17, 12)), (1, (11, 3))])
def test_the_steps_to_any_place_are_torchs(opened: Callable[..., Any], channel: int, place: tuple[int, int]) -> None:
    net, pixels, walk = photo()
    conv, norm, act, pool = torchs(net, pixels)
    page = opened(photo)
    page.locator(f"[data-channel='{channel}']").click()
    number, (row, column) = walk.channels[channel], place
    click(page, "output", row, column, conv.shape[1:])
    assert at(page) == place
    limits = limits_of(walk)
    unfolded = torch.nn.functional.pad(pixels, (2, 2, 1, 1))[0].numpy()
    first = walk.kernels[channel].inputs[0]
    patch = unfolded[first, row : row + 5 : 2, 2 * column : 2 * column + 4]
    weight = net[0].weight[number, first].detach().numpy()
    product = patch * weight
    for grid, values, limit in (
        ("patch", patch, limits["input"]),
        ("kernel", weight, limits["kernel"]),
        ("product", product, float(np.abs(product).max())),
    ):
        assert all(map(agree, numbers(page, grid), values.flat, [limit or 1.0] * values.size))
    assert agree(result(page, "bias"), conv[number, row, column], limits["output"])
    assert agree(result(page, "stage0"), norm[number, row, column], limits["stage0"])
    assert agree(result(page, "stage1"), act[number, row, column], limits["stage1"])
    pooled = float(page.locator("[data-role=pooled]").inner_text().split()[-1].replace("−", "-"))
    steps = walk.at(number, row, column)
    assert steps.pooled is not None
    assert agree(pooled, pool[number, *steps.pooled.at], limits["stage1"])
    assert all(map(agree, numbers(page, "pool"), steps.pooled.window.flat, [limits["stage1"]] * 9))


def test_the_page_shows_what_python_gives_everywhere_along_a_row(opened: Callable[..., Any]) -> None:
    _, _, walk = photo()
    page = opened(photo)
    limits = limits_of(walk)
    click(page, "output", 5, 0, walk.kernels[0].output.shape)
    for column in range(walk.kernels[0].output.shape[1]):
        steps = walk.at(walk.channels[0], 5, column)
        assert at(page) == (5, column)
        assert agree(result(page, "bias"), steps.output, limits["output"])
        assert all(map(agree, numbers(page, "patch"), steps.patch[0].flat, [limits["input"]] * 12))
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert at(page)[0] == 6


def test_a_bar_chooses_its_input_channel(opened: Callable[..., Any]) -> None:
    _, pixels, walk = photo()
    page = opened(photo)
    click(page, "output", 8, 6, walk.kernels[0].output.shape)
    page.locator(".walk-bars g").nth(2).click()
    number = walk.kernels[0].inputs[2]
    assert page.locator("[data-role=input]").inner_text() == str(number)
    patch = torch.nn.functional.pad(pixels, (2, 2, 1, 1))[0, number, 8:13:2, 12:16]
    assert all(map(agree, numbers(page, "patch"), patch.flatten().tolist(), [1.0] * 12))
    shares = re.findall(r"[−\d.]+", page.locator("[data-role=sum]").inner_text())
    limit = limits_of(walk)["output"]
    assert agree(float(shares[1].replace("−", "-")), walk.at(walk.channels[0], 8, 6).sums[2], limit)
    page.locator(".walk-bars").press("ArrowLeft")
    assert page.locator("[data-role=input]").inner_text() == str(walk.kernels[0].inputs[1])


def test_the_frame_on_the_photo_is_the_receptive_field(opened: Callable[..., Any]) -> None:
    _, _, walk = photo()
    page = opened(photo)
    for place in ((0, 0), (9, 6), (17, 12)):
        click(page, "output", *place, walk.kernels[0].output.shape)
        rect = page.evaluate(
            "(() => {const r = document.querySelector('[data-map=photo] .mark');"
            "return ['y', 'x', 'height', 'width'].map(key => Number(r.getAttribute(key)))})()"
        )
        top, left, bottom, right = walk.field(*place) or (0, 0, 0, 0)
        assert rect == [top, left, bottom - top, right - left]


def test_clicks_on_photo_input_and_pooling_go_to_what_belongs_there(opened: Callable[..., Any]) -> None:
    _, _, walk = photo()
    page = opened(photo)
    click(page, "photo", 10, 12, walk.pixels.shape[1:])
    row, column = at(page)
    top, left, bottom, right = walk.field(row, column) or (0, 0, 0, 0)
    assert top <= 10 < bottom and left <= 12 < right
    click(page, "input", 4, 9, walk.maps.shape[1:])
    assert at(page) == (2, 4)
    pooling = walk.pooling
    assert pooling and pooling.rows and pooling.columns
    click(page, "stage2", 3, 4, pooling.maps.shape[1:])
    row, column = at(page)
    assert row in pooling.rows.places[3] and column in pooling.columns.places[4]


def test_the_canvases_are_the_maps(opened: Callable[..., Any]) -> None:
    _, _, walk = photo()
    page = opened(photo)
    sizes = page.evaluate("[...document.querySelectorAll('canvas')].map(c => [c.height, c.width])")
    shapes = [walk.maps.shape[1:], walk.kernels[0].output.shape, *(stage.maps.shape[1:] for stage in walk.stages)]
    assert sizes == [list(shape) for shape in shapes]


def test_next_step_leads_through_the_steps(opened: Callable[..., Any]) -> None:
    page = opened(photo)
    forward, back = page.get_by_text("next step"), page.get_by_text("back")
    for name in ("product", "sum", "bias", "stage0", "stage1", "pool"):
        forward.click()
        assert page.locator(".walk-step.current").get_attribute("data-step") == name
    forward.click()
    assert page.locator(".walk-step.current").get_attribute("data-step") == "pool"
    back.click()
    assert page.locator(".walk-step.current").get_attribute("data-step") == "stage1"


def test_a_signal_is_walked_along(opened: Callable[..., Any]) -> None:
    net, pixels, walk = signal()
    page = opened(signal)
    conv = net[1](pixels[:, :, 0]).detach()[0].numpy()
    click(page, "output", 0, 11, (1, conv.shape[1]))
    assert at(page) == (0, 11)
    limits = limits_of(walk)
    assert all(map(agree, numbers(page, "patch"), pixels[0, 0, 0, 22:25].tolist(), [limits["input"]] * 3))
    assert agree(result(page, "bias"), conv[walk.channels[0], 11], limits["output"])


@pytest.mark.parametrize("make", [photo, signal])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk(opened: Callable[..., Any], make: Any, scheme: str) -> None:
    page = opened(make, color_scheme=scheme)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_a_script_one_place_is_shown(opened: Callable[..., Any]) -> None:
    _, _, walk = photo()
    page = opened(photo, java_script_enabled=False)
    row, column = at(page)
    steps = walk.at(walk.channels[0], row, column)
    assert agree(result(page, "stage1"), steps.behind[1], limits_of(walk)["stage1"])
    assert page.locator(".walk-map img").count() == 6
    assert not page.locator(".script-only").first.is_visible()


# Without a browser


def test_the_numbers_that_the_page_carries_are_the_walks() -> None:
    _, _, walk = photo()
    found = re.search(r'<script type="application/json" class="walk-data">(.*?)</script>', html(photo), re.S)
    assert found
    data = json.loads(found[1])
    for place, kernel in enumerate(walk.kernels):
        record = data["channels"][place]
        assert np.allclose(decode_heatmap(record["output"]), kernel.output, atol=np.abs(kernel.output).max() / 60000)
        for at_stage, stage in enumerate(walk.stages):
            assert np.allclose(decode_heatmap(record["stages"][at_stage]), stage.maps[place], atol=1e-4)
    for number, maps in zip(walk.inputs, walk.maps, strict=True):
        assert np.allclose(decode_heatmap(data["inputs"][str(number)]), maps, atol=2e-5)


def test_the_twin_holds_what_the_page_carries() -> None:
    twin = plain(walkthrough.twin(photo()[2]))
    assert (twin["layer"], twin["channels_in"], twin["channels_out"]) == ("0", 3, 6)
    assert twin["numbers"]["channels"][0]["channel"] == 2
    json.dumps(twin, allow_nan=False)


def test_a_layer_of_vgg_stays_below_two_megabytes() -> None:
    layers = (nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    clf = ca.Classifier(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=224)
    noise = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for layer in ("0", "2"):
        page = page_of("walkthrough", walkthrough.view(walkthroughs(clf, noise, layer)))
        assert len(page) < 2_000_000


def test_values_that_are_not_finite_are_refused() -> None:
    net, pixels, _ = made(nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(3 * 64, 2)), (10, 10), 3)
    net[0].bias.data[2] = float("nan")
    walk = walkthroughs(ca.Classifier(net, input_size=10), pixels, "0", channels=[2])
    with pytest.raises(CnnAuditError, match="not all finite"):
        walkthrough.view(walk)
