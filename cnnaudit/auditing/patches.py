"""Recurring patches: kinds of segments that go with a class, alone and merged, found without being told of any."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float32

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.interventions import measured
from cnnaudit.auditing.looks import described
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.scenery import Scenery, View, kinds_of
from cnnaudit.auditing.segments import Segmented, segmented
from cnnaudit.results import CuePatch

SAMPLE = 600
"""Pictures whose segments decide which kinds there are, and that cues are taken from."""
_SCREENED = 14  # pictures that each candidate is tried on before the best are tested
_TRIED = 48
_AREA_COSTS = 0.25  # of the effect, for all of the picture: of two that do as much, the smaller cue says more
_CUES = 12
_A_CLASS = 3
_FEWEST = 5  # pictures of a class with the cue
_TRACE = 0.004  # of a picture: less of a kind is none
_GOES_WITH = 3.0  # standard errors


@dataclass(frozen=True, slots=True, eq=False)
class Covers:
    """How much of each picture each kind of segment covers, and where.

    Attributes:
        cover: the share, a row a picture.
        attribution: the share of the attribution of the answer on it; NaN where there is none.
        outer: the share of the picture in segments of the kind that reach the border.
    """

    cover: Float32[np.ndarray, "n k"]
    attribution: Float32[np.ndarray, "n k"]
    outer: Float32[np.ndarray, "n k"]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """Kinds of segments that together go with a class."""

    node: int
    kinds: frozenset[int]
    label: int
    present: Bool[np.ndarray, " n"]
    absent: Bool[np.ndarray, " n"]
    association: float
    standard_errors: float


def patch_cues(asked: Asked) -> list[Cue]:
    """The recurring patches that most change the network's answer when they are put in, for each class a few.

    Segments of a sample of the pictures are sorted into kinds (`kinds_of`), and the kinds joined by Ward's method, so
    that ground which falls into several kinds is also found whole. What goes with a class is then put into a few
    pictures; what does most is kept. Those pictures are not used again by the test that follows.
    """
    n = len(asked.pictures)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(asked.seed))[:SAMPLE].sort().values.tolist()
    parts = dict(segmented(asked.classifier, asked.pictures, drawn))
    scenery = Scenery(asked.classifier, asked.pictures, kinds_of(list(parts.values()), asked.seed))
    covers = _covered(asked, scenery, parts)
    candidates = _candidates(asked, scenery, covers)
    tried = [(each, _cue(asked, scenery, covers, each, parts)) for each in candidates[:_TRIED]]
    worth: list[float] = []
    for done, (each, cue) in enumerate(tried):
        asked.told(done, len(tried))
        area = covers.cover[each.present][:, sorted(each.kinds)].sum(1).mean()
        worth.append(_screened(asked, cue) * (1 - _AREA_COSTS * float(area)))
    order = sorted(range(len(tried)), key=lambda k: -worth[k])
    return [tried[k][1] for k in _apart([tried[k][0] for k in order], order)]


def _covered(asked: Asked, scenery: Scenery, parts: dict[int, Segmented]) -> Covers:
    """Of all pictures: the sample's are held, the others cut, counted and forgotten."""
    n, k = len(asked.pictures), len(scenery.kinds.centres)
    found = Covers(*(np.zeros((n, k), np.float32) for _ in range(3)))
    for place, part in parts.items():
        _count(found, scenery, place, part)
        scenery.hold(place, part)
    others = [place for place in range(n) if place not in parts]
    for place, part in segmented(asked.classifier, asked.pictures, others):
        _count(found, scenery, place, part)
        asked.told(place, n)
    return found


def _count(found: Covers, scenery: Scenery, place: int, part: Segmented) -> None:
    kinds = scenery.kinds.of(part)
    np.add.at(found.cover[place], kinds, part.area)
    np.add.at(found.attribution[place], kinds, part.attribution)
    np.add.at(found.outer[place], kinds, part.area * (part.border > 0))


def _candidates(asked: Asked, scenery: Scenery, covers: Covers) -> list[_Candidate]:
    """All nodes of the tree with each class that they go with, the surest first."""
    truth = asked.pictures.truth.numpy()
    answers = asked.survey.predicted.numpy()
    classes = [k for k in np.unique(truth) if (truth == k).sum() >= _FEWEST]
    found: list[_Candidate] = []
    for node, kinds in enumerate(_tree(scenery.kinds.centres)):
        cover = covers.cover[:, sorted(kinds)].sum(1)
        some = cover > _TRACE
        if not some.any() or np.median(cover) > 0.9:
            continue
        ranks = _ranks(cover)
        for label in classes:
            own = truth == label
            if (own & some).sum() < _FEWEST:
                continue
            sides = [_goes_with(ranks, each) for each in (own, answers == label) if 0 < each.sum() < len(each)]
            if not sides:
                continue
            area, errors = max(sides, key=lambda side: side[1])
            if errors < _GOES_WITH:
                continue
            present = cover > max(_TRACE, float(np.median(cover[own & some])) / 2)
            if (own & present).sum() >= _FEWEST:
                found.append(_Candidate(node, kinds, int(label), present, ~some, area, errors))
    return sorted(found, key=lambda each: -each.standard_errors)


