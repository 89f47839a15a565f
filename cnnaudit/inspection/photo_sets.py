"""Pictures from whatever a person has (a dataset, pixels, files, a folder), drawn at random and read in batches."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.data.augmentation import as_pixels
from cnnaudit.data.finding import find_images
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import DataError, ImageError, OptionError
from cnnaudit.pictures import Picture, opened
from cnnaudit.shapes import Pixels
from cnnaudit.training.batches import feed, parts

Photos: TypeAlias = Dataset | Split | Files | Tensor | str | Path | Sequence[Picture]
"""A dataset (its first test counts) or a part of one, pixels `n c h w` in [0, 1], a folder or files."""

Batch: TypeAlias = tuple[Pixels, Int64[Tensor, " n"]]
"""Pictures on the network's device, and their places in the set, on the CPU."""


def own_classes(classifier: Classifier, labels: Sequence[str]) -> list[int] | None:
    """For each label the network's class that it names; None where one names none, or one of several.

    The same labels in the same order are the same classes, also where two of them read alike.
    """
    if tuple(labels) == classifier.labels:
        return list(range(len(labels)))
    counts = Counter(classifier.labels)
    unique = len(set(labels)) == len(labels) and all(counts[label] == 1 for label in labels)
    return [classifier.labels.index(label) for label in labels] if unique else None


class PhotoSet(ABC):
    """Pictures that can be gone through in any order, and what is known of them.

    Attributes:
        names: of files; empty where pictures have none.
        truth: the class of each, an index into `labels`; None where it is not known.
        labels: of the classes.
        comparable: whether these are the network's own classes.
        unread: files that could not be read so far, with the reason.
    """

    names: Sequence[str] = ()
    truth: Sequence[int] | None = None
    labels: tuple[str, ...] = ()
    comparable: bool = True

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.labels = classifier.labels
        self.unread: list[str] = []

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """The pictures that `order` names, at most `size` at a time; those that cannot be read are passed over."""

    def fitting(self, size: int) -> int:
        """So many at a time, or one where the network takes no more."""
        return 1 if self._classifier.one_at_a_time else size

    def drawn(self, most: int, seed: int) -> Tensor:
        """The places of all pictures, or of `most` of them at random, in rising order."""
        if len(self) <= most:
            return torch.arange(len(self))
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:most].sort().values


class _Part(PhotoSet):
    """A part of a dataset, its classes those of the network unless other labels are given; -1 is not known."""

    def __init__(self, classifier: Classifier, part: Split | Files, labels: tuple[str, ...] | None = None) -> None:
        super().__init__(classifier)
        self._part = part
        self.truth = None if bool((part.labels == -1).all()) else part.labels.tolist()
        self.labels = labels or classifier.labels
        self.comparable = own_classes(classifier, self.labels) is not None
        if self.truth and not 0 <= min(self.truth) <= max(self.truth) < len(self.labels):
            raise OptionError(
                f"The pictures have classes up to {max(self.truth)}; there are {len(self.labels)} labels. "
                "Give the Dataset itself, which has labels of its own."
            )

    def __len__(self) -> int:
        return len(self._part)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `PhotoSet` says."""
        size = self.fitting(size)
        places = order.split(parts(len(order), size))
        batches = feed(self._part, self._classifier.device).batches(order, size)
        for (images, _), chosen in zip(batches, places, strict=True):
            yield as_pixels(images), chosen


class _Tensor(PhotoSet):
    """Pixels in memory."""

    def __init__(self, classifier: Classifier, pixels: Tensor) -> None:
        super().__init__(classifier)
        floating = pixels.is_floating_point() and bool(((pixels >= 0) & (pixels <= 1)).all())
        if pixels.ndim != 4 or pixels.shape[1] != classifier.channels or not floating:
            raise OptionError(
                f"Pixels are floating-point pictures (n, {classifier.channels}, height, width) in [0, 1]; got "
                f"{tuple(pixels.shape)}, {pixels.dtype}."
            )
        if not len(pixels):
            raise DataError("There is no picture: the pixels are empty. Give at least one.")
        self._pixels = pixels.detach()

    def __len__(self) -> int:
        return len(self._pixels)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `PhotoSet` says."""
        for chosen in order.split(self.fitting(size)):
            yield self._pixels[chosen].to(self._classifier.device, torch.float32), chosen


class _Pictures(PhotoSet):
    """Files, or whatever else `explain` takes for a picture."""

    def __init__(self, classifier: Classifier, pictures: Sequence[Picture]) -> None:
        super().__init__(classifier)
        self._pictures = pictures
        self.names = tuple(Path(each).name if isinstance(each, str | Path) else "" for each in pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """As `PhotoSet` says."""
        for chosen in order.split(self.fitting(size)):
            read = {place: pixels for place in chosen.tolist() if (pixels := self._read(place)) is not None}
            if len(sizes := {tuple(pixels.shape[2:]) for pixels in read.values()}) > 1:
                raise OptionError(
                    f"The pixels of the pictures are of {len(sizes)} sizes, {sorted(sizes)}. Give them all one size, "
                    "or files, which are resized."
                )
            if read:
                yield torch.cat(list(read.values())), torch.tensor(list(read))

    def _read(self, place: int) -> Pixels | None:
        try:
            return opened(self._classifier, self._pictures[place])[1]
        except ImageError as error:
            self.unread.append(str(error))
            return None


def photo_set(classifier: Classifier, photos: Photos, classes: Sequence[str | int] | None = None) -> PhotoSet:
    """The pictures, with their classes where these are known or given (by label or index, one a picture).

    Raises:
        OptionError: they are nothing that can be gone through, or the classes do not suit them.
        DataError: a dataset without a test.
    """
    found = _found(classifier, photos)
    if classes is not None:
        if len(classes) != len(found):
            raise OptionError(f"{len(classes)} classes were given for {len(found)} pictures; give one each.")
        found.truth = [classifier.index(each) for each in classes]
        found.labels, found.comparable = classifier.labels, True
    return found


def _found(classifier: Classifier, photos: Photos) -> PhotoSet:
    if isinstance(photos, Dataset):
        if not photos.tests:
            raise DataError(f"{photos.name} has no test. Give its train or validation part.")
        nameless = classifier.labels == tuple(f"class {k}" for k in range(len(photos.labels)))
        return _Part(classifier, next(iter(photos.tests.values())), None if nameless else photos.labels)
    if isinstance(photos, Split | Files):
        return _Part(classifier, photos)
    if isinstance(photos, Tensor):
        return _Tensor(classifier, photos)
    if isinstance(photos, str | Path):
        return _Pictures(classifier, find_images([photos]))
    if isinstance(photos, Sequence):
        return _Pictures(classifier, photos)
    raise OptionError(
        f"Pictures are a dataset, a part of one, pixels, a folder or a list of files; got {type(photos).__name__}."
    )
