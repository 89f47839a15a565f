"""The section of best patches: what is drawn, what is said, and its twin."""

import base64
import io

import numpy as np
from PIL import Image

from cnnaudit.report.html import _environment
from cnnaudit.report.inspection import exemplars
from cnnaudit.report.plain import plain
from cnnaudit.results import Exemplars, LayerExemplars, Meaning, Patch, ReceptiveField, Share, UnitExemplars

FIELD = ReceptiveField((5, 5), (1, 1), (2, 2))


def patch(index: int, shape: tuple[int, int, int] = (5, 5, 3), label: str = "wolf") -> Patch:
    rng = np.random.default_rng(index)
    box = 0, 0, shape[0] - 1, shape[1] - 1
    return Patch(index, "", label, 4.5 - index, (0, 0), box, rng.integers(0, 255, shape, np.uint8))


def unit(number: int, *patches: Patch, prominence: float = 2.0, meaning: Meaning | None = None) -> UnitExemplars:
    return UnitExemplars(number, 0.5, 0.25, prominence, patches, meaning)


def facts(*units: UnitExemplars, field: ReceptiveField | None = FIELD) -> Exemplars:
    layer = LayerExemplars("conv<4>", (20, 6, 6), field, (3,), units)
    return Exemplars(600, True, (("wolf", 0.5), ("husky", 0.5)), (layer,), ())


def page(found: Exemplars) -> str:
    module = _environment().get_template("inspect_exemplars.jinja").module
    return str(module.section_of(exemplars.view(found)))  # pyright: ignore[reportAttributeAccessIssue]


SNOW = Meaning("snow", Share(8, 9, 8 / 9, 0.565, 0.98), 0.25, True)


def test_small_patches_keep_their_pixels() -> None:
    tile = exemplars.view(facts(unit(7, patch(1)))).groups[0].rows[0].tiles[0]
    assert tile.picture is not None
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(tile.picture.partition(",")[2]))))
    np.testing.assert_array_equal(decoded, patch(1).pixels)


def test_large_patches_are_made_smaller() -> None:
    tile = exemplars.view(facts(unit(7, patch(1, (224, 224, 3))))).groups[0].rows[0].tiles[0]
    assert tile.picture is not None
    assert Image.open(io.BytesIO(base64.b64decode(tile.picture.partition(",")[2]))).size == (96, 96)


def test_signals_are_lines() -> None:
    group = exemplars.view(facts(unit(7, patch(1, (1, 12, 2))))).groups[0]
    assert group.signals
    assert len(group.rows[0].tiles[0].lines) == 2
    html = page(facts(unit(7, patch(1, (1, 12, 2)))))
    assert "sees 5 values" in html and "from 0 at the bottom to 1 at the top" in html


def test_the_page_says_what_the_patches_are() -> None:
    html = page(facts(unit(7, patch(0), patch(2), patch(3, label="husky"), meaning=SNOW)))
    assert "Channel 7" in html
    assert "wolf (2), husky (1)" in html
    assert "8 of 9 mostly snow" in html
    assert "conv&lt;4&gt;" in html
    assert "1 is dead" in html
    assert "sees 5 × 5 pixels" in html


def test_classes_that_come_once_each_are_not_counted() -> None:
    labels = ("wolf", "husky", "fox", "dingo", "jackal")
    (row,) = exemplars.view(facts(unit(7, *(patch(0, label=label) for label in labels)))).groups[0].rows
    assert row.classes == "wolf, husky, fox, dingo and 1 more"


def test_whole_pictures_are_named_such() -> None:
    assert "whole pictures are shown" in page(facts(unit(7, patch(0)), field=None))


def test_of_many_units_the_most_prominent_are_shown() -> None:
    rows = exemplars.view(facts(*(unit(n, patch(0), prominence=n) for n in range(20)))).groups[0].rows
    assert [row.unit for row in rows] == list(range(19, 7, -1))


def test_the_twin_has_every_number() -> None:
    record = plain(exemplars.twin(facts(unit(7, patch(0), meaning=SNOW))))
    found = record["layers"][0]["units"][0]
    assert found["patches"][0] == {
        "index": 0,
        "label": "wolf",
        "activation": 4.5,
        "position": [0, 0],
        "box": [0, 0, 4, 4],
    }
    assert found["meaning"]["patches"]["right"] == 8
    assert record["layers"][0]["field"]["size"] == [5, 5]
    assert record["whole"][0] == {"label": "wolf", "share": 0.5}
