"""The graph of a network's blocks as one drawing: a card for each fold, and lines between them."""

from dataclasses import dataclass
from typing import Any

from cnnaudit.report.inspection import cards, columns
from cnnaudit.results import Blocks


@dataclass(frozen=True, slots=True)
class View:
    """The section; `says` is the drawing in words.

    Attributes:
        repeated: whether a card stands for several blocks.
        joins: whether branches meet anywhere.
        shortcuts: whether a line goes around others.
        signals: whether the network is given no pictures, so that shapes have no rows.
    """

    sheet: columns.Sheet
    says: str
    repeated: bool
    joins: bool
    shortcuts: bool
    signals: bool


def view(found: Blocks) -> View:
    """The graph as the page shows it: first what the network is given, then the folds."""
    drawn = [cards.picture(found.picture), *map(cards.card, found.folds)]
    inputs = [(), *(tuple(source + 1 for source in fold.inputs) for fold in found.folds)]
    says = [
        f"{card.says}{_sources(drawn, taken, at)}" for at, (card, taken) in enumerate(zip(drawn, inputs, strict=True))
    ]
    sheet = columns.sheet(drawn, inputs)
    return View(
        sheet,
        "; then ".join(says),
        repeated=any(fold.times > 1 for fold in found.folds),
        joins=any(node.joins for fold in found.folds for block in fold.blocks for node in block.nodes),
        shortcuts=any(edge.skips for edge in sheet.edges) or any(line.aside for card in drawn for line in card.lines),
        signals=found.picture[1] == 1,
    )


def twin(found: Blocks) -> dict[str, Any]:
    """The same for a script."""
    return {"picture": found.picture, "folds": found.folds}


def _sources(drawn: list[cards.Card], taken: tuple[int, ...], at: int) -> str:
    """What a card takes from, where that is not the one before it alone."""
    if not taken or taken == (at - 1,):
        return ""
    return f", from {' and '.join(' '.join(drawn[source].name) or drawn[source].title for source in taken)}"
