"""One pass over the pictures: what the network answers, and what each picture is like."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.properties import measured
from cnnaudit.auditing.shards import Columns, Shards, read_columns, write_columns
from cnnaudit.auditing.surveys import Survey
from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ImageError, MethodError, ModelError
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.inspection.last_features import LastFeatures, penultimate
from cnnaudit.perturbation.loop import BatchSize, Loop
from cnnaudit.shapes import Pixels

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many pictures are done, and of how many."""

AXES = 64

_SHARD = 256
_BATCH = 32
_SEED = 64  # of the projection: the same for every network, so that surveys can be compared
_PROPERTY = "property: "


def survey(
    classifier: Classifier, pictures: Pictures, *, cache: Path | None = None, progress: Progress | None = None
) -> Survey:
    """A row for each picture; nothing else is held.

    The last features are what the last linear layer or convolution with a value a class is given; the scores, where
    the network has no such layer. More than 64 of them are projected by a fixed Gaussian matrix, which keeps
    distances to within a few per cent on average (Johnson and Lindenstrauss, 1984).

    A picture that can no longer be read, or to which the network gives scores or features that are not finite, has
    the class -1 and NaN for everything else.

    Args:
        classifier: the network.
        pictures: to go through.
        cache: a folder that keeps what was found of each 256 pictures, so that an interrupted survey goes on where it
            was, to the same numbers; None: nothing is kept.
        progress: told after each batch.

    Raises:
        ModelError: the network fails on the pictures.
        MethodError: memory does not even suffice for one picture.
        OptionError: the cache cannot be written to.
    """
    asked = _Network(classifier)
    shards = None if cache is None else Shards(cache, classifier, f"{asked.layer} {AXES} {_SHARD} {_BATCH} {_SEED}")
    rows, digest = _Rows(len(pictures)), hashlib.sha256()
    for start in range(0, len(pictures), _SHARD):
        places = range(start, min(start + _SHARD, len(pictures)))
        path = None if shards is None else shards.path(pictures, places)
        columns = None if path is None else _kept(path, len(places))
        if columns is None:
            columns = _shard(asked, pictures, places, progress)
            if path is not None:
                write_columns(path, columns)
        rows.put(places, columns)
        digest.update(b"" if path is None else path.name.encode())
        if progress:
            progress(places.stop, len(pictures))
    return rows.survey("" if shards is None else digest.hexdigest())


def _kept(path: Path, rows: int) -> Columns | None:
    columns = read_columns(path)
    return columns if columns and all(len(column) == rows for column in columns.values()) else None


