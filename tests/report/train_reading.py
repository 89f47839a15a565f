"""The page of a training read back: its tables, its pictures; and a training with something changed."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from cnnaudit.results import Report, TrainingFacts


class Cells(HTMLParser):
    """The text of every table's rows, the tables by the class of the table or of what they are in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[tuple[str, list[list[str]]]] = []
        self.open: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append((dict(attrs).get("class") or "", []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.open = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.open is not None:
            self.tables[-1][1][-1].append(" ".join("".join(self.open).split()))
            self.open = None

    def handle_data(self, data: str) -> None:
        if self.open is not None:
            self.open.append(data)

    def rows(self, name: str) -> list[list[str]]:
        return next(rows for each, rows in self.tables if name in each.split() or name == each)


def facts(of: Report) -> TrainingFacts:
    assert of.training is not None
    return of.training


def changed(of: Report, **changes: Any) -> Report:
    return replace(of, training=replace(facts(of), **changes))


def decoded(address: str | None) -> np.ndarray:
    assert address
    with PillowImage.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        return np.asarray(picture)


def integers(texts: list[str]) -> list[int]:
    return [int(re.sub(r"\s", "", text) or 0) for text in texts]
