"""What a network is inspected on: the pictures of a dataset or of a folder, and one photo to follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.data.augmentation import as_pixels
from cnnaudit.data.datasets import DATASETS, FOLDER, Request, dataset
from cnnaudit.data.layout import left_out
from cnnaudit.data.photos import View, photos
from cnnaudit.data.places import default_root
from cnnaudit.data.reading import is_archive
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import NotApplicableError, OptionError
from cnnaudit.inspection.photo_sets import Photos, own_classes
from cnnaudit.pictures import Picture, opened
from cnnaudit.results import Image, ImageFacts
from cnnaudit.shapes import Pixels

Drawn = Callable[[int, int], None]

_SCENES = 600
"""So many are drawn where a dataset can have any number: each takes some ten milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a network is inspected on.

    Attributes:
        name: of the pictures; None where there are none.
        part: the pictures; their classes are indices into the network's labels.
        photos: the same with classes of their own, if they are not the network's, or without.
        labelled: whether every picture's class is known, and one of the network's.
        paths: of the pictures, where each is a file.
        photo: the picture that is followed through the network, `1 c h w`, and what is known of it.
        notes: what the reader must know.
        unread: files that cannot be read, and why.
        classes: the labels of a dataset that has its own.
        split, train: which of a dataset's parts they are, and the one that networks learn from, with the same classes.
    """

    name: str | None = None
    part: Split | Files | None = None
    photos: Photos | None = None
    labelled: bool = False
    paths: tuple[Path, ...] = ()
    photo: Pixels | None = None
    image: ImageFacts | None = None
    notes: tuple[str, ...] = ()
    unread: tuple[tuple[Path, str], ...] = ()
    classes: tuple[str, ...] = ()
    split: str = ""
    train: Split | Files | None = None

    def pixels(self, count: int, classifier: Classifier) -> Pixels:
        """So many of the pictures, or all, evenly spaced: `n c h w` in [0, 1], on the network's device.

        Raises:
            NotApplicableError: there are none.
        """
        if self.part is None:
            raise NotApplicableError("There are no pictures. Give some with --data.")
        places = torch.linspace(0, len(self.part) - 1, min(count, len(self.part))).round().long().tolist()
        return torch.cat([_one(self.part, place) for place in places]).to(classifier.device)


def material(
    classifier: Classifier,
    data: str | Path | Dataset | Split | Files | None,
    photo: Picture | None,
    *,
    data_root: str | Path | None,
    seed: int,
    drawn: Drawn | None,
) -> Material:
    """The pictures, at the network's input size, and the photo: the one that is given, else the first picture.

    Raises:
        OptionError: there is no dataset of this name, or no picture in the folder.
        DataError: a dataset is missing or damaged, or no picture can be read.
        ImageError: the photo cannot be read.
    """
    found = Material()
    if data is not None:
        found = pictures(classifier, data, data_root=data_root, seed=seed, drawn=drawn)
        unread = left_out([path.name for path, _ in found.unread], "unreadable")
        found = replace(found, notes=(*found.notes, *unread), train=None)  # which would stay in memory
    if photo is None and found.paths:
        photo = found.paths[0]
    if photo is not None:
        image, pixels = opened(classifier, photo)
        return replace(found, photo=pixels, image=image.facts)
    if found.part is not None:
        pixels = _one(found.part, 0).to(classifier.device)
        return replace(found, photo=pixels, image=_first(found, pixels))
    return found


def pictures(
    classifier: Classifier,
    data: str | Path | Dataset | Split | Files,
    *,
    data_root: str | Path | None,
    seed: int,
    drawn: Drawn | None,
    scenes: int = _SCENES,
    memory: int = 2 << 30,
) -> Material:
    """The pictures alone.

    Args:
        scenes: so many are drawn where a dataset can have any number.
        memory: bytes of files' pixels up to which all are held.

    Raises:
        OptionError, DataError: as in `material`.
    """
    if isinstance(data, Split | Files):
        return _given(data, classifier)
    if isinstance(data, Dataset):
        return _of_dataset(classifier, data)
    path = folder_of(data)
    if path is not None and not is_archive(path):
        found = photos(path, view_of(classifier), classifier.labels, memory=memory, drawn=drawn)
        shown = found.part if found.labelled else found.paths
        return Material(
            str(data), found.part, shown, found.labelled, found.paths, notes=found.notes, unread=found.unread
        )
    request = Request(
        root=Path(data_root) if data_root is not None else default_root(),
        seed=seed,
        size=classifier.input_size,
        channels=classifier.channels,
        samples=2,
        test_samples=scenes,
        one_test=True,
        drawn=drawn,
    )
    return _of_dataset(classifier, dataset(str(data), request))


def view_of(classifier: Classifier) -> View:
    """How the network's pictures are made of files."""
    return View(classifier.input_size, classifier.resize_size, classifier.interpolation, classifier.channels)


def folder_of(data: str | Path) -> Path | None:
    """The path that `folder:PATH` names, or that a plain path does; the name of a dataset is no path."""
    name = str(data)
    if name.startswith(FOLDER):
        return Path(name.removeprefix(FOLDER)).expanduser()
    path = Path(name).expanduser()
    return path if name not in DATASETS and path.is_dir() else None


def _of_dataset(classifier: Classifier, data: Dataset) -> Material:
    """Its first test, the classes by the network's labels where it has them, else by their number."""
    part = next(iter(data.tests.values())) if data.tests else data.validation
    split, train = next(iter(data.tests), "validation"), None if data.train is part else data.train
    name = data.name if set(data.tests) <= {"test"} else f"{data.name}, test {next(iter(data.tests))!r}"
    if (places := own_classes(classifier, data.labels)) is not None:
        relabelled = _relabelled(part, torch.tensor(places)[part.labels])
        train = train and _relabelled(train, torch.tensor(places)[train.labels])
        return Material(
            name, relabelled, relabelled, True, notes=data.notes, classes=data.labels, split=split, train=train
        )
    if len(data.labels) == classifier.classes:
        return Material(name, part, part, True, notes=data.notes, classes=data.labels, split=split, train=train)
    said = f"the classes of {data.name} are not the network's: no answer to its pictures can be right"
    own = replace(data, tests={"test": part})
    return Material(name, part, own, notes=(*data.notes, said), classes=data.labels)


def _relabelled(part: Split | Files, labels: Tensor) -> Split | Files:
    return replace(part, labels=labels) if isinstance(part, Split) else Files(labels, part.shape, part.__getitem__)


def _given(part: Split | Files, classifier: Classifier) -> Material:
    """A part of a dataset as the caller has it; without classes where one is not the network's.

    Raises:
        OptionError: there is no picture, or they are not the network's.
    """
    if not len(part) or part.shape[0] != classifier.channels:
        raise OptionError(
            f"{len(part)} pictures of {part.shape[0]} channels were given; at least one of {classifier.channels} "
            "is needed."
        )
    labelled = bool(((part.labels >= 0) & (part.labels < classifier.classes)).all())
    shown = part if labelled else _relabelled(part, torch.full_like(part.labels, -1))
    return Material("the pictures given", part, shown, labelled)


def _one(part: Split | Files, place: int) -> Pixels:
    image = part.images[place] if isinstance(part, Split) else part[place]
    return as_pixels(image.unsqueeze(0))


def _first(found: Material, pixels: Pixels) -> ImageFacts:
    array = (pixels[0].permute(1, 2, 0).cpu() * 255).round().byte().numpy()
    return Image(f"the first picture of {found.name}", array, sha256(array.tobytes()).hexdigest()).facts