class _Network:
    """Asks a network for scores and last features together, in as large batches as there is memory for."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._features = _last_features(classifier)
        self.layer = None if self._features is None else self._features.layer
        self._batch = BatchSize(_BATCH, _BATCH, settled=True)  # of one size: sums depend on it in their last bits
        self._projection: Tensor | None = None

    def ask(self, pixels: Pixels) -> tuple[Float32[Tensor, "n k"], Float32[Tensor, "n d"]]:
        """The scores, and the features on at most `AXES` axes, on the CPU.

        Raises:
            ModelError, MethodError: as in `survey`.
        """
        loop = Loop(self._batch, self.classifier.device, expected=len(pixels))
        with batch_errors(self.classifier, pixels):
            rows = loop.run(len(pixels), lambda start, stop: self._both(pixels[start:stop]))
        return rows[:, : self.classifier.classes], rows[:, self.classifier.classes :]

    def _both(self, pixels: Pixels) -> Float32[Tensor, "n kd"]:
        if self._features is None:
            scores = self.classifier.scores(pixels).cpu()
            return torch.cat([scores, self._projected(scores)], 1)
        features, scores = self._features.read_bare(pixels)
        return torch.cat([scores, self._projected(features)], 1)

    def _projected(self, features: Float32[Tensor, "n d"]) -> Float32[Tensor, "n e"]:
        width = features.shape[1]
        if width <= AXES:
            return features
        if self._projection is None:
            self._projection = _gaussian(width)
        return features @ self._projection


def _gaussian(width: int) -> Float32[Tensor, "d e"]:
    return torch.randn(width, AXES, generator=torch.Generator().manual_seed(_SEED)) / AXES**0.5


def _last_features(classifier: Classifier) -> LastFeatures | None:
    """What reads them; None where no layer is given a row a picture.

    Raises:
        ModelError: the network fails on two grey pictures.
    """
    grey = torch.full((2, classifier.channels, *classifier.input_size), 0.5)
    with batch_errors(classifier, grey):
        classifier.scores(grey)
    try:
        found = LastFeatures(classifier, penultimate(classifier))
        found.read(grey)
    except (MethodError, ModelError):
        return None
    return found


def _shard(network: _Network, pictures: Pictures, places: range, progress: Progress | None) -> Columns:
    """A few pictures at a time: no more of them are held."""
    rows = _Rows(len(places))
    for start in range(places.start, places.stop, _BATCH):
        some = range(start, min(start + _BATCH, places.stop))
        pixels, readable = _read(pictures, some)
        if readable:
            rows.put([place - places.start for place in readable], _columns(network, pictures, pixels, readable))
        if progress:
            progress(some.stop, len(pictures))
    return rows.columns


def _read(pictures: Pictures, places: Sequence[int]) -> tuple[Pixels, list[int]]:
    """Those of the pictures that can be read, and their places."""
    try:
        return pictures.read(places), list(places)
    except (ImageError, DataError):
        pass
    found: dict[int, Pixels] = {}
    for place in places:
        with suppress(ImageError, DataError):
            found[place] = pictures.read([place])
    return torch.cat(list(found.values())) if found else torch.empty(0), list(found)


def _columns(network: _Network, pictures: Pictures, pixels: Pixels, places: Sequence[int]) -> Columns:
    scores, features = network.ask(pixels)
    bad = ~(scores.isfinite().all(1) & features.isfinite().all(1))
    probabilities = scores.double().softmax(1)
    confidence, predicted = probabilities.max(1)
    truthful = probabilities.gather(1, pictures.truth[list(places)].unsqueeze(1)).squeeze(1)
    found = measured(pixels, [pictures.paths[place] for place in places] if pictures.paths else ())
    return {
        "predicted": predicted.masked_fill(bad, -1).numpy(),
        "confidence": _floats(confidence.masked_fill(bad, torch.nan)),
        "truthful": _floats(truthful.masked_fill(bad, torch.nan)),
        "embeddings": _floats(features.masked_fill(bad.unsqueeze(1), torch.nan)),
        **{f"{_PROPERTY}{name}": _floats(values) for name, values in found.items()},
    }


def _floats(values: Tensor) -> np.ndarray:
    return values.detach().cpu().to(torch.float32).numpy()


class _Rows:
    """A row a picture in every column; what was not found is NaN, a class -1."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.columns: dict[str, np.ndarray] = {
            "predicted": np.full(count, -1, np.int64),
            "confidence": np.full(count, np.nan, np.float32),
            "truthful": np.full(count, np.nan, np.float32),
        }

    def put(self, places: Sequence[int], columns: Columns) -> None:
        for name, values in columns.items():
            if name not in self.columns:
                self.columns[name] = np.full((self._count, *values.shape[1:]), np.nan, np.float32)
            self.columns[name][list(places)] = values

    def survey(self, digest: str) -> Survey:
        found = {name: torch.from_numpy(values) for name, values in self.columns.items()}
        return Survey(
            predicted=found["predicted"],
            confidence=found["confidence"],
            truthful=found["truthful"],
            embeddings=found.get("embeddings", torch.zeros(self._count, 0)),
            properties={
                name.removeprefix(_PROPERTY): values for name, values in found.items() if name.startswith(_PROPERTY)
            },
            digest=digest,
        )
