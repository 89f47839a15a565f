"""Attribution clusters: pictures of a class that the network answers for another reason than the rest of the class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import binary_closing
from torch import Tensor

from cnnaudit import memory
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.candidates import FEWEST
from cnnaudit.auditing.cues import Cue, slug
from cnnaudit.auditing.cutting import cut, drawn
from cnnaudit.auditing.looks import described
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.patches import on_object, patches_of
from cnnaudit.auditing.scenery import Scenery, View
from cnnaudit.auditing.segments import BATCH, looked_at, map_layer
from cnnaudit.classifier import Classifier
from cnnaudit.shapes import Pixels

_CLASSES = 20  # those with the most pictures
_A_CLASS = 150  # pictures of a class that are compared
_FEWEST = 30
_SIDE = 16  # of the maps that are compared
_NEIGHBOURS = 7
_MOST = 6  # clusters
_CONNECTED = 0.03  # an eigenvalue above which nothing falls apart
_ZERO = 1e-3  # an eigenvalue that is as good as none
_GAP = 3.0
"""Times that a picture of a cluster is further from all outside than pictures are from the nearest inside."""
_SMALL = 0.5  # of the class: a larger cluster is how the class is mostly told
_MASS = 0.5  # of the attribution
_CUES = 3
_CHANCE = 0.5  # of the area under the ROC curve
_LEAST = 0.5  # of what speaks for the class in the pictures of a cluster: with less, a map shows but noise
_CUT, _DONORS = 100, 64


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """Pictures of a class that are explained alike.

    Attributes:
        rows: their maps, as `spectra` has them.
        reach: how far from the nearest of them a map still belongs to them: half way to the nearest of the others.
        least: how much must speak for the class in a picture, so that it is worth comparing.
        size: about how many of all pictures of the class they stand for.
    """

    label: int
    number: int
    rows: Float[np.ndarray, "m d"]
    reach: float
    least: float
    size: float


def attribution_cues(asked: Asked) -> list[Cue]:
    """Small groups of a class's pictures that are explained alike, and unlike the rest of the class.

    Lapuschkin et al. 2019 (SpRAy, arXiv:1902.10178), with maps made tolerant of shifts. None where the maps of a
    class are of one kind, or where the network has no maps. Clusters are found among right answers. Which pictures
    have such a cue is then told of all pictures of all classes, whatever the answer, by what speaks for the class.
    """
    layer = map_layer(asked.classifier)
    if layer is None:
        return []
    found: list[_Cluster] = []
    truth = asked.pictures.truth
    classes, counts = truth.unique(return_counts=True)
    common = classes[counts.argsort(descending=True, stable=True)][:_CLASSES].tolist()
    for done, label in enumerate(common):
        asked.told(done, len(common))
        found += _clusters(asked, layer, label)
    if not found:
        return []
    scenery, _ = cut(asked, _CUT)
    largest = sorted(found, key=lambda cluster: -cluster.size)[:_CUES]
    made = [_cue(asked, scenery, layer, cluster) for cluster in largest]
    return [cue for cue in made if cue is not None]


def _clusters(asked: Asked, layer: str, label: int) -> Iterator[_Cluster]:
    """The small clusters of a class."""
    right = (asked.pictures.truth == label) & (asked.survey.predicted == label)
    sample = drawn(asked, right, _A_CLASS)
    if len(sample) < _FEWEST:
        return
    compared = list(_compared(asked, layer, sample, label))
    rows, sums = (np.concatenate([each[k] for each in compared]) for k in (0, 1))
    if not np.isfinite(rows).all():
        return
    clusters = strategies(rows, seed=asked.seed)
    for k in range(1, int(clusters.max()) + 1):
        inside = clusters == k
        if FEWEST <= inside.sum() <= _SMALL * len(rows):
            size = float(inside.mean()) * int(right.sum())
            yield _Cluster(label, k, rows[inside], _gap(rows, inside) / 2, _LEAST * float(sums[inside].min()), size)


def _belongs(asked: Asked, layer: str, cluster: _Cluster) -> Bool[Tensor, " n"]:
    """Which of all pictures have a map for the cluster's class, whatever their own and the answer, that is in it."""
    from sklearn.metrics import pairwise_distances_argmin_min

    def batches() -> Iterator[Tensor]:
        for rows, sums in _compared(asked, layer, range(len(asked.pictures)), cluster.label):
            known = np.isfinite(sums)
            near = pairwise_distances_argmin_min(np.nan_to_num(rows, posinf=0, neginf=0), cluster.rows)[1]
            yield torch.from_numpy(known & (near <= cluster.reach) & (sums >= cluster.least))

    return memory.rows_of(batches(), len(asked.pictures))


