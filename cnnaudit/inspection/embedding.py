"""A map of a set of pictures by what the network's last layer is given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ModelError, OptionError, near_matches
from cnnaudit.inspection.failing import grey
from cnnaudit.inspection.last_features import LastFeatures, penultimate
from cnnaudit.inspection.photo_sets import Batch, Photos, PhotoSet, own_classes, photo_set
from cnnaudit.inspection.projections import pca, umap
from cnnaudit.results import Embedding, EmbeddingMethod
from cnnaudit.shapes import Pixels

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and of how many."""

_FEWEST = 3
_THUMBNAIL = 64
_NUMBERS = 1 << 27  # of features that are held; where there are very many a picture, fewer pictures are drawn


def embedding(
    classifier: Classifier,
    photos: Photos,
    *,
    method: EmbeddingMethod = "pca",
    layer: str | None = None,
    classes: Sequence[str | int] | None = None,
    most: int = 1000,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Embedding:
    """Where pictures lie in a plane, by the features that the network's last layer is given.

    Features that are maps are averaged over their places. They are held for the `most` pictures that are
    drawn, whatever the size of the set, and nothing else is.

    Args:
        classifier: the network.
        photos: a dataset (its first test counts) or a part of one at the network's input size, pixels `n c h w`
            in [0, 1], a folder of pictures, or a list of files.
        method: "pca", the plane in which the features vary most; or "umap" (McInnes et al., arXiv 1802.03426),
            which keeps neighbours together and says nothing by its distances.
        layer: the module whose input the features are; by default the last linear layer or convolution
            that returns a value a class.
        classes: the true class of each picture, where `photos` does not say.
        most: so many pictures are drawn at random where there are more.
        batch_size: pictures that the network is given at a time.
        seed: of the draw, and of UMAP.
        progress: told after each batch.

    Returns:
        A point for each picture drawn. The sign of each axis of PCA is such that its largest loading is positive.

    Raises:
        OptionError: an option is out of range, UMAP is not installed, or `photos` is nothing that can be read.
        LayerError: no such layer.
        NotApplicableError: the network has no layer whose input could be taken.
        DataError: fewer than three pictures can be read.
        ModelError: the network fails on the pictures, or its features are not finite.
    """
    _check(method, most, batch_size)
    found = photo_set(classifier, photos, classes)
    reader = LastFeatures(classifier, layer or penultimate(classifier))
    width = reader.read(grey(classifier))[0].shape[1]
    order = found.drawn(max(_FEWEST, min(most, _NUMBERS // width)), seed)
    held = _Held()
    for pixels, places in _batches(found, order, batch_size):
        held.add(*reader.read(pixels), _thumbnails(pixels), places.tolist())
        if progress:
            progress(len(held.places), len(order))
    if len(held.places) < _FEWEST:
        raise DataError(f"A map takes at least {_FEWEST} pictures; {len(held.places)} of {len(found)} can be read.")
    features = torch.cat(held.features)
    if not bool(torch.isfinite(features).all()):
        raise ModelError(f"What {reader.layer!r} is given is not finite for every picture. Are the weights damaged?")
    points, explained = pca(features) if method == "pca" else umap(features, seed)
    return _record(classifier, found, held, reader, method, points, explained)


@dataclass(slots=True)
class _Held:
    """What is kept of the pictures that were read."""

    features: list[Float32[Tensor, "n d"]] = field(default_factory=list)
    logits: list[Float32[Tensor, "n k"]] = field(default_factory=list)
    thumbnails: list[UInt8[np.ndarray, "n h w c"]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, features: Tensor, logits: Tensor, thumbnails: np.ndarray, places: list[int]) -> None:
        self.features.append(features)
        self.logits.append(logits)
        self.thumbnails.append(thumbnails)
        self.places += places


def _check(method: str, most: int, batch_size: int) -> None:
    if method not in get_args(EmbeddingMethod):
        known = get_args(EmbeddingMethod)
        raise OptionError(f"There is no map by {method!r}.{near_matches(method, known)} There is: {', '.join(known)}.")
    if most < _FEWEST or batch_size < 1:
        raise OptionError(f"most is at least {_FEWEST}, and batch_size at least 1; got {most} and {batch_size}.")


def _batches(found: PhotoSet, order: Tensor, size: int) -> Iterator[Batch]:
    return found.batches(order, size) if len(order) else iter(())


def _thumbnails(pixels: Pixels) -> UInt8[np.ndarray, "n h w c"]:
    """At most 64 pixels a side; signals and small pictures stay as they are."""
    height, width = pixels.shape[2:]
    scale = _THUMBNAIL / max(height, width)
    if scale < 1 and height > 1:
        size = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
    return pixels.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def _record(
    classifier: Classifier,
    found: PhotoSet,
    held: _Held,
    reader: LastFeatures,
    method: EmbeddingMethod,
    points: Float32[np.ndarray, "n 2"],
    explained: tuple[float, float] | None,
) -> Embedding:
    confidences, chosen = torch.cat(held.logits).double().softmax(1).max(1)
    answers = chosen.tolist()
    truth = None if found.truth is None else [found.truth[place] for place in held.places]
    own = own_classes(classifier, found.labels)
    return Embedding(
        method=method,
        layer=reader.layer,
        features=held.features[0].shape[1],
        pooled=reader.pooled,
        total=len(found),
        indices=tuple(held.places),
        names=tuple(found.names[place] for place in held.places) if found.names else (),
        points=points,
        explained=explained,
        classes=None if truth is None else tuple(found.labels[k] for k in truth),
        answers=tuple(classifier.labels[k] for k in answers),
        confidences=tuple(confidences.tolist()),
        mistakes=None
        if truth is None or own is None
        else tuple(own[k] != a for k, a in zip(truth, answers, strict=True)),
        thumbnails=np.concatenate(held.thumbnails),
        unread=tuple(found.unread),
    )
