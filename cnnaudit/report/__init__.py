"""The page and its JSON twin."""

from pathlib import Path

from cnnaudit.files import write_text
from cnnaudit.report.encoding import decode_heatmap, decode_labels
from cnnaudit.report.html import render
from cnnaudit.report.json import dumps
from cnnaudit.report.maps import save_maps
from cnnaudit.results import Report

__all__ = ["decode_heatmap", "decode_labels", "save", "save_maps"]

_PAGE_SUFFIXES = (".html", ".htm")


def save(report: Report, path: Path) -> Path:
    """Write the page to `path` (".html" is added when missing) and its twin beside it, as ".json".

    Both are rendered before either is written, and each replaces its old file in one step.

    Raises:
        CnnAuditError: a number of the report is not finite; nothing was written.
    """
    page = path if path.suffix.lower() in _PAGE_SUFFIXES else path.with_name(f"{path.name}.html")
    html, twin = render(report), dumps(report)
    write_text(page, html)
    write_text(page.with_suffix(".json"), twin)
    return page
