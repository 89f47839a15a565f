"""What was found so far, kept on disk a shard at a time, so that an interrupted audit can go on."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

import cnnaudit
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ImageError, ModelError, OptionError
from cnnaudit.files import replacing
from cnnaudit.inspection.failing import batch_errors

Columns: TypeAlias = Mapping[str, np.ndarray]
"""Arrays by name; of a pass over pictures, a row a picture in each."""

_FORMAT = 1
_NOISE = 13  # seed of the pictures that a network is known by


class Shards:
    """Where a pass over pictures is kept: by their content. What has changed is found anew, and nothing else.

    Args:
        folder: where they lie; it is made when it is missing.
        settings: that they depend on, besides the network and its geometry.
    """

    def __init__(self, folder: Path, classifier: Classifier, settings: str) -> None:
        self._folder = folder
        self._settings = _digest(classifier, settings)

    def path(self, pictures: Pictures, places: range) -> Path:
        """Of the shard for these pictures."""
        digest = self._settings.copy()
        for place in places:
            digest.update(_content(pictures, place))
            digest.update(f"{int(pictures.truth[place])};".encode())
        return self._folder / f"survey-{digest.hexdigest()[:40]}.npz"


def read_columns(path: Path) -> Columns | None:
    """What is kept there; None if that is nothing, or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files} or None
    except Exception:  # a damaged archive fails in many ways, and all mean that it is made anew
        return None


def write_columns(path: Path, columns: Columns) -> None:
    """Keep it, all or nothing.

    Raises:
        OptionError: the folder cannot be written to.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)
    except OSError as error:
        raise OptionError(
            f"{path.parent} cannot keep what was found so far ({error.strerror}). Name another folder, or none."
        ) from error


def _digest(classifier: Classifier, settings: str) -> Any:
    """Of all that the answers depend on but the pictures."""
    facts = classifier.facts()
    seen = (facts.sha256, facts.input_size, facts.mean, facts.std, facts.resize_size, facts.interpolation)
    where = (classifier.device.type, str(classifier.dtype), cnnaudit.__version__, _FORMAT, settings)
    digest = hashlib.sha256(repr((seen, where)).encode())
    digest.update(repr(classifier.network).encode())  # strides and the like are in no weight
    digest.update(_answers(classifier))  # and what a forward calls is in neither
    return digest


def _answers(classifier: Classifier) -> bytes:
    """The network's scores for two fixed pictures of noise.

    What it raises on them tells it from others as well: whether it fails on the pictures, the pass itself will say.
    """
    noise = torch.rand(2, classifier.channels, *classifier.input_size, generator=torch.Generator().manual_seed(_NOISE))
    try:
        with batch_errors(classifier, noise):
            return classifier.scores(noise).float().cpu().numpy().tobytes()
    except ModelError as error:
        return str(error).encode()


def _content(pictures: Pictures, place: int) -> bytes:
    """A digest of the file, where there is one, else of the pixels."""
    try:
        if not pictures.paths:
            return hashlib.sha256(pictures.read([place]).contiguous().numpy().tobytes()).digest()
        with pictures.paths[place].open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ImageError, DataError):
        return b"unreadable"
