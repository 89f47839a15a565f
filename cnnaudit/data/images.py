"""Reading pictures: any common file in, upright 8-bit pixels out, or an error that names the file.

Nothing is decoded before the header's size has passed the limit, and only the formats in `FORMATS`
are ever handed to Pillow: its other readers (PostScript, Photoshop, …) never see the bytes.
Colour profiles are not applied: networks are trained on pixels read without them.
"""

import glob
import hashlib
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from cnnaudit.data._decoding import DAMAGE, RGB, channels_last, decode, eight_bits, frame_notes
from cnnaudit.errors import ImageError, ImageTooLargeError, OptionError, near_matches
from cnnaudit.results import Image
from cnnaudit.shapes import Photo

Background: TypeAlias = Literal["white", "black", "grey"] | RGB
"""What shows through transparent areas: a name, or red, green and blue from 0 to 255."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 64_000_000

_BACKGROUNDS: dict[str, RGB] = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}

_SIGNATURES = (  # (offset, first bytes, what it is)
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"version https://git-lfs", "a Git LFS pointer (the picture itself was not fetched)"),
    (0, b"<", "HTML, XML or SVG text"),
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyp", "a HEIC picture or a film"),
    (4, b"jP  ", "a JPEG 2000 picture"),
)


def read_image(path: str | Path, *, background: Background = "white", max_pixels: int = MAX_PIXELS) -> Image:
    """The picture in a file: its first frame, upright, uint8 `h w c`, 1 channel if grey and else 3.

    16-bit values are scaled by 255 / 65535 (colour: the low byte is dropped), float ones from [0, 1];
    transparency is laid on `background`. What changed the pixels is said in the result's `notes`.

    Args:
        max_pixels: limit on height times width, checked before anything is decoded.

    Raises:
        ImageTooLargeError: more than `max_pixels`.
        ImageError: missing, not a picture, damaged, or of a kind that has no 8-bit meaning.
        OptionError: `background` or `max_pixels` is malformed.
    """
    path, fill = Path(path), _fill(background)
    if not isinstance(max_pixels, int) or max_pixels < 1:
        raise OptionError(f"max_pixels is {max_pixels!r}; give a whole number of pixels, at least 1")
    with _opened(path) as stream:
        head = stream.read(64)
        with _translated(str(path), head, max_pixels), _QUIET:
            image = Pillow.open(stream, formats=FORMATS)
            _check_size(str(path), image, max_pixels)
            pixels, notes = decode(image, fill)
            notes = (*frame_notes(image), *notes)
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Image(path.name, pixels, digest, notes, path)


def from_array(array: np.ndarray | Pillow.Image, *, name: str = "image") -> Image:
    """A picture made in memory: uint8, uint16 or float in [0, 1], `h w`, `h w 1` or `h w 3`; or Pillow's.

    The pixels are copied. A Pillow image is treated as in `read_image`, on white.

    Raises:
        ImageError: another type or shape, no pixels, or floats outside [0, 1].
    """
    if isinstance(array, Pillow.Image):
        _check_size(name, array, max_pixels=array.width * array.height)
        with _translated(name, b"", MAX_PIXELS), _QUIET:
            pixels, notes = decode(array, _BACKGROUNDS["white"])
    else:
        pixels, notes = _from_numpy(array, name)
    return Image(name, pixels, hashlib.sha256(pixels.tobytes()).hexdigest(), notes)


def _from_numpy(array: np.ndarray, name: str) -> tuple[Photo, tuple[str, ...]]:
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{name}: found {type(array).__name__}, expected a numpy array or a Pillow image")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)) or not array.size:
        raise ImageError(f"{name}: shape is {array.shape}, expected (h, w), (h, w, 1) or (h, w, 3)")
    if array.dtype.kind != "f" and array.dtype.str[1:] not in ("u1", "u2"):
        raise ImageError(f"{name}: dtype is {array.dtype}, expected uint8, uint16, or floats in [0, 1]")
    try:
        pixels, notes = eight_bits(array)
    except ValueError as error:
        raise ImageError(f"{name}: {error}") from error
    return channels_last(pixels), notes


class _Quiet:
    """Pillow's warnings silenced while any thread reads; the user's filters come back after the last.

    `catch_warnings` swaps state shared by all threads, so overlapping reads must share one.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """The file, if it is a regular one with something in it (opening a pipe would wait for ever)."""
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            kind = "a folder" if S_ISDIR(status.st_mode) else "a device or pipe"
            raise ImageError(f"{path}: found {kind}, expected a picture file")
        if not status.st_size:
            raise ImageError(f"{path}: the file is empty (0 bytes); copy or export the picture again")
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the name and the folder") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be opened ({error}); check its name and permissions") from error
    with stream:
        yield stream


@contextmanager
def _translated(name: str, head: bytes, max_pixels: int) -> Iterator[None]:
    """Pillow's many errors as ours, with the file's name; `head` is how the file begins."""
    try:
        yield
    except Pillow.DecompressionBombError as error:
        raise ImageTooLargeError(
            f"{name}: {error} The limit here is {max_pixels:,} pixels; make the picture smaller "
            "(or raise max_pixels and, beyond Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS)"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: found {_found(head)}, expected a JPEG, PNG, WebP, GIF, BMP or TIFF picture; "
            "convert it to one of these, or copy it again if it was one"
        ) from error
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name}: cannot be decoded ({reason}); copy or export the picture again") from error


def _found(head: bytes) -> str:
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return f"text ({head[:20].decode('ascii')!r})"
    return f"damaged or unknown data (first bytes {head[:8].hex(' ')})"


def _check_size(name: str, image: Pillow.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width:,} x {height:,} pixels, expected at least one; export it again")
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width:,} x {height:,} pixels is more than the limit of {max_pixels:,} "
            "pixels; make the picture smaller or raise max_pixels"
        )


def _fill(background: Background) -> RGB:
    if isinstance(background, str) and background in _BACKGROUNDS:
        return _BACKGROUNDS[background]
    values = background if isinstance(background, tuple) else ()
    if len(values) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in values):
        return values
    hint = near_matches(background, _BACKGROUNDS) if isinstance(background, str) else ""
    raise OptionError(f"background is {background!r}; give white, black, grey or three numbers from 0 to 255.{hint}")


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
    pictures = [path for path in matches if _is_picture(path)]
    inside = [path for folder in matches if _is_folder(folder) for path in _walk(folder)]
    return sorted({*pictures, *inside}, key=_natural)


def _walk(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders; links to folders are not followed."""
    pictures: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures += [Path(parent, name) for name in names if _is_picture(Path(name))]
    return sorted(pictures, key=_natural)


def _cannot_list(error: OSError) -> None:
    raise OptionError(f"the folder {error.filename!r} cannot be listed ({error.strerror})") from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Sorts numbers in names by value; text and numbers alternate, so like is compared with like."""
    parts = [re.split(r"([0-9]+)", part.casefold()) for part in path.parts]
    return [[int(t) if i % 2 else t for i, t in enumerate(part)] for part in parts], str(path)
