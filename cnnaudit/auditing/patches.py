"""Recurring patches: kinds of segments that go with a class, alone and merged, found without being told of any."""

from collections.abc import Callable, Sequence
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
_TRIED = 48
_ALMOST = 2 / 3  # of the worth of the best: of cues that are worth so much, the smallest says most
_CUES = 12
_A_CLASS = 3
_LOOKED_AT = 40
FEWEST = 5
"""Pictures of a class with the cue."""
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


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A candidate that was put into a few pictures, and taken out of a few.

    Attributes:
        worth: how much it changed the answers, times the share of its class that has it.
    """

    candidate: _Candidate
    cue: Cue
    worth: float


def patch_cues(asked: Asked) -> list[Cue]:
    """The recurring patches that most change the network's answer when they are put in, for each class a few.

    Segments of a sample of the pictures are sorted into kinds (`kinds_of`), and the kinds joined by Ward's method, so
    that ground which falls into several kinds is also found whole. What goes with a class is then put into a few
    pictures; what does most is kept, and tested on others.
    """
    n = len(asked.pictures)
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(asked.seed))[:SAMPLE].sort().values.tolist()
    parts = dict(segmented(asked.classifier, asked.pictures, drawn))
    scenery = Scenery(asked.classifier, asked.pictures, kinds_of(list(parts.values()), asked.seed))
    covers = _covered(asked, scenery, parts)
    candidates = _candidates(asked, scenery, covers)
    own = {label: asked.pictures.truth.numpy() == label for label in {each.label for each in candidates}}
    tried: list[_Tried] = []
    for done, each in enumerate(candidates[:_TRIED]):
        asked.told(done, min(_TRIED, len(candidates)))
        cue = _cue(asked, scenery, covers, each, parts)
        common = float((each.present & own[each.label]).sum() / own[each.label].sum())
        tried.append(_Tried(each, cue, common * _screened(asked, cue)))
    chosen = [each for label in sorted(own) for each in _chosen(tried, label)]
    return [each.cue for each in sorted(chosen, key=lambda each: -each.worth)[:_CUES]]


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
    classes = [k for k in np.unique(truth) if (truth == k).sum() >= FEWEST]
    found: list[_Candidate] = []
    for node, kinds in enumerate(_tree(scenery.kinds.centres)):
        cover = covers.cover[:, sorted(kinds)].sum(1)
        some = cover > _TRACE
        if not some.any() or np.median(cover) > 0.9:
            continue
        ranks = _ranks(cover)
        for label in classes:
            own = truth == label
            if (own & some).sum() < FEWEST:
                continue
            sides = [_goes_with(ranks, each) for each in (own, answers == label) if 0 < each.sum() < len(each)]
            if not sides:
                continue
            area, errors = max(sides, key=lambda side: side[1])
            if errors < _GOES_WITH:
                continue
            present = cover > max(_TRACE, float(np.median(cover[own & some])) / 2)
            if (own & present).sum() >= FEWEST:
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
    some = scenery.views(donors[:_LOOKED_AT])
    on_object = 1 - outer if asked.pictures.masks is None else _on_object(some, where)
    looks = described(some, where, on_object < 0.5)
    return Cue(
        id=f"{looks.kind}-{found.node}-{asked.classifier.labels[found.label]}",
        kind=looks.kind,
        name=looks.name,
        label=found.label,
        present=torch.from_numpy(found.present),
        association=found.association,
        edit=Pasting(scenery, where, on_object < 0.5, donors, without),
        attribution=None if np.isnan(attribution) else attribution,
        object_share=on_object,
        area=area / int(found.present.sum()),
        copied=looks.copied,
        evidence=looks.evidence,
        patches=partial(patches_of, asked, scenery, where, donors),
    )


def _on_object(views: Sequence[View], where: Callable[[View], Bool[np.ndarray, "h w"]]) -> float:
    """The share of the cue that lies on what the masks mark."""
    shown = [(where(view), view.ground) for view in views]
    whole = sum(int(cue.sum()) for cue, _ in shown)
    return sum(int((cue & ~ground).sum()) for cue, ground in shown) / max(1, whole)


def patches_of(
    asked: Asked, scenery: Scenery, where: Callable[[View], Bool[np.ndarray, "h w"]], donors: Sequence[int]
) -> tuple[CuePatch, ...]:
    """The cue in some pictures, all else dimmed."""
    places = list(donors)[:8]
    found: list[CuePatch] = []
    for place, view in zip(places, scenery.views(places), strict=True):
        dimmed = np.where(where(view)[None], view.pixels, 0.25 * view.pixels + 0.5 * 0.75)
        pixels = (dimmed.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        found.append(CuePatch(asked.pictures.names[place], pixels))
    return tuple(found)


def _screened(asked: Asked, cue: Cue) -> float:
    """How much the cue changes the answers in a few pictures, over the placebo; the larger of putting in and out."""
    made = [measured(asked, cue, operation, screening=True) for operation in cue.operations]
    changes = [each[0].difference.value * (-1 if each[0].operation == "remove" else 1) for each in made if each]
    return max(changes, default=0.0)


def _chosen(tried: Sequence[_Tried], label: int) -> list[_Tried]:
    """A few cues of a class that share no kind: each time, of those that are worth enough, the smallest."""
    left = [each for each in tried if each.candidate.label == label and each.worth > 0]
    kept: list[_Tried] = []
    while left and len(kept) < _A_CLASS:
        enough = _ALMOST * max(each.worth for each in left)
        best = min((each for each in left if each.worth >= enough), key=lambda each: each.cue.area)
        kept.append(best)
        left = [each for each in left if each.candidate.kinds.isdisjoint(best.candidate.kinds)]
    return kept
