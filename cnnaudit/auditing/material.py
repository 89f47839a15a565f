"""What is audited: the pictures of a folder, a table or a dataset, with the network's own classes."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from cnnaudit.auditing.masks import with_masks
from cnnaudit.auditing.other_splits import with_folders, with_train
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.classifier import Classifier
from cnnaudit.data.archive import SUFFIXES
from cnnaudit.data.augmentation import as_pixels
from cnnaudit.data.datasets import FOLDER
from cnnaudit.data.listing import listing
from cnnaudit.data.photos import UNKNOWN, by_name, folded, gathered, told
from cnnaudit.data.splits import Dataset, Drawn, Files, Split
from cnnaudit.errors import DataError, OptionError, near_matches
from cnnaudit.inspecting.material import Material, folder_of, pictures, view_of
from cnnaudit.results import ImageFailure
from cnnaudit.shapes import Pixels

Found: TypeAlias = tuple[Pictures, tuple[ImageFailure, ...], tuple[str, ...]]
"""The pictures, those that cannot be read, and what the reader must know."""

_SCENES = 2000
_MEMORY = 256 << 20  # bytes of pictures up to which all are held
_KEPT = 128  # pictures that are kept of those read from files
_THREADS = 4
_NAMED = 3


def pictures_of(
    classifier: Classifier,
    data: str | Path | Dataset | Split | Files,
    *,
    data_root: str | Path | None = None,
    masks: str | Path | None = None,
    seed: int = 0,
    drawn: Drawn | None = None,
) -> Found:
    """The pictures to audit, as the network sees them, with their classes.

    Args:
        classifier: the network.
        data: a folder a class, or pictures whose names tell their classes (of `test/` or `val/`, that alone); a CSV
            file with columns `path` and `label`, the others being what else is known of each; the name of a dataset
            (its first test; 2,000 scenes where any number can be drawn); a dataset or a part of one.
        data_root: the folder that holds datasets; by default the cache.
        masks: a folder with a mask a picture, as `with_masks` says.
        seed: of drawn pictures.
        drawn: told of the progress.

    Returns:
        The pictures; those that cannot be read; and notes. Where files are too many for memory, those are found
        only when they are read.

    Raises:
        OptionError: there is no dataset of this name, no picture in the folder, or the pictures are not at the
            network's input size.
        DataError: a label is none of the network's, a table is malformed, or no picture can be read.
    """
    if not isinstance(data, str | Path | Dataset | Split | Files):
        raise OptionError(
            f"An audit takes a folder, a CSV file, a dataset's name or a dataset; got {type(data).__name__}."
        )
    table = _table(data)
    if table is not None:
        found = _of_table(classifier, table, drawn)
    else:
        _refuse_archive(data)
        given = pictures(classifier, data, data_root=data_root, seed=seed, drawn=drawn, scenes=_SCENES, memory=_MEMORY)
        found = _of_material(classifier, data, given)
    if masks is None:
        return found
    seen, failures, notes = found
    masked, without = with_masks(seen, Path(masks).expanduser(), view_of(classifier))
    return masked, (*failures, *without), notes


def _table(data: str | Path | Dataset | Split | Files) -> Path | None:
    if isinstance(data, str | Path) and str(data).lower().endswith(".csv"):
        return Path(str(data)).expanduser()
    return None


def _refuse_archive(data: str | Path | Dataset | Split | Files) -> None:
    if isinstance(data, str | Path) and str(data).lower().endswith(SUFFIXES):
        name = str(data).removeprefix(FOLDER)
        raise OptionError(f"{name} is an archive, and an audit looks at its files again and again. Unpack it first.")


def _of_table(classifier: Classifier, path: Path, drawn: Drawn | None) -> Found:
    table = listing(path)
    known = by_name(classifier.labels)
    classes = [_class(classifier, label, known) for label in table.labels]
    unknown = [(line, label) for line, label, k in zip(table.lines, table.labels, classes, strict=True) if k is None]
    if unknown:
        raise _unknown(classifier, f"{path}, line {unknown[0][0]}", [label for _, label in unknown])
    truth = [k for k in classes if k is not None]
    found = gathered(table.paths, truth, view_of(classifier), where=str(path), memory=_MEMORY, drawn=drawn)
    seen = Pictures(
        name=str(path),
        names=tuple(table.names[place] for place in found.places),
        truth=found.part.labels,
        read=_reader(found.part),
        paths=found.paths,
        columns={name: tuple(values[place] for place in found.places) for name, values in table.columns.items()},
    )
    names = dict(zip(table.paths, table.names, strict=True))
    return seen, tuple(ImageFailure(names[broken], reason) for broken, reason in found.unread), ()


def _class(classifier: Classifier, label: str, known: Mapping[str, int]) -> int | None:
    """By name, else by number."""
    if label in classifier.labels:
        return classifier.labels.index(label)
    if folded(label) in known:
        return known[folded(label)]
    return int(label) if label.isdecimal() and int(label) < classifier.classes else None


def _of_material(classifier: Classifier, data: str | Path | Dataset | Split | Files, given: Material) -> Found:
    part, notes = given.part, given.notes
    if part is None or not len(part):
        raise DataError(f"{given.name} holds no picture. Give other pictures.")
    root, truth = folder_of(data) if isinstance(data, str | Path) else None, part.labels.cpu()
    if root is not None:
        truth, said = _by_folder(classifier, root, given, truth)
        notes = (*notes, *said)
    else:
        _check_classes(classifier, given)
    wanted = (classifier.channels, *classifier.input_size)
    if part.shape != wanted:
        raise OptionError(
            f"The pictures of {given.name} are {_size(part.shape)} (channels, height, width); the network takes "
            f"{_size(wanted)}. Give pictures of this size, or the network another input_size."
        )
    names = tuple(_below(root, path) for path in given.paths) or tuple(map(str, range(len(part))))
    failures = tuple(ImageFailure(_below(root, path), reason) for path, reason in given.unread)
    found = Pictures(str(given.name), names, truth, _reader(part), given.paths)
    if root is not None:
        found = with_folders(found, root, classifier.labels, view_of(classifier))
    elif given.train is not None:
        found = with_train(found, given.train, part, given.split)
    return found, failures, notes


def _by_folder(
    classifier: Classifier, root: Path, given: Material, truth: Int64[Tensor, " n"]
) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    """The classes, and a note where the folders, by number or in order, are those of a network with nameless labels.

    Raises:
        DataError: the names are not the network's labels, and these say something.
    """
    classes = told(given.paths, classifier.labels)
    nameless = [path for path, k in zip(given.paths, classes, strict=True) if k == UNKNOWN]
    if given.labelled and not nameless:
        return truth, ()
    nothing = _says_nothing(classifier)
    folders = sorted({_below(root, path.parent) for path in given.paths})
    if given.labelled and nothing:
        shown = ", ".join(folders[:_NAMED]) + ", …" * (len(folders) > _NAMED)
        return truth, (f"the network's labels say nothing: the folders, in order, are taken for its classes ({shown})",)
    names = [path.parent.name for path in given.paths]
    if nothing and all(name.isdecimal() and int(name) < classifier.classes for name in names):
        said = "the network's labels say nothing: the names of the folders are taken for the numbers of its classes"
        return torch.tensor([int(name) for name in names]), (said,)
    alone = len({path.parent for path in nameless}) == 1
    raise _unknown(classifier, str(root), [path.name if alone else path.parent.name for path in nameless])


def _check_classes(classifier: Classifier, given: Material) -> None:
    """Nothing, if the classes are the network's, by name, or by number where the names of either say nothing.

    Raises:
        DataError: they are not.
    """
    if not given.classes and not given.labelled:
        raise DataError(
            f"{given.name} have classes that {classifier.name} does not have; it has 0 to {classifier.classes - 1}."
        )
    others = [label for label in given.classes if label not in classifier.labels]
    by_number = _says_nothing(classifier) or all(label.isdecimal() for label in given.classes)
    if others and not (given.labelled and by_number):
        raise _unknown(classifier, str(given.name), others)


def _says_nothing(classifier: Classifier) -> bool:
    return classifier.labels == tuple(f"class {k}" for k in range(classifier.classes))


def _unknown(classifier: Classifier, where: str, labels: Sequence[str]) -> DataError:
    """The error for labels that the network does not have."""
    found = list(dict.fromkeys(labels))
    shown = ", ".join(map(repr, found[:_NAMED])) + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")
    has = ", ".join(map(repr, classifier.labels[:_NAMED])) + ", …" * (classifier.classes > _NAMED)
    return DataError(
        f"{where}: {shown} {'is no class' if len(found) == 1 else 'are no classes'} of {classifier.name}, which has "
        f"{has}.{near_matches(found[0], classifier.labels)} Rename them, or give the network their names with --labels."
    )


def _below(root: Path | None, path: Path) -> str:
    return path.relative_to(root).as_posix() if root is not None and path.is_relative_to(root) else str(path)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _reader(part: Split | Files) -> Callable[[Sequence[int]], Pixels]:
    """Makes pixels of some of the pictures; of those in files, the last ones are kept."""
    if isinstance(part, Split):
        return lambda places: as_pixels(part.images[list(places)]).float().cpu()
    one = lru_cache(_KEPT)(part.__getitem__)

    def read(places: Sequence[int]) -> Pixels:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="cnnaudit-audit") as pool:
            images: list[Tensor] = list(pool.map(one, places))
        return as_pixels(torch.stack(images)).float() if images else torch.zeros(0, *part.shape)

    return read
