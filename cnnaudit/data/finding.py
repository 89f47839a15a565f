"""Which pictures are meant by files, folders and glob patterns."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from cnnaudit.errors import OptionError

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def find_images(arguments: Sequence[str | Path]) -> list[Path]:
    """The pictures that files, folders and glob patterns (`**` included) name, each once, in a stable order.

    Folders are read with their subfolders, in natural order (`2.png` before `10.png`), by `SUFFIXES`;
    hidden files are passed over. A path that exists is never taken for a pattern, and a named file is
    kept whatever its suffix, even when it is missing: reading it then says so.

    Raises:
        OptionError: a folder or pattern without a picture, or a folder that cannot be listed.
    """
    given = [arguments] if isinstance(arguments, str | Path) else arguments
    found: dict[str, Path] = {}
    for argument in given:
        for path in _expand(argument):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _expand(argument: str | Path) -> list[Path]:
    """The pictures that one argument stands for."""
    path = Path(argument)
    if _is_folder(path):
        kind, pictures = "folder", _walk(path)
    elif glob.has_magic(str(argument)) and not os.path.lexists(path):
        kind, pictures = "pattern", _matches(str(argument))
    else:
        return [path]
    if not pictures:
        raise OptionError(
            f"the {kind} {str(argument)!r} holds no picture; expected files named "
            f"{', '.join(sorted('*' + suffix for suffix in SUFFIXES))}"
        )
    return pictures


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or a parent that may not be entered
        return False


def _matches(pattern: str) -> list[Path]:
    """The pictures that a pattern matches, and those in the folders it matches."""
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    matches = [Path(match) for match in found]
    pictures = [path for path in matches if is_picture(path)]
    inside = [path for folder in matches if _is_folder(folder) for path in _walk(folder)]
    return sorted({*pictures, *inside}, key=natural)


def _walk(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders; links to folders are not followed."""
    pictures: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures += [Path(parent, name) for name in names if is_picture(Path(name))]
    return sorted(pictures, key=natural)


def _cannot_list(error: OSError) -> None:
    raise OptionError(f"the folder {error.filename!r} cannot be listed ({error.strerror})") from error


def is_picture(path: PurePath) -> bool:
    """Whether a name is a picture's, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def natural(path: PurePath) -> tuple[list[list[str | int]], str]:
    """A key that sorts numbers in names by value; text and numbers alternate, so like is compared with like."""
    parts = [re.split(r"([0-9]+)", part.casefold()) for part in path.parts]
    return [[int(t) if i % 2 else t for i, t in enumerate(part)] for part in parts], str(path)
