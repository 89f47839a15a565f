"""Tar archives of pictures, read once from front to back; nothing is unpacked to disk."""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from cnnaudit.data.layout import Parts
from cnnaudit.data.splits import Drawn
from cnnaudit.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz")

_BIGGEST = 1 << 28  # bytes of one file: more is cut off, and no picture


def members(
    path: Path, wanted: Callable[[Parts], bool], drawn: Drawn | None = None
) -> Iterator[tuple[Parts, bytes | None]]:
    """Folders (None) and the wanted regular files (their bytes) of a tar or tar.gz, in its order.

    Links, devices, and names that are absolute or lead upwards are passed over.

    Raises:
        DataError: it cannot be opened, or is damaged.
    """
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
            size = path.stat().st_size
            for member in tar:
                parts = _inside(member.name)
                if parts and member.isdir():
                    yield parts, None
                elif parts and member.isreg() and wanted(parts):
                    content = tar.extractfile(member)
                    yield parts, content.read(min(member.size, _BIGGEST)) if content else b""
                    if drawn:
                        drawn(stream.tell(), size)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read as a tar archive ({error}). Fetch or pack it again.") from error


def _inside(name: str) -> Parts:
    """The parts of a relative name; none for `..` and what is absolute."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    return () if name.startswith("/") or ".." in parts else parts
