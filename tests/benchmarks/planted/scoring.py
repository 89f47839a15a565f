"""What an audit made of each case, and how that compares to what was planted."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from .cases import Case
from .matching import Judged
from .training import Truth

_ALARMS = 0.05
_CLOSE = 0.05
_FIRST = 3

Score = Callable[[Judged], float | None]
SCORES: dict[str, Score] = {
    "verdict": lambda found: found.evidence,
    "heatmap mass": lambda found: found.attribution,
    "association": lambda found: found.association,
}
"""Ours; what a heatmap alone says; what the correlation of properties alone says."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case: what is true of it, and what was found, the gravest finding first."""

    case: Case
    truth: Truth
    findings: tuple[Judged, ...]
    worst: float | None
    seconds: float

    @property
    def linked(self) -> bool:
        return self.case.arm == "linked"

    @property
    def found(self) -> bool:
        """Whether the planted cue is among the first findings, and confirmed."""
        return any(each.matched and each.verdict == "confirmed" for each in self.findings[:_FIRST])

    @property
    def alarm(self) -> bool:
        return any(each.verdict == "confirmed" for each in self.findings)

    @property
    def close(self) -> bool:
        """Whether the worst group's accuracy is estimated well."""
        known = self.truth.worst
        return self.worst is not None and known is not None and abs(self.worst - known) <= _CLOSE

    def score(self, score: Score) -> float:
        """Of the planted cue where it is linked, else of the strongest finding; 0 without any."""
        values = [score(each) for each in self.findings if each.matched or not self.linked]
        return max((value for value in values if value is not None), default=0.0)

    def as_json(self) -> dict[str, object]:
        derived = {"half": self.case.half, "depends": self.truth.depends, "worst_true": self.truth.worst}
        outcome = {"found": self.found, "alarm": self.alarm, "close": self.close, "worst_estimated": self.worst}
        findings = [each.as_json() for each in self.findings]
        return asdict(self.case) | derived | asdict(self.truth) | outcome | {
            "seconds": self.seconds, "findings": findings,
        }  # fmt: skip


def auroc(rows: Sequence[Row], score: Score, *, depending: bool) -> float:
    """Linked cases against the others; NaN where there are none of either.

    Args:
        depending: leave out the linked cases whose networks do not depend on their cue.
    """
    kept = [row for row in rows if not (row.linked and depending and not row.truth.depends)]
    linked = [row.linked for row in kept]
    return roc_auc_score(linked, [row.score(score) for row in kept]) if len(set(linked)) == 2 else float("nan")


def threshold(rows: Sequence[Row], score: Score) -> float:
    """The smallest value above which at most `_ALARMS` of the cases without a linked cue lie."""
    others = sorted((row.score(score) for row in rows if not row.linked), reverse=True)
    return others[int(_ALARMS * len(others))] if others else 0.0


def at_threshold(rows: Sequence[Row], score: Score) -> tuple[float, float, float]:
    """A threshold from half 0, and on half 1: of the networks that depend, the share above; of the others, too."""
    limit = threshold([row for row in rows if row.case.half == 0], score)
    fresh = [row for row in rows if row.case.half == 1]
    depending = [row.score(score) > limit for row in fresh if row.linked and row.truth.depends]
    return limit, mean(depending), mean([row.score(score) > limit for row in fresh if not row.linked])


def mean(values: Sequence[float]) -> float:
    """NaN where there are none."""
    return float(np.mean(values)) if values else float("nan")


def summary(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Rows of measure, value and bar."""
    depending = [row for row in rows if row.linked and row.truth.depends]
    others = [row for row in rows if not row.linked]
    lines = [("models; without a linked cue", f"{len(rows)}; {len(others)}", ">= 60, half of them")]
    for name, score in SCORES.items():
        bar = ">= 0.95" if name == "verdict" else "beside it"
        both = (f"{auroc(rows, score, depending=flag):.3f}" for flag in (False, True))
        lines.append((f"AUROC by {name}: all linked; those depended on", "; ".join(both), bar))
    for half, of in ((None, "all"), (0, "half 0"), (1, "half 1")):
        kept = [row.found for row in depending if half in (None, row.case.half)]
        lines.append((f"found and confirmed among the first {_FIRST}, {of}", _share(kept), ">= 90 %"))
    for half, of in ((None, "all"), (0, "half 0"), (1, "half 1")):
        kept = [row.alarm for row in others if half in (None, row.case.half)]
        lines.append((f"false alarms, {of}", _share(kept), "<= 5 %"))
    for name, score in SCORES.items():
        limit, hits, alarms = at_threshold(rows, score)
        lines.append((f"half 1 by {name} > {limit:.2f}: found; false", f"{hits:.0%}; {alarms:.0%}", ""))
    for arm, bar in (("linked", ">= 80 %"), ("unlinked", ""), ("absent", "")):
        kept = [row.close for row in rows if row.case.arm == arm]
        lines.append((f"worst group within 5 points, {arm}", _share(kept), bar))
    return [*lines, ("seconds an audit", f"{mean([row.seconds for row in rows]):.1f}", "")]


def _share(values: Sequence[bool]) -> str:
    return f"{mean(values):.0%} ({sum(values)} of {len(values)})"