def _compared(
    asked: Asked, layer: str, places: Sequence[int], label: int
) -> Iterator[tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]]:
    """What pictures are compared by, and how much speaks for the class in each; a few pictures at a time."""
    for start in range(0, len(places), BATCH):
        maps = _speaking(asked.classifier, asked.pictures.read(places[start : start + BATCH]), layer, label)
        yield spectra(maps), maps.sum((1, 2)).numpy()


def _speaking(classifier: Classifier, pixels: Pixels, layer: str, label: int) -> Float[Tensor, "n h w"]:
    shares = looked_at(classifier, pixels, layer, label=label)[1].clamp(min=0)
    return F.interpolate(shares[:, None], tuple(pixels.shape[2:]), mode="bilinear", align_corners=False)[:, 0]


def attended(classifier: Classifier, pixels: Pixels, layer: str, label: int) -> Float[Tensor, "n h w"]:
    """Where what speaks for a class is, at the pictures' resolution; all of a picture together is 1.

    Raises:
        ModelError: the network fails on the pictures.
    """
    spread = _speaking(classifier, pixels, layer, label)
    return spread / spread.sum((1, 2), keepdim=True).clamp(min=1e-12)


def spectra(maps: Float[Tensor, "n h w"]) -> Float[np.ndarray, "n d"]:
    """Magnitudes of the Fourier transform of small copies of maps, which do not change where a map is shifted."""
    blurred = F.avg_pool2d(maps[:, None], 5, 1, 2)  # what a shift by less than a small pixel changes is not told
    small = F.adaptive_avg_pool2d(blurred, min(_SIDE, *maps.shape[1:]))[:, 0].double()
    small = small / small.sum((1, 2), keepdim=True).clamp(min=1e-12)
    side = 2 * small.shape[-1]  # with room, so that what leaves on one side does not come in on the other
    return torch.fft.rfft2(small, (side, side)).abs().flatten(1).numpy()


def strategies(rows: Float[np.ndarray, "n d"], *, seed: int) -> Int64[np.ndarray, " n"]:
    """The cluster of each row, 0 for the largest; all 0 where they are of one kind.

    Spectral clustering of the graph of nearest neighbours; how many clusters there are, the largest ratio of
    neighbouring eigenvalues of its normalised Laplacian says (von Luxburg, Statistics and Computing 17, 2007). A
    cluster that is not well apart from all else is none.
    """
    from scipy.sparse.csgraph import laplacian
    from sklearn.cluster import SpectralClustering
    from sklearn.neighbors import kneighbors_graph

    whole = np.zeros(len(rows), np.int64)
    graph = kneighbors_graph(rows, min(_NEIGHBOURS, len(rows) - 1))
    graph = (graph + graph.T).minimum(1).toarray()
    values = np.linalg.eigvalsh(laplacian(graph, normed=True))[: _MOST + 1]
    count = int(np.diff(np.log(values.clip(min=0) + _ZERO)).argmax()) + 1
    if count == 1 or values[count - 1] > _CONNECTED:
        return whole
    model = SpectralClustering(count, affinity="precomputed", random_state=seed, assign_labels="cluster_qr")
    found = _fit(model, graph)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    clusters = np.argsort(order)[found]
    for k in range(1, count):
        if not _apart(rows, clusters == k):
            clusters[clusters == k] = 0
    return clusters


