"""All that the page of an inspection shows, worked out before the template runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cnnaudit import numbers
from cnnaudit.report.inspection import (
    ablation,
    activations,
    blocks,
    embedding,
    exemplars,
    feature_visualization,
    fields,
    filters,
    walkthrough,
)
from cnnaudit.report.inspection.opening import Opening, opening
from cnnaudit.report.training import layers
from cnnaudit.results import InspectionFacts

SECTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "blocks": ("Blocks", blocks.view),
    "filters": ("Filters", filters.view),
    "activations": ("Feature maps", activations.view),
    "fields": ("Where layers look", fields.view),
    "exemplars": ("Best patches", exemplars.view),
    "feature_visualization": ("Made pictures", feature_visualization.view),
    "ablation": ("What units are for", ablation.view),
    "embedding": ("Map of the pictures", embedding.view),
    "walkthrough": ("A walk", walkthrough.view),
}
"""In the order of the page: the name of a section, which is also that of its field in `InspectionFacts` and of its
template and its style sheet (`inspect_NAME.jinja` with a macro `section_of`, and `inspect_NAME.css`); what the
contents call it; and what makes its view."""
SCRIPTED = ("embedding", "walkthrough")
"""The sections that have a script of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One section: its name, its entry in the contents, and what its template draws."""

    name: str
    title: str
    view: Any


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The page of an inspection; `skipped` has the titles of the sections that were left out, and why."""

    facts: InspectionFacts
    opening: Opening
    layers: layers.Table
    parts: tuple[Part, ...]
    skipped: tuple[tuple[str, str], ...]


def view(inspection: InspectionFacts) -> View:
    """The page of an inspection, the same for the same record.

    Raises:
        CnnAuditError: a number that would be shown is not finite.
    """
    found = ((name, title, draw, getattr(inspection, name)) for name, (title, draw) in SECTIONS.items())
    return View(
        inspection,
        opening(inspection),
        layers.table(inspection.architecture, detailed=True, dead=inspection.dead_units),
        tuple(Part(name, title, draw(facts)) for name, title, draw, facts in found if facts is not None),
        tuple((_title(name), reason) for name, reason in inspection.skipped.items()),
    )


def _title(name: str) -> str:
    return SECTIONS[name][0] if name in SECTIONS else numbers.words(name).capitalize()
