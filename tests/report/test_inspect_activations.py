"""Feature maps on the page: their scale, the strip, and the twin."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from one_section import page_of
from PIL import Image as PillowImage
from report_samples import HOSTILE
from test_report_page import Tags
from train_reading import decoded

from cnnaudit.report.inspection import activations as drawing
from cnnaudit.report.plain import plain
from cnnaudit.results import Activations, FeatureMaps, Prediction


def maps(layer: str, c: int, h: int, w: int, *, low: float = 0.0, kept: int = 16) -> FeatureMaps:
    rng = np.random.default_rng(c * h)
    values = rng.uniform(low, 2.0, size=(min(c, kept), h, w)).astype(np.float32)
    activity = np.abs(values).mean((1, 2))
    return FeatureMaps(
        layer=layer,
        call=1,
        behind=("batch normalisation", "ReLU"),
        block=layer.partition(".")[0],
        shape=(c, h, w),
        channels=tuple(range(len(values))),
        maps=values,
        activity=tuple(activity.tolist()),
        silent=3,
        low=float(values.min()) if low else 0.0,
        high=float(values.max()),
    )


def section(*layers: FeatureMaps, channels: int = 3, size: tuple[int, int] = (48, 64)) -> Activations:
    pixels = np.random.default_rng(0).uniform(size=(channels, *size)).astype(np.float32)
    said = (Prediction("wolf", 1, 0.75, 2.0), Prediction("husky", 0, 0.25, 0.9))
    return Activations("husky.png", pixels, layers, tuple(range(len(layers))), said)


def html(facts: Activations) -> str:
    return page_of("activations", drawing.view(facts), scripted=False)


def text(facts: Activations) -> str:
    return " ".join(html(facts).split())


def images(facts: Activations) -> list[tuple[str, np.ndarray]]:
    return [(each["alt"] or "", decoded(each["src"])) for tag, each in Tags(html(facts)).tags if tag == "img"]


def test_maps_are_drawn_on_their_layer_s_scale() -> None:
    values = np.zeros((2, 1, 3), np.float32)
    values[0, 0], values[1, 0] = (-1, 0, 0.5), (1, 0, -0.5)
    made = replace(maps("conv1", 2, 1, 3), maps=values, low=-1.0, high=1.0)
    view = drawing.view(section(made))
    assert (view.layers[0].signed, view.layers[0].limit) == (True, 1.0)
    first, second = (decoded(each.picture)[0].tolist() for each in view.layers[0].maps)
    assert first[:2] == [[0x1E, 0x61, 0xA5], [0xF7] * 3]
    assert second[:2] == [[0xAB, 0x16, 0x2A], [0xF7] * 3]
    assert "red is positive, blue negative, full colour ±1" in text(section(made))


def test_large_and_small_maps_have_the_same_colours() -> None:
    """Large ones are written with a palette."""
    noise = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    noise[30] = np.linspace(-1, 1, 64)
    made = (noise[30:31], noise)
    small, large = (replace(maps("c", 1, *each.shape), maps=each[None], low=-1.0) for each in made)
    uris = [drawing.view(section(each)).layers[0].maps[0].picture for each in (small, large)]
    modes = [PillowImage.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris]
    assert [picture.mode for picture in modes] == ["RGB", "P"]
    colours = [np.asarray(picture.convert("RGB")) for picture in modes]
    assert np.array_equal(colours[0][0], colours[1][30])


def test_maps_without_negative_values_have_a_scale_from_zero() -> None:
    view = drawing.view(section(maps("conv1", 4, 6, 8)))
    assert not view.layers[0].signed
    assert "from 0 to" in text(section(maps("conv1", 4, 6, 8)))


def test_large_maps_are_averaged_and_said_to_be() -> None:
    facts = section(maps("conv1", 4, 96, 128))
    sizes = {picture.shape for alt, picture in images(facts) if alt.startswith("Channel")}
    assert sizes == {(48, 64)}
    assert "averaged down to 64 pixels" in text(facts)
    assert "averaged down" not in text(section(maps("conv1", 4, 48, 64)))


def test_the_strip_goes_from_the_photo_to_the_answer() -> None:
    page = html(section(maps("conv1", 8, 24, 32), maps("layer1.0", 16, 12, 16), maps("layer2.0", 16, 6, 8)))
    strip = page[page.index('class="flow"') : page.index("Layer by layer")]
    places = [strip.index(word) for word in ("as the network saw it", "<b>conv1", "<b>layer1", "<b>layer2", "wolf")]
    assert places == sorted(places)
    assert strip.count("<img") == 1 + 3 * 3
    assert "75\u202f%" in strip


def test_what_all_blocks_are_in_is_said_once() -> None:
    layers = [replace(maps(f"net.body.{k}.conv", 8, 6, 8), block=f"net.body.{k}") for k in range(3)]
    facts = section(*layers)
    assert [layer.block for layer in drawing.view(facts).strip] == ["0", "1", "2"]
    assert 'of each block in <span class="code">net.body</span>' in text(facts)
    assert drawing.view(section(maps("a.b", 4, 6, 8), maps("c.d", 4, 6, 8))).inside == ""


def test_a_layer_called_again_says_so_and_single_places_are_left_out() -> None:
    first, second = maps("conv", 4, 6, 8), replace(maps("conv", 4, 6, 8), call=2)
    facts = section(first, second, maps("squeeze", 4, 1, 1))
    titles = [layer.title for layer in drawing.view(facts).layers]
    assert titles == ["conv, call 1", "conv, call 2"]
    assert "1 convolution with a single place is not drawn" in text(facts)


def test_signals_are_lines_and_rows() -> None:
    facts = section(maps("conv1", 6, 1, 30), channels=1, size=(1, 40))
    assert html(facts).count("<polyline") == 1
    assert drawing.view(facts).layers[0].is_signal


@pytest.mark.parametrize(("layers", "shown"), [(4, 16), (52, 8)])
def test_many_layers_show_fewer_maps_each(layers: int, shown: int) -> None:
    view = drawing.view(section(*(maps(f"conv{k}", 32, 14, 14) for k in range(layers))))
    assert {len(layer.maps) for layer in view.layers} == {shown}


def test_the_page_of_a_deep_network_stays_small() -> None:
    """Noise, which does not compress, in the sizes of ResNet-152."""
    sides = [112] + 10 * [56] + 24 * [28] + 120 * [14]
    deep = section(*(maps(f"layer{place}", 64, side, side) for place, side in enumerate(sides)))
    assert len(html(replace(deep, strip=tuple(range(0, 155, 8))))) < 2_500_000


def test_the_twin_has_every_number() -> None:
    facts = section(maps("conv1", 8, 24, 32), maps("layer1.0", 16, 12, 16, low=-1))
    record = json.loads(json.dumps(plain(drawing.twin(facts)), allow_nan=False))
    assert record["strip"] == ["conv1", "layer1.0"]
    assert [each["behind"] for each in record["layers"]] == [["batch normalisation", "ReLU"]] * 2
    assert record["layers"][1]["activity"] == pytest.approx(facts.layers[1].activity, rel=1e-5)
    assert [each["display_limit"] for each in record["layers"]] == [layer.limit for layer in drawing.view(facts).layers]
    assert record["predictions"][0]["label"] == "wolf"


def test_names_cannot_break_out() -> None:
    facts = replace(section(maps(HOSTILE, 4, 6, 8)), image=HOSTILE, predictions=(Prediction(HOSTILE, 0, 1.0, 1.0),))
    assert HOSTILE not in html(facts)
