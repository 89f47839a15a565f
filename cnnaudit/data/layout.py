"""What the folders of a picture collection mean: splits, classes, and what belongs to none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cnnaudit.errors import DataError

Parts: TypeAlias = tuple[str, ...]
"""A file's name inside a folder or an archive: its folders, then its own name."""

_VALIDATION = ("val", "valid", "validation")
_SPLITS = {"train": "train", **dict.fromkeys(_VALIDATION, "validation"), "test": "test"}
_EXPECTED = "Expected: one folder of pictures a class, or train/ and val/ with one folder a class each."
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Where every picture belongs.

    Attributes:
        labels: the classes, in sorted order.
        members: for "train", and "validation" and "test" where there are any, the index of each picture
            among those that were given, and of its class.
        notes: what was left out.
    """

    labels: tuple[str, ...]
    members: Mapping[str, tuple[tuple[int, int], ...]]
    notes: tuple[str, ...]


def layout(pictures: Sequence[Parts], folders: Iterable[Parts], where: str) -> Layout:
    """One folder a class, or `train/`, `val/` and `test/` with one folder a class each; in an outer folder or not.

    Args:
        folders: all that there are, so that a class without a picture is noticed.
        where: they lie, for the errors.

    Raises:
        DataError: they lie in no such way, there are fewer than two classes, one has no picture, or the
            splits differ in their classes.
    """
    outer = _outer(pictures)
    split_of = _splits({parts[len(outer)] for parts in pictures if len(parts) > len(outer) + 1}, where)
    classes: dict[str, dict[str, list[int]]] = {"train": {}}
    strays: list[str] = []
    for index, parts in _entries(pictures, folders, outer):
        split = split_of.get(parts[0], "") if split_of else "train"
        inside = parts[1:] if split_of else parts
        if split and len(inside) > 1:
            classes.setdefault(split, {}).setdefault(inside[0], []).extend([] if index is None else [index])
        elif index is not None:
            strays.append("/".join(pictures[index]))
    labels = _labels(classes, where)
    members = {
        split: tuple((index, k) for k, label in enumerate(labels) for index in found[label])
        for split, found in classes.items()
    }
    return Layout(labels, members, left_out(strays, "outside every class folder"))


def _outer(pictures: Sequence[Parts]) -> Parts:
    """The folders that hold everything: while all is in one, and there are folders in it."""
    outer: Parts = ()
    while True:
        inside = [parts for parts in pictures if parts[: len(outer)] == outer and len(parts) > len(outer) + 1]
        tops = {parts[len(outer)] for parts in inside}
        if len(tops) != 1 or max(map(len, inside)) < len(outer) + 3:
            return outer
        outer = (*outer, *tops)


def _entries(pictures: Sequence[Parts], folders: Iterable[Parts], outer: Parts) -> Iterator[tuple[int | None, Parts]]:
    """Names below `outer` with the picture's index; folders as if they held a file without a name, and no index."""
    deep = len(outer)
    for index, parts in enumerate(pictures):
        yield index, parts[deep:] if parts[:deep] == outer and len(parts) > deep else ("",)
    for parts in folders:
        if parts[:deep] == outer and len(parts) > deep:
            yield None, (*parts[deep:], "")


def _splits(tops: set[str], where: str) -> dict[str, str]:
    """The split that each top folder is; empty where the top folders are classes."""
    known = {top: _SPLITS[top.lower()] for top in sorted(tops) if top.lower() in _SPLITS}
    if "train" not in known.values():
        if tops and len(known) == len(tops):
            raise DataError(f"{where} has {_folders(known)} but no train/. {_EXPECTED}")
        return {}
    if len(known) < len(tops) and len(known) > 1:
        others = sorted(tops - known.keys())
        raise DataError(f"{where} has {_folders(known)}, but also {_folders(others)}. {_EXPECTED} Move them out of it.")
    if len(set(known.values())) < len(known):
        raise DataError(f"{where} has {_folders(known)}, of which two mean the same. {_EXPECTED}")
    return known if len(known) == len(tops) else {}


def _folders(names: Iterable[str]) -> str:
    listed = [f"{name}/" for name in names]
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")


def _labels(classes: Mapping[str, Mapping[str, Sequence[int]]], where: str) -> tuple[str, ...]:
    """The classes of the training pictures, once every split is known to have them, and no others."""
    labels = tuple(sorted(classes["train"]))
    if len(labels) < 2:
        raise DataError(f"{where} has {_folders(labels) or 'no class folder'}; two or more are needed. {_EXPECTED}")
    empty = [label for label in labels if not classes["train"][label]]
    if empty:
        raise DataError(f"{where}: {_folders(empty)} holds no picture. Add some, or remove the folder.")
    for split, found in classes.items():
        filled = {label for label, indices in found.items() if indices}
        absent, extra = sorted(set(labels) - filled), sorted(filled - set(labels))
        if absent or extra:
            lacks = f" lacks pictures of {_folders(absent)}" if absent else ""
            has = f" has {_folders(extra)}, which training lacks" if extra else ""
            raise DataError(f"{where}: the {split} split{lacks}{' and' * bool(lacks and has)}{has}. {_EXPECTED}")
    return labels


def left_out(names: Sequence[str], why: str) -> tuple[str, ...]:
    """A note on the pictures that are left out, if there are any, with the names of the first."""
    if not names:
        return ()
    more = ", …" if len(names) > _NAMED else ""
    count = "1 picture is" if len(names) == 1 else f"{len(names):,} pictures are"
    return (f"{count} left out, {why}: {', '.join(names[:_NAMED])}{more}",)
