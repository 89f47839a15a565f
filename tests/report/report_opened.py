"""A page in the browser, for the tests that look at it."""

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from report_samples import SIZE

READ_CANVAS = """place => {
    const canvas = document.querySelectorAll('.map')[place].querySelector('canvas');
    const {width, height} = canvas;
    const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
    return [width, height, btoa(Array.from(data, value => String.fromCharCode(value)).join(''))];
}"""


@dataclass
class Opened:
    """A page in the browser, and what it asked for and complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def evaluate(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def draw_all(self) -> None:
        """Scroll through the page until every map has its canvas."""
        for each in self.page.locator(".map").all():
            each.scroll_into_view_if_needed()
        maps = self.page.locator(".map").count()
        self.page.locator(f":nth-match(.map canvas, {maps})").wait_for(state="attached")

    def pixels(self, place: int = 0) -> Any:
        """The canvas of one map as rows of RGB triples."""
        width, height, data = self.evaluate(READ_CANVAS, place)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]

    def point(self, row: int, column: int) -> None:
        """Move the pointer over a pixel of the first map."""
        box = self.page.locator(".map").first.bounding_box()
        across, down = (column + 0.5) / SIZE * box["width"], (row + 0.5) / SIZE * box["height"]
        self.page.mouse.move(box["x"] + across, box["y"] + down)