def _fit(model: object, graph: np.ndarray) -> np.ndarray:
    """What falls apart entirely is what is looked for, and no reason for a warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        return model.fit_predict(graph)  # type: ignore[attr-defined]


def _apart(rows: Float[np.ndarray, "n d"], inside: Bool[np.ndarray, " n"]) -> bool:
    """Whether a cluster is further from all else than its pictures are from each other's nearest."""
    from sklearn.metrics import pairwise_distances

    if not inside.any():
        return False
    far = pairwise_distances(rows)
    np.fill_diagonal(far, np.inf)
    nearest = np.concatenate([far[side][:, side].min(1) for side in (inside, ~inside)])
    return _gap(rows, inside) > _GAP * np.quantile(nearest, 0.95)


def _gap(rows: Float[np.ndarray, "n d"], inside: Bool[np.ndarray, " n"]) -> float:
    """From a cluster to the nearest of all else."""
    from sklearn.metrics import pairwise_distances

    return float(pairwise_distances(rows[inside], rows[~inside]).min())


class _LookedAt:
    """The part of a picture that carries half of what speaks for a class; it is held as long as the picture is."""

    def __init__(self, classifier: Classifier, layer: str, label: int) -> None:
        self._classifier, self._layer, self._label = classifier, layer, label
        self._held: WeakKeyDictionary[View, Bool[np.ndarray, "h w"]] = WeakKeyDictionary()

    def __call__(self, view: View) -> Bool[np.ndarray, "h w"]:
        if view not in self._held:
            self._held[view] = self._found(view)
        return self._held[view]

    def _found(self, view: View) -> Bool[np.ndarray, "h w"]:
        mass = attended(self._classifier, torch.from_numpy(view.pixels)[None], self._layer, self._label)[0].numpy()
        order = np.argsort(-mass, axis=None, kind="stable")
        enough = int(np.searchsorted(np.cumsum(mass.ravel()[order]), _MASS * mass.sum())) + 1
        inside = np.zeros(mass.size, bool)
        inside[order[:enough]] = True
        padded = np.pad(inside.reshape(mass.shape), 2)
        return binary_closing(padded, np.ones((3, 3)))[2:-2, 2:-2]


def _cue(asked: Asked, scenery: Scenery, layer: str, cluster: _Cluster) -> Cue | None:
    """None where it goes with other classes as much."""
    label = cluster.label
    own, present = asked.pictures.truth == label, _belongs(asked, layer, cluster)
    association = _association(own, present)
    donors = drawn(asked, own & present, _DONORS)
    if association <= _CHANCE or len(donors) < FEWEST:
        return None
    where = _LookedAt(asked.classifier, layer, label)
    views = scenery.views(donors)
    share = on_object(scenery, views, where)
    looks = described(views, where, around=share is not None and share < 0.5)
    name = asked.classifier.labels[label]
    area = float(np.mean([where(view).mean() for view in views]))
    return Cue(
        id=f"attribution-{cluster.number}-{slug(name)}",
        kind="attribution",
        name=looks.name,
        label=label,
        present=present,
        association=association,
        edit=Pasting(scenery, where, False, donors, drawn(asked, ~own & ~present, _DONORS)),
        attribution=_MASS / area,
        object_share=share,
        area=area,
        copied=looks.copied,
        evidence=(*_counted(own, present, name), *looks.evidence),
        patches=partial(patches_of, asked, scenery, where, donors),
    )


def _association(own: Bool[Tensor, " n"], present: Bool[Tensor, " n"]) -> float:
    """The area under the ROC curve of what is there or not, against the class; that of chance where there is no other.

    Half of one, and of how much more often it is there in the class than in the others.
    """
    if bool(own.all()):
        return _CHANCE
    return (1 + float(present[own].double().mean()) - float(present[~own].double().mean())) / 2


def _counted(own: Bool[Tensor, " n"], present: Bool[Tensor, " n"], name: str) -> tuple[str, str]:
    n, of, m, others = (int(each.sum()) for each in (own & present, own, ~own & present, ~own))
    return (
        f"{n:,} of {of:,} pictures of {name} are explained alike, and unlike the others: by this part.",
        f"In {m:,} of {others:,} pictures of other classes, what speaks for {name} is explained so too.",
    )
