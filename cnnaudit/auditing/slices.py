"""Slices: groups of pictures that are alike to the network, and often answered wrongly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy import stats
from scipy.sparse.csgraph import connected_components

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.wording import called
from cnnaudit.results.audits import AuditFinding, Slice, SliceCue
from cnnaudit.training.metrics import share

_ERRORS = 6  # of a class, in either half, before groups are looked for in it
_IN_A_GROUP = 8  # errors that make another group of errors worth while
_GROUPS = 4  # of errors; twice as many of right answers
_FEWEST = 5  # pictures of a group in the half on which it is tested
_ONE = 1.5  # radii between the centres of two clusters that are one
_CHANCE = 0.01  # nothing else stands between a slice and the page
_NAMED, _SHOWN = 200, 8
_CUES = 2
_TYPICAL = 0.7  # area under the ROC curve from which a property is named


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A group in the half on which it is tested; `others` are the remaining pictures it is compared with."""

    places: Int64[np.ndarray, " m"]
    others: Int64[np.ndarray, " o"]
    p: float


def slices(asked: Asked, tested: Sequence[tuple[Cue, AuditFinding]] = ()) -> tuple[Slice, ...]:
    """Groups with more errors than the rest of their class, the surest first; none where errors are spread at random.

    In one half of each class's pictures the wrong ones and the right ones are clustered (k-means) by the network's
    last features; in the other half, pictures that lie nearest to a cluster of wrong ones are a group, whether they
    are answered rightly or not. Groups are tested on that half alone (Fisher's exact test), so that choosing them
    makes nothing significant, and false discoveries are held at 1 % over all groups (Benjamini and Hochberg, 1995).
    All numbers are of the half on which they are tested. Where no class has enough errors, all pictures are one.

    Each is told with those of the tested cues that its pictures have more often than the others: where one of these is
    confirmed, an intervention says why the group is answered wrongly.

    That groups are made of features, classes and errors together is after Domino (Eyuboglu et al., arXiv 2203.14960),
    which fits a mixture instead and does not hold pictures out.
    """
    truth, wrong = asked.pictures.truth.numpy(), (asked.survey.predicted != asked.pictures.truth).numpy()
    features = asked.survey.embeddings.double().numpy()
    usable = np.flatnonzero((asked.survey.predicted >= 0).numpy() & np.isfinite(features).all(1))
    draw = np.random.default_rng(asked.seed)
    first = np.zeros(len(truth), bool)
    first[draw.permutation(usable)[: len(usable) // 2]] = True
    found = [
        group
        for members in _classes(usable, truth, wrong, first)
        for group in _groups(members, features[members], wrong[members], first[members])
    ]
    if not found:
        return ()
    adjusted = stats.false_discovery_control([group.p for group in found])
    kept = sorted(_low(adjusted.tolist()))
    told = _told([found[k] for _, k in kept], tested)
    return tuple(_slice(asked, found[k], p, wrong, cues) for (p, k), cues in zip(kept, told, strict=True))


def _told(groups: Sequence[_Found], tested: Sequence[tuple[Cue, AuditFinding]]) -> list[tuple[SliceCue, ...]]:
    """For each group the cues that are more frequent in it than by chance, confirmed ones first, then the surest."""
    if not groups or not tested:
        return [()] * len(groups)
    present = [cue.present.cpu().numpy() for cue, _ in tested]
    ps = [[_p(each[group.places], each[group.others]) for each in present] for group in groups]
    adjusted = np.reshape(stats.false_discovery_control(np.ravel(ps)), np.shape(ps))
    return [
        tuple(
            _cue(tested[k][1], present[k], group, p)
            for p, k in sorted(_low(row), key=lambda each: (tested[each[1]][1].verdict != "confirmed", each))
        )[:_CUES]
        for group, row in zip(groups, adjusted.tolist(), strict=True)
    ]


def _low(ps: Sequence[float]) -> list[tuple[float, int]]:
    return [(p, place) for place, p in enumerate(ps) if p < _CHANCE]


def _cue(found: AuditFinding, present: Bool[np.ndarray, " n"], group: _Found, p: float) -> SliceCue:
    inside, elsewhere = (share(int(present[part].sum()), len(part)) for part in (group.places, group.others))
    return SliceCue(found.id, found.name, found.verdict, inside, elsewhere, p)


def _classes(usable: np.ndarray, truth: np.ndarray, wrong: np.ndarray, first: np.ndarray) -> list[np.ndarray]:
    """The pictures of each class with enough errors in both halves; all pictures where none has."""
    classes = [usable[truth[usable] == label] for label in np.unique(truth[usable])]
    return [each for each in classes if _enough(wrong[each], first[each])] or [
        each for each in [usable] if _enough(wrong[each], first[each])
    ]


def _enough(wrong: np.ndarray, first: np.ndarray) -> bool:
    return min(wrong[first].sum(), wrong[~first].sum()) >= _ERRORS and bool((~wrong[first]).any())


def _groups(
    members: Int64[np.ndarray, " m"],
    features: Float[np.ndarray, "m d"],
    wrong: Bool[np.ndarray, " m"],
    first: Bool[np.ndarray, " m"],
) -> Iterator[_Found]:
    spread = features[first].std(0)
    features = (features - features[first].mean(0)) / np.where(spread > 0, spread, 1.0)
    most = min(_GROUPS, max(1, int(wrong[first].sum()) // _IN_A_GROUP))
    bad = _centres(features[first & wrong], most)
    good = _centres(features[first & ~wrong], 2 * most)
    centres = np.concatenate([bad, good])
    away = (features**2).sum(1)[:, None] - 2 * features @ centres.T + (centres**2).sum(1)
    nearest = away.argmin(1)
    group = np.concatenate([_joined(bad, features[first & wrong]), np.full(len(good), -1)])[nearest]
    for k in range(len(bad)):
        inside = (group == k) & ~first
        outside = (group != k) & ~first
        if inside.sum() >= _FEWEST and outside.any():
            yield _Found(members[inside], members[outside], _p(wrong[inside], wrong[outside]))


def _joined(centres: Float[np.ndarray, "k d"], features: Float[np.ndarray, "m d"]) -> Int64[np.ndarray, " k"]:
    """A number for each cluster, the same for those of which one would have been enough.

    These are little further from each other than their pictures, in the root mean square, are from their centres.
    """
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    to_all = np.linalg.norm(features[:, None] - centres, axis=2)
    own = to_all.argmin(1)
    radius = np.array(
        [np.sqrt((to_all[own == k, k] ** 2).mean()) if (own == k).any() else 0.0 for k in range(len(apart))]
    )
    return connected_components(apart < _ONE * np.maximum(radius[:, None], radius), directed=False)[1]


def _centres(features: np.ndarray, count: int) -> np.ndarray:
    from sklearn.cluster import KMeans  # slow to import

    clusters = min(count, len(np.unique(features, axis=0)))
    return KMeans(clusters, init="k-means++", n_init=2, random_state=0).fit(features).cluster_centers_  # type: ignore[arg-type]


def _p(inside: np.ndarray, outside: np.ndarray) -> float:
    """Of so many errors, or pictures with a cue, inside if they were as frequent outside."""
    errors, n = int(inside.sum() + outside.sum()), len(inside) + len(outside)
    return float(stats.hypergeom.sf(int(inside.sum()) - 1, n, errors, len(inside)))


def _slice(asked: Asked, group: _Found, p: float, wrong: np.ndarray, cues: tuple[SliceCue, ...]) -> Slice:
    order = group.places[np.argsort(~wrong[group.places], kind="stable")]
    shown = asked.pictures.read(order[:_SHOWN].tolist()).permute(0, 2, 3, 1).mul(255).round().clamp(0, 255)
    return Slice(
        name=_name(asked, group, wrong),
        pictures=len(group.places),
        right=share(int((~wrong[group.places]).sum()), len(group.places)),
        elsewhere=share(int((~wrong[group.others]).sum()), len(group.others)),
        p_adjusted=p,
        names=tuple(asked.pictures.names[place] for place in order[:_NAMED]),
        samples=tuple(shown.byte().numpy()),
        cues=cues,
    )


def _name(asked: Asked, group: _Found, wrong: np.ndarray) -> str:
    """The class, the answer that most of the wrong ones get, and what is typical of the group."""
    labels, said = asked.classifier.labels, asked.survey.predicted.numpy()
    classes = np.unique(asked.pictures.truth.numpy()[group.places])
    of = labels[classes[0]] if len(classes) == 1 else f"{len(classes)} classes"
    answers, counts = np.unique(said[group.places[wrong[group.places]]], return_counts=True)
    return f"{of} answered {labels[answers[counts.argmax()]]}" + _typical(asked, group)


def _typical(asked: Asked, group: _Found) -> str:
    """The two properties that tell the group best from the pictures it is compared with, if they do."""
    areas: list[tuple[float, str]] = []
    for name, column in asked.survey.properties.items():
        inside, others = (
            part[np.isfinite(part)] for part in (column.numpy()[group.places], column.numpy()[group.others])
        )
        if len(inside) and len(others):
            area = float(stats.mannwhitneyu(inside, others).statistic) / (len(inside) * len(others))
            areas.append((max(area, 1 - area), called(name, 1 if area > 0.5 else -1)))
    named = [words for area, words in sorted(areas, key=lambda each: (-each[0], each[1])) if area >= _TYPICAL][:2]
    return f": {', '.join(named)}" if named else ""
