"""Pictures made for units on the page of an inspection, and in the twin."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from one_section import page_of
from PIL import Image

from cnnaudit.errors import CnnAuditError
from cnnaudit.report.inspection import feature_visualization as section
from cnnaudit.report.plain import plain
from cnnaudit.results import Answer, Visualization, Visualizations


def made(
    shape: tuple[int, int, int], layer: str | None = "conv2", channel: int | None = 3, *, best: float | None = None
) -> Visualization:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    name = f"{layer}, channel {channel}" if layer else "class wolf & <dog>"
    return Visualization(name, layer, channel, 0, pixels, activation=12.345, start=-0.5, best=best)


def facts(*pictures: Visualization, copies: int = 1) -> Visualizations:
    return Visualizations(pictures, steps=64, copies=copies, diversity=0.5)


def page(found: Visualizations) -> str:
    return page_of("feature_visualization", section.view(found), scripted=False)


def pictures(text: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/\w+;base64,([^\"]+)", text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_shown_without_loss(channels: int) -> None:
    each = made((channels, 28, 20))
    (shown,) = pictures(page(facts(each)))
    expected = np.rint(each.pixels * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(shown, expected if channels == 3 else expected[..., 0])


def test_large_pictures_are_shown_about_as_they_are() -> None:
    smooth = np.broadcast_to(np.linspace(0, 1, 128, dtype=np.float32), (3, 128, 128))
    (shown,) = pictures(page(facts(replace(made((3, 128, 128)), pixels=smooth))))
    assert np.abs(shown / 255 - smooth.transpose(1, 2, 0)).max() < 0.05


def test_signals_are_lines_from_the_bottom_to_the_top() -> None:
    signal = np.array([[[0.0, 0.25, 1.0]]], np.float32)
    text = page(facts(replace(made((1, 1, 3)), pixels=signal)))
    assert 'points="0,100 50,75 100,0"' in text
    assert "signals: each began" in text
    assert not pictures(text)


def test_units_are_grouped_by_layer_and_foreign_text_is_escaped() -> None:
    found = facts(
        made((3, 8, 8)), made((3, 8, 8), channel=4), made((3, 8, 8), "conv3"),
        made((3, 8, 8), None, 1), made((3, 8, 8), None, None),
    )  # fmt: skip
    view = section.view(found)
    assert [group.title for group in view.groups] == ["conv2", "conv3", "Classes", "Directions and sums"]
    assert [each.unit for each in view.groups[0].figures] == ["channel 3", "channel 4"]
    text = page(found)
    assert "class wolf &amp; &lt;dog&gt;" in text
    assert "<dog>" not in text


def test_what_the_network_takes_a_picture_for_is_said_where_it_is_known() -> None:
    text = page(facts(replace(made((3, 8, 8)), answer=Answer("wolf & <dog>", 0.934)), made((3, 8, 8), channel=4)))
    assert text.count("taken for") == 1
    assert "taken for <bdi>wolf &amp; &lt;dog&gt;</bdi>, " in text
    assert "93" in text[text.index("taken for") :]
    assert "takes" not in page(facts(made((3, 8, 8))))


def test_the_share_that_exceeds_the_best_is_said_and_who_does_not() -> None:
    text = page(facts(made((3, 8, 8), best=10.0), made((3, 8, 8), best=12.345), made((3, 8, 8))))
    assert "<b>1 of 2</b> (50.0\u202f%)" in text
    assert text.count('class="below"') == 1
    assert "12.3" in text
    assert "of the data" not in page(facts(made((3, 8, 8))))


def test_what_is_compared_at_an_upper_limit_is_said() -> None:
    tied = replace(made((3, 8, 8), best=12.345), given=15.5)
    assert "before the activation" not in page(facts(tied))
    text = " ".join(page(facts(replace(tied, best_given=14.0), tied)).split())
    assert "<b>1 of 2</b>" in text
    assert 'before the activation function <span class="nowrap">15.5 and 14</span>' in text
    assert "Where one does not by the activation itself" in text


def test_copies_are_numbered() -> None:
    copies = [replace(made((3, 8, 8)), copy=copy) for copy in range(2)]
    view = section.view(facts(*copies, copies=2))
    assert [each.unit for each in view.groups[0].figures] == ["channel 3, 1 of 2", "channel 3, 2 of 2"]


def test_the_twin_holds_every_number() -> None:
    found = facts(made((3, 8, 8), best=10.0), replace(made((3, 8, 8), None, 1), answer=Answer("wolf", 0.5)))
    record = json.loads(json.dumps(plain(section.twin(found)), allow_nan=False))
    assert (record["steps"], record["compared"], record["exceeding"]) == (64, 1, 1)
    first, second = record["pictures"]
    assert first == {
        "objective": "conv2, channel 3", "layer": "conv2", "channel": 3, "copy": 0, "shape": [3, 8, 8],
        "activation": 12.345, "start": -0.5, "best": 10.0, "given": None, "best_given": None, "exceeds": True,
        "answer": None,
    }  # fmt: skip
    assert (second["layer"], second["best"], second["exceeds"]) == (None, None, None)
    assert second["answer"] == {"label": "wolf", "probability": 0.5}


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(CnnAuditError, match="finite"):
        section.view(facts(replace(made((3, 8, 8)), activation=float("nan"))))
    with pytest.raises(CnnAuditError, match="no picture"):
        section.view(facts())
