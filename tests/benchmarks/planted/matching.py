"""Which findings are about the planted cue, told by construction and generously.

A finding is about it when both hold:

- Its pictures are those with the cue: the phi coefficient between "the finding's cue is present" and "the cue is
  planted" is at least `PHI` for a finding about the cue's class, at most -`PHI` for one about another class (where the
  finding says that the class goes with the cue's absence). Of more than 200 pictures a report names the first 200; the
  rest is taken to be like them.
- It lies where the cue is (of a finding about another class: where it is not, but would be): of what the finding's
  patches show, at least `WITHIN` is there, and they show at least `COVERED` of that place. For a tint, a blur or a
  frame a property of such a name will do instead. A tint and a blur are everywhere: a finding about a part of such
  pictures ("brown background"), like one that is a group of pictures without a place, must have a phi of `ALONE`.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cnnaudit.results.audits import AuditFacts, AuditFinding

from .cases import GLOBAL, Case
from .planting import Planted

PHI, ALONE = 0.25, 0.5
WITHIN, COVERED = 0.4, 0.2

_PROPERTIES = {
    "cast": ("cast", "saturation", "colour", "hue", "brightness", "contrast"),
    "blur": ("sharp", "blur", "contrast"),
    "border": ("border", "frame"),
}
"""Parts of the ids of properties that a cue changes."""

_SAME = 2  # grey levels between a picture and what a patch shows of it
_RANK = {"confirmed": 2.0, "inconclusive": 1.0, "not confirmed": 0.0}


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding, and how it compares to the planted cue.

    Attributes:
        evidence: of the verdict: 2 for confirmed, 1 for inconclusive, 0 for not confirmed, plus the end of the
            strongest effect's interval that is nearer to no change, at most 0.999.
        attribution, association: the finding's own, and so the evidence of heatmaps alone and of properties alone.
        phi: see above, with the sign in which it counts.
        within, covered: the patches' places against the planted ones, see `overlap`.
        matched: whether it is about the planted cue.
    """

    id: str
    name: str
    label: str
    verdict: str
    nature: str
    evidence: float
    attribution: float | None
    association: float
    phi: float
    within: float
    covered: float
    matched: bool

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def judged(facts: AuditFacts, case: Case, target: str, data: Planted) -> tuple[Judged, ...]:
    """Every finding of an audit whose pictures are named by their numbers."""
    return tuple(_judged(finding, case, target, data) for finding in facts.findings)


def _judged(finding: AuditFinding, case: Case, target: str, data: Planted) -> Judged:
    own = finding.label == target
    phi = agreement(finding, data) * (1 if own else -1)
    within, covered = overlap(finding, data, data.present == own)
    return Judged(
        id=finding.id,
        name=finding.name,
        label=finding.label,
        verdict=finding.verdict,
        nature=finding.nature,
        evidence=_RANK[finding.verdict] + min(0.999, max(0.0, reach(finding))),
        attribution=finding.attribution,
        association=finding.association,
        phi=phi,
        within=within,
        covered=covered,
        matched=case.arm != "absent" and _matches(finding, case, phi, within, covered),
    )


def _matches(finding: AuditFinding, case: Case, phi: float, within: float, covered: float) -> bool:
    if finding.kind == "attribution":
        return phi >= ALONE
    named = any(word in finding.id for word in _PROPERTIES.get(case.cue, ()))
    if finding.kind == "property":
        return phi >= PHI and named
    if case.cue in GLOBAL:
        return phi >= ALONE
    return phi >= PHI and within >= WITHIN and covered >= COVERED


def reach(finding: AuditFinding) -> float:
    """How far the strongest effect's interval stays from no change, in the direction in which a cue acts."""
    if finding.strongest is None:
        return 0.0
    effect = finding.effects[finding.strongest]
    return -effect.difference.high if effect.operation == "remove" else effect.difference.low


def agreement(finding: AuditFinding, data: Planted) -> float:
    """Phi between the finding's cue and the planted one; 0 where one of them is in all pictures or in none."""
    n, planted, found = len(data.present), int(data.present.sum()), finding.present
    named = [int(name) for name in finding.concerned]
    if not named or found in (0, n) or planted in (0, n):
        return 0.0
    both = float(data.present[named].double().mean()) * found
    return (n * both - found * planted) / float(np.sqrt(found * (n - found) * planted * (n - planted)))


def overlap(finding: AuditFinding, data: Planted, there: Bool[Tensor, " n"]) -> tuple[float, float]:
    """Of what the patches show, the share where the cue is or would be, in the pictures `there` alone; and of that
    place the share they show.

    What a patch shows is left as it is in the picture, and the rest dimmed.
    """
    both = shown = planted = 0
    for patch in finding.patches:
        place = int(patch.name)
        picture = data.images[place].permute(1, 2, 0).numpy().astype(int)
        if patch.pixels.shape != picture.shape:
            continue
        seen = torch.from_numpy((abs(patch.pixels.astype(int) - picture) <= _SAME).all(2))
        region = data.region[place] & there[place]
        both, shown, planted = both + int((seen & region).sum()), shown + int(seen.sum()), planted + int(region.sum())
    return both / max(shown, 1), both / max(planted, 1)
