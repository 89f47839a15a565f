"""A page and its JSON twin, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cnnaudit.results.audits import AuditFacts
from cnnaudit.results.explanations import ImageFailure, ImageResult
from cnnaudit.results.inspections import InspectionFacts
from cnnaudit.results.runs import ModelFacts, RunFacts
from cnnaudit.results.trainings import TrainingFacts


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A page and its JSON twin, as data."""

    kind: Literal["explain", "inspect", "audit", "train"]
    run: RunFacts
    model: ModelFacts
    images: tuple[ImageResult, ...] = ()
    failures: tuple[ImageFailure, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingFacts | None = None
    inspection: InspectionFacts | None = None
    audit: AuditFacts | None = None

    def html(self) -> str:
        """The self-contained page."""
        from cnnaudit.report.html import render  # the one import upwards: rendering needs jinja2

        return render(self)

    def json(self) -> str:
        """The JSON twin."""
        from cnnaudit.report.json import dumps

        return dumps(self)

    def save(self, path: str | Path) -> Path:
        """Write the page to `path` and its JSON twin beside it; returns the page's path."""
        from cnnaudit.report import save

        return save(self, Path(path))
