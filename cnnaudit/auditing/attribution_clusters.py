"""Attribution clusters: pictures of a class that the network answers for another reason than the rest of the class."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import binary_closing
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.candidates import FEWEST
from cnnaudit.auditing.cues import Cue, slug
from cnnaudit.auditing.cutting import cut, drawn
from cnnaudit.auditing.looks import described
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.patches import on_object, patches_of
from cnnaudit.auditing.scenery import View
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
_CUT, _DONORS = 100, 64
_HELD = 1000


def attribution_cues(asked: Asked) -> list[Cue]:
    """Small groups of a class's pictures that are explained alike, and unlike the rest of the class.

    Lapuschkin et al. 2019 (SpRAy, arXiv:1902.10178), with maps made tolerant of shifts. None where the maps of a
    class are of one kind, or where the network has no maps.
    """
    layer = map_layer(asked.classifier)
    if layer is None:
        return []
    found: list[tuple[int, int, Bool[Tensor, " n"]]] = []
    truth = asked.pictures.truth
    classes, counts = truth.unique(return_counts=True)
    common = classes[counts.argsort(descending=True, stable=True)][:_CLASSES].tolist()
    for done, label in enumerate(common):
        asked.told(done, len(common))
        found += [(label, number, present) for number, present in _groups(asked, layer, label)]
    if not found:
        return []
    found.sort(key=lambda group: -int(group[2].sum()))
    scenery, _ = cut(asked, _CUT)
    where = _LookedAt(asked.classifier, layer)
    return [_cue(asked, Pasting(scenery, where, False, (), ()), *group) for group in found[:_CUES]]


def _groups(asked: Asked, layer: str, label: int) -> Iterator[tuple[int, Bool[Tensor, " n"]]]:
    """Each small cluster of a class, with a number, and all pictures that belong to it."""
    right = (asked.pictures.truth == label) & (asked.survey.predicted == label)
    sample = drawn(asked, right, _A_CLASS)
    if len(sample) < _FEWEST:
        return
    rows = np.concatenate(list(_rows(asked, layer, sample)))
    if not np.isfinite(rows).all():
        return
    clusters = strategies(rows, seed=asked.seed)
    small = [k for k in range(1, int(clusters.max()) + 1) if FEWEST <= (clusters == k).sum() <= _SMALL * len(rows)]
    if not small:
        return
    own = right.nonzero().squeeze(1).tolist()
    belongs = np.concatenate([_nearest(rows, clusters, some) for some in _rows(asked, layer, own)])
    for k in small:
        present = torch.zeros(len(right), dtype=torch.bool)
        present[torch.tensor(own)[torch.from_numpy(belongs == k)]] = True
        yield k, present


def _rows(asked: Asked, layer: str, places: Sequence[int]) -> Iterator[Float[np.ndarray, "n d"]]:
    for start in range(0, len(places), BATCH):
        pixels = asked.pictures.read(places[start : start + BATCH])
        yield spectra(attended(asked.classifier, pixels, layer))


def attended(classifier: Classifier, pixels: Pixels, layer: str) -> Float[Tensor, "n h w"]:
    """Where what speaks for the answer is, at the pictures' resolution; all of a picture together is 1.

    Raises:
        ModelError: the network fails on the pictures.
    """
    shares = looked_at(classifier, pixels, layer)[1].clamp(min=0)
    spread = F.interpolate(shares[:, None], tuple(pixels.shape[2:]), mode="bilinear", align_corners=False)[:, 0]
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
    return bool(far[inside][:, ~inside].min() > _GAP * np.quantile(nearest, 0.95))


def _nearest(rows: np.ndarray, clusters: np.ndarray, some: np.ndarray) -> Int64[np.ndarray, " m"]:
    from sklearn.metrics import pairwise_distances_argmin

    return clusters[pairwise_distances_argmin(some, rows)]


class _LookedAt:
    """The part of a picture that carries half of what speaks for its answer; of some pictures it is held."""

    def __init__(self, classifier: Classifier, layer: str) -> None:
        self._classifier, self._layer = classifier, layer
        self._held: OrderedDict[View, Bool[np.ndarray, "h w"]] = OrderedDict()

    def __call__(self, view: View) -> Bool[np.ndarray, "h w"]:
        if view not in self._held:
            self._held[view] = self._found(view)
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        return self._held[view]

    def _found(self, view: View) -> Bool[np.ndarray, "h w"]:
        mass = attended(self._classifier, torch.from_numpy(view.pixels)[None], self._layer)[0].numpy()
        order = np.argsort(-mass, axis=None, kind="stable")
        enough = int(np.searchsorted(np.cumsum(mass.ravel()[order]), _MASS * mass.sum())) + 1
        inside = np.zeros(mass.size, bool)
        inside[order[:enough]] = True
        padded = np.pad(inside.reshape(mass.shape), 2)
        return binary_closing(padded, np.ones((3, 3)))[2:-2, 2:-2]


def _cue(asked: Asked, paste: Pasting, label: int, number: int, present: Bool[Tensor, " n"]) -> Cue:
    donors = drawn(asked, present, _DONORS)
    without = drawn(asked, (asked.pictures.truth != label) & ~present, _DONORS)
    views = paste.scenery.views(donors)
    masks = [paste.where(view) for view in views]
    share = on_object(views, paste.where)
    looks = described(views, paste.where, around=share < 0.5)
    own = asked.pictures.truth == label
    name = asked.classifier.labels[label]
    n, of = int(present.sum()), int(own.sum())
    area = float(np.mean([mask.mean() for mask in masks]))
    return Cue(
        id=f"attribution-{number}-{slug(name)}",
        kind="attribution",
        name=looks.name,
        label=label,
        present=present,
        association=(1 + n / of) / 2,
        edit=Pasting(paste.scenery, paste.where, False, donors, without),
        attribution=_MASS / area,
        object_share=share,
        area=area,
        copied=looks.copied,
        evidence=(
            f"{n:,} of {of:,} pictures of {name} are explained alike, and unlike the others: by this part.",
            *looks.evidence,
        ),
        patches=partial(patches_of, asked, paste.scenery, paste.where, donors),
    )
