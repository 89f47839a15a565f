"""The JSON twin: every number of the page, strictly valid, keys in a fixed order."""

import json
from dataclasses import fields
from typing import Any

from cnnaudit.report.auditing import twin as audited
from cnnaudit.report.encoding import encode_heatmap, encode_labels, encode_marks
from cnnaudit.report.grouping import Group, Maps, groups
from cnnaudit.report.inspection import twin as inspected
from cnnaudit.report.plain import plain
from cnnaudit.report.training import twin
from cnnaudit.results import Declined, ImageFailure, ImageResult, Report, Target

SCHEMA_VERSION = 1


def dumps(report: Report) -> str:
    """The twin of the report's page.

    Raises:
        CnnAuditError: a number is infinite or not a number, which JSON cannot hold.
    """
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": report.kind,
        "run": _record(report.run),
        "model": _record(report.model),
        "images": [*map(_image, report.images), *map(_failure, report.failures)],
        **({"training": twin.record(report.training)} if report.training else {}),
        **({"inspection": inspected.record(report.inspection)} if report.inspection else {}),
        **({"audit": audited.record(report.audit)} if report.audit else {}),
        "findings": audited.findings(report.audit) if report.audit else report.findings,
        "figures": report.figures,
    }
    return json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _image(result: ImageResult) -> dict[str, Any]:
    made = {
        id(maps.explanation): _explanation(maps, group) for group in groups(result.explanations) for maps in group.maps
    }
    return {
        "name": result.image.name,
        "sha256": result.image.sha256,
        "size": result.image.size,
        "notes": result.image.notes,
        "predictions": [_record(prediction) for prediction in result.predictions],
        "explanations": [made[id(explanation)] for explanation in result.explanations],
        "declined": [_declined(refusal) for refusal in result.declined],
    }


def _failure(failure: ImageFailure) -> dict[str, Any]:
    return {"name": failure.name, "error": failure.reason}


def _declined(refusal: Declined) -> dict[str, Any]:
    return {
        "method": refusal.card.name,
        "target": _target(refusal.target),
        "flag": refusal.flag,
        "reason": refusal.reason,
    }


def _explanation(maps: Maps, group: Group) -> dict[str, Any]:
    explanation, card = maps.explanation, maps.explanation.card
    return {
        "method": card.name,
        "target": _target(explanation.target),
        "layer": explanation.layer,
        "params": explanation.options,
        "facts": explanation.facts,
        "notes": explanation.notes,
        "seconds": explanation.seconds,
        "forward_passes": explanation.forward_passes,
        "title": card.title,
        "says": card.says,
        "cannot_say": card.cannot_say,
        "paper": card.paper,
        "unit": card.unit,
        "signed": group.signed,
        "baseline": card.baseline,
        "concentration": explanation.concentration,
        "display_limit": group.limit,
        "heatmap": encode_heatmap(maps.whole),
        "parts": {name: encode_heatmap(values) for name, values in maps.parts.items()},
        "unsettled": None if maps.unsettled is None else encode_marks(maps.unsettled),
        "regions": None if explanation.regions is None else encode_labels(explanation.regions.numpy()),
        "trust": explanation.trust,
    }


def _target(target: Target) -> dict[str, Any]:
    return _record(target) | {"name": target.name}


def _record(facts: Any) -> dict[str, Any]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}
