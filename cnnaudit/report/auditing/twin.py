"""An audit in the JSON twin."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cnnaudit.report.auditing import words
from cnnaudit.report.auditing.opening import opening
from cnnaudit.results import AuditFacts, AuditFinding

_STATES = {"before", "after", "placebo"}


def record(facts: AuditFacts) -> dict[str, Any]:
    """What the page shows, and what it leaves out of long lists; the pictures are on the page alone."""
    return {
        "opening": opening(facts),
        **_without(facts, {"findings", "slices", "problems"}),
        "findings": list(map(_finding, facts.findings)),
        "slices": [_without(each, {"samples"}) for each in facts.slices],
        "problems": [_without(each, {"samples"}) for each in facts.problems],
    }


def findings(facts: AuditFacts) -> tuple[Mapping[str, Any], ...]:
    """A row a finding, of the effect that its verdict rests on; null where nothing could be edited."""
    return tuple(map(_summary, facts.findings))


def _summary(finding: AuditFinding) -> dict[str, Any]:
    effect = words.strongest(finding)
    return {
        "id": finding.id,
        "kind": finding.kind,
        "claim": finding.claim,
        "severity": finding.severity,
        "verdict": finding.verdict,
        "effect": effect and effect.effect.value,
        "ci95": effect and [effect.effect.low, effect.effect.high],
        "placebo": effect and effect.placebo.value,
        "p_adjusted": effect and effect.p_adjusted,
        "n": effect.pictures if effect else 0,
        "evidence": finding.evidence,
    }


def _finding(finding: AuditFinding) -> dict[str, Any]:
    return {
        **_without(finding, {"patches", "edits"}),
        "patches": [each.name for each in finding.patches],
        "edits": [_without(each, _STATES) for each in finding.edits],
    }


def _without(record: Any, left_out: set[str]) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in left_out}
