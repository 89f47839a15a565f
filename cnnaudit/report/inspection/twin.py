"""An inspection in the JSON twin."""

from collections.abc import Callable, Mapping
from typing import Any

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
from cnnaudit.report.inspection.opening import opening
from cnnaudit.results import InspectionFacts

SECTIONS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "blocks": blocks.twin,
    "filters": filters.twin,
    "activations": activations.twin,
    "fields": fields.twin,
    "exemplars": exemplars.twin,
    "feature_visualization": feature_visualization.twin,
    "ablation": ablation.twin,
    "embedding": embedding.twin,
    "walkthrough": walkthrough.twin,
}
"""What makes each section's record, by the name of its field in `InspectionFacts`."""


def record(inspection: InspectionFacts) -> dict[str, Any]:
    """What the page shows; a section that was left out is not in it."""
    found = {name: getattr(inspection, name) for name in SECTIONS}
    return {
        "dataset": inspection.dataset,
        "pictures": inspection.pictures,
        "photo": inspection.photo and {"name": inspection.photo.name, "sha256": inspection.photo.sha256},
        "notes": inspection.notes,
        "opening": opening(inspection),
        "skipped": inspection.skipped,
        "architecture": inspection.architecture,
        "dead_units": inspection.dead_units and list(inspection.dead_units.values()),
        **{name: SECTIONS[name](facts) for name, facts in found.items() if facts is not None},
    }
