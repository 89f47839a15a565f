"""Where the files of datasets lie, how they are fetched, and what to say when they cannot be had."""

import os
from collections.abc import Iterable
from pathlib import Path

from cnnaudit.data.splits import Request
from cnnaudit.download import fetch, file_name
from cnnaudit.errors import CnnAuditError, DataError


def cache_folder() -> Path:
    """`cnnaudit` in the user's cache: XDG_CACHE_HOME, else `~/.cache`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "cnnaudit"


def default_root() -> Path:
    """Where datasets lie unless another folder is named."""
    return cache_folder() / "datasets"


def root_of(request: Request) -> Path:
    """The folder that holds datasets, as asked for or by default."""
    return default_root() if request.root is None else request.root.expanduser()


def is_file(path: Path) -> bool:
    """Whether there is a file, as far as can be told."""
    try:
        return path.is_file()
    except OSError:  # a parent that may not be entered
        return False


def fetched(url: str, folder: Path, md5: str, request: Request) -> Path:
    """The file behind a URL, in `folder`; downloaded if it is missing.

    Raises:
        DataError: it cannot be fetched, or the one that is there is damaged.
    """
    drawn = request.drawn

    def progress(done: int, total: int | None) -> None:
        if drawn and total:
            drawn(done, total)

    try:
        return fetch(url, folder, checksum=f"md5:{md5}", progress=progress)
    except CnnAuditError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"{folder / file_name(url)} cannot be read ({error.strerror}).") from error


def missing(title: str, expected: str, looked: Iterable[Path], reason: str) -> DataError:
    """The error for a dataset that is not here: what is expected, every path that was looked at, what to do."""
    return DataError(
        f"{title} is not here, and {reason}. Expected: {expected}, in one of: {', '.join(map(str, looked))}. "
        "Put the files there, or name the folder that holds them with --data-root DIR."
    )
