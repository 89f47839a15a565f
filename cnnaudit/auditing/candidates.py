"""Candidates: kinds of segments, kinds joined, and copies, that go with a class."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float32

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.copies import Template, templates
from cnnaudit.auditing.cutting import cut
from cnnaudit.auditing.scenery import Scenery, View
from cnnaudit.auditing.segments import Segmented, segmented

SAMPLE = 600
"""Pictures whose segments decide which kinds there are, and that cues are taken from."""
FEWEST = 5
"""Pictures of a class with the cue."""
_TRACE = 0.004  # of a picture: less of a kind is none
_GOES_WITH = 3.0  # standard errors
_MOST = 0.9  # of a picture: what covers more in most pictures is the picture


@dataclass(frozen=True, slots=True, eq=False)
class Covers:
    """How much of each picture each kind of segment covers, and then each template's copies.

    Attributes:
        cover: the share, a row a picture.
        attribution: the share of the attribution of the answer on it; NaN where there is none.
        outer: the share of the picture in segments of the kind that reach the border.
    """

    cover: Float32[np.ndarray, "n k"]
    attribution: Float32[np.ndarray, "n k"]
    outer: Float32[np.ndarray, "n k"]

    @classmethod
    def empty(cls, pictures: int, kinds: int) -> "Covers":
        return cls(*(np.zeros((pictures, kinds), np.float32) for _ in range(3)))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Kinds of segments, or copies, that go with a class.

    Attributes:
        node: its number, the same for the same pictures and seed.
        kinds: columns of `Covers`.
        where: the cue in a picture.
        present, absent: pictures that have enough of it, and none.
        association: the area under the ROC curve of its cover against the class.
        standard_errors: that this is away from 1/2, by the pictures' classes or the network's answers.
        copied: whether it is a patch that is all but the same everywhere.
        area: the share of a picture that it covers where it is present.
        outer: the share of that in segments that reach the border.
        attribution: the share of the attribution on it, divided by `area`; NaN where there is none.
    """

    node: int
    kinds: frozenset[int]
    where: Callable[[View], Bool[np.ndarray, "h w"]]
    copied: bool
    label: int
    present: Bool[np.ndarray, " n"]
    absent: Bool[np.ndarray, " n"]
    association: float
    standard_errors: float
    area: float
    outer: float
    attribution: float


def candidates(asked: Asked) -> tuple[Scenery, tuple[int, ...], list[Candidate]]:
    """The pictures cut into parts, the places of the sample that is held, and the candidates: copies, then the surest.

    Segments of the sample are sorted into kinds (`kinds_of`), and the kinds joined by Ward's method, so that ground
    which falls into several kinds is also found whole. What is copied from picture to picture is found beside them.
    """
    scenery, parts = cut(asked, SAMPLE, watched=True)
    copied = templates(scenery.each(list(parts)), fewest=FEWEST)
    covers = _covered(asked, scenery, parts, copied)
    copies = len(scenery.kinds.centres)
    found = [each for node in _nodes(scenery, copied) for each in _of_node(asked, covers, copies, node)]
    return scenery, tuple(parts), sorted(found, key=lambda each: (not each.copied, -each.standard_errors))


def _covered(asked: Asked, scenery: Scenery, parts: dict[int, Segmented], copied: Sequence[Template]) -> Covers:
    """Of all pictures; those outside the sample are cut, counted and forgotten."""
    n, kinds = len(asked.pictures), len(scenery.kinds.centres)
    found = Covers.empty(n, kinds + len(copied))
    others = (place for place in range(n) if place not in parts)
    for place, part in chain(parts.items(), segmented(asked.classifier, asked.pictures, list(others))):
        _count(found, place, part, scenery.kinds.of(part))
        if copied:
            pixels = asked.pictures.read([place])[0].numpy()
            for column, template in enumerate(copied, kinds):
                _count_copies(found, place, part, template.where(pixels), column)
        asked.told(place, n)
    return found


def _count(found: Covers, place: int, part: Segmented, kinds: np.ndarray) -> None:
    for table, values in (
        (found.cover, part.area),
        (found.attribution, part.attribution),
        (found.outer, part.area * (part.border > 0)),
    ):
        np.add.at(table[place], kinds, values)


def _count_copies(found: Covers, place: int, part: Segmented, where: Bool[np.ndarray, "h w"], column: int) -> None:
    """Attribution is known by segment: a copy takes its share of each that it lies on."""
    pixels = np.bincount(part.labels[where], minlength=len(part.area))
    shares = pixels / (part.area * part.labels.size)
    found.cover[place, column] = where.mean()
    found.attribution[place, column] = (part.attribution * shares).sum()
    found.outer[place, column] = (part.area * shares)[part.border > 0].sum()


def _shows(kinds: frozenset[int], view: View) -> Bool[np.ndarray, "h w"]:
    return view.shows(kinds)


def _copies(template: Template, view: View) -> Bool[np.ndarray, "h w"]:
    return template.where(view.pixels)


_Node = tuple[int, frozenset[int], Callable[[View], Bool[np.ndarray, "h w"]]]


def _nodes(scenery: Scenery, copied: Sequence[Template]) -> Iterator[_Node]:
    """The kinds, all that Ward's method joins them to without the whole, and each template."""
    from scipy.cluster.hierarchy import ward

    centres = scenery.kinds.centres.astype(np.float64)
    nodes = [frozenset([k]) for k in range(len(centres))]
    if len(centres) > 1:
        for one, other, *_ in ward(centres)[:-1]:
            nodes.append(nodes[int(one)] | nodes[int(other)])
    for node, kinds in enumerate(nodes):
        yield node, kinds, partial(_shows, kinds)
    for place, template in enumerate(copied):
        yield len(nodes) + place, frozenset([len(centres) + place]), partial(_copies, template)


def _of_node(asked: Asked, covers: Covers, copies: int, found: _Node) -> Iterator[Candidate]:
    """The node with each class that it goes with; columns from `copies` on are of templates."""
    node, kinds, where = found
    truth, answers = asked.pictures.truth.numpy(), asked.survey.predicted.numpy()
    columns = sorted(kinds)
    cover = covers.cover[:, columns].sum(1)
    some = cover > _TRACE
    if not some.any() or np.median(cover) > _MOST:
        return
    ranks = _ranks(cover)
    for label in np.unique(truth[some]).tolist():
        own = truth == label
        if (own & some).sum() < FEWEST:
            continue
        sides = [_goes_with(ranks, each) for each in (own, answers == label) if 0 < each.sum() < len(each)]
        association, errors = max(sides, key=lambda side: side[1], default=(0.5, 0.0))
        present = cover > max(_TRACE, float(np.median(cover[own & some])) / 2)
        if errors < _GOES_WITH or (own & present).sum() < FEWEST:
            continue
        area, outer, attribution = (
            float(table[present][:, columns].sum()) / int(present.sum())
            for table in (covers.cover, covers.outer, covers.attribution)
        )
        yield Candidate(
            node,
            kinds,
            where,
            max(kinds) >= copies,
            label,
            present,
            ~some,
            association,
            errors,
            area,
            outer / area,
            attribution / area,
        )


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