def _tree(centres: Float32[np.ndarray, "k e"]) -> list[frozenset[int]]:
    """The kinds, and all that Ward's method joins them to, without the whole."""
    from scipy.cluster.hierarchy import ward

    nodes = [frozenset([k]) for k in range(len(centres))]
    if len(centres) > 1:
        for one, other, *_ in ward(centres.astype(np.float64)):
            nodes.append(nodes[int(one)] | nodes[int(other)])
    return nodes[:-1]


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values)


def _goes_with(ranks: np.ndarray, own: Bool[np.ndarray, " n"]) -> tuple[float, float]:
    """The area under the ROC curve of the cue against a class, and its distance from 1/2 in standard errors.

    Mann and Whitney, Ann. Math. Stat. 18, 1947, with the correction for ties.
    """
    n, inside = len(own), int(own.sum())
    outside = n - inside
    area = (ranks[own].sum() - inside * (inside + 1) / 2) / (inside * outside)
    ties = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    spread = (n + 1 - (ties**3 - ties).sum() / (n * (n - 1))) / (12 * inside * outside)
    return float(area), float((area - 0.5) / np.sqrt(max(spread, 1e-12)))


def _shown(kinds: frozenset[int], view: View) -> Bool[np.ndarray, "h w"]:
    return view.shows(kinds)


def _cue(asked: Asked, scenery: Scenery, covers: Covers, found: _Candidate, parts: dict[int, Segmented]) -> Cue:
    kinds = sorted(found.kinds)
    truth, cover = asked.pictures.truth.numpy(), covers.cover[:, kinds].sum(1)
    own = np.flatnonzero(found.present & (truth == found.label))
    held = np.isin(own, list(parts))
    where = partial(_shown, found.kinds)
    area = float(cover[found.present].sum())
    outer = float(covers.outer[found.present][:, kinds].sum()) / area
    attribution = float(covers.attribution[found.present][:, kinds].sum()) / area
    donors = tuple((own[held] if held.any() else own).tolist())
    without = tuple(place for place in np.flatnonzero(found.absent).tolist() if place in parts)
    looks = described(scenery.views(donors[:40]), where, outer > 0.5)
    return Cue(
        id=f"{looks.kind}-{found.node}-{asked.classifier.labels[found.label]}",
        kind=looks.kind,
        name=looks.name,
        label=found.label,
        present=torch.from_numpy(found.present),
        association=found.association,
        edit=Pasting(scenery, where, outer > 0.5, donors, without),
        attribution=None if np.isnan(attribution) else attribution,
        object_share=1 - outer,
        copied=looks.copied,
        evidence=looks.evidence,
        patches=partial(_patches, asked, scenery, where, donors),
    )


def _patches(asked: Asked, scenery: Scenery, where: partial, donors: Sequence[int]) -> tuple[CuePatch, ...]:
    places = list(donors)[:8]
    found: list[CuePatch] = []
    for place, view in zip(places, scenery.views(places), strict=True):
        dimmed = np.where(where(view)[None], view.pixels, 0.25 * view.pixels + 0.5 * 0.75)
        pixels = (dimmed.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        found.append(CuePatch(asked.pictures.names[place], pixels))
    return tuple(found)


def _screened(asked: Asked, cue: Cue) -> float:
    """How much the cue changes the answers in a few pictures, over the placebo; the larger of putting in and out."""
    made = [measured(asked, cue, operation, _SCREENED) for operation in cue.operations]
    changes = [each[0].difference.value * (-1 if each[0].operation == "remove" else 1) for each in made if each]
    return max(changes, default=0.0)


def _apart(candidates: Sequence[_Candidate], order: Sequence[int]) -> list[int]:
    """Of the candidates, best first: those that share no kind with a better one of their class, a few a class."""
    kept: list[tuple[_Candidate, int]] = []
    for candidate, place in zip(candidates, order, strict=True):
        same = [each for each, _ in kept if each.label == candidate.label]
        if len(same) < _A_CLASS and all(candidate.kinds.isdisjoint(each.kinds) for each in same):
            kept.append((candidate, place))
    return [place for _, place in kept[:_CUES]]
