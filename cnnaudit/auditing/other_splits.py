"""The splits beside the audited one: folders beside it, or the part of a dataset that networks learn from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cnnaudit.auditing.pictures import Others, Pictures
from cnnaudit.data.finding import find_images
from cnnaudit.data.photos import View, held_out_folder, told
from cnnaudit.data.splits import Files, Split
from cnnaudit.errors import OptionError

_SPLITS = ("train", "val", "valid", "validation", "test")


def with_folders(found: Pictures, root: Path, labels: Sequence[str], view: View) -> Pictures:
    """With the splits whose folders lie beside the audited one, if this is a split; `root` is it, or holds it."""
    audited = held_out_folder(root)
    if audited == root and root.resolve().name.lower() not in _SPLITS:
        return found
    above = audited.resolve().parent
    beside = sorted(each for each in above.iterdir() if each.is_dir() and each.name.lower() in _SPLITS)
    others = [_of_folder(each, labels, view) for each in beside if each != audited.resolve()]
    return replace(found, split=audited.resolve().name, others=tuple(each for each in others if each is not None))


def with_train(found: Pictures, train: Split | Files | None, part: Split | Files, split: str) -> Pictures:
    """With the part of a dataset that networks learn from, its classes being the network's."""
    if train is None or train is part or train.shape != part.shape:
        return replace(found, split=split)
    names = tuple(f"train {place}" for place in range(len(train)))
    read = train.images.__getitem__ if isinstance(train, Split) else train.__getitem__
    return replace(found, split=split, others=(Others("train", names, train.labels.cpu(), read),))


def _of_folder(folder: Path, labels: Sequence[str], view: View) -> Others | None:
    try:
        paths = find_images([folder])
    except OptionError:  # it holds no picture
        return None
    names = tuple(path.relative_to(folder.parent).as_posix() for path in paths)
    return Others(folder.name, names, torch.tensor(told(paths, labels)), lambda place: view.read(paths[place]))
