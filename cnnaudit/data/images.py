"""Reading pictures: any common file in, upright 8-bit pixels out, or an error that names the file.

Nothing is decoded before the header's size has passed the limit, and only the formats in `FORMATS`
are ever handed to Pillow: its other readers (PostScript, Photoshop, …) never see the bytes.
Colour profiles are not applied: networks are trained on pixels read without them.
"""

import hashlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, Literal, TypeAlias

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
MAX_PIXELS = 64_000_000

_BACKGROUNDS: dict[str, RGB] = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}

_EMPTY = "the file is empty (0 bytes); copy or export the picture again"

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
        pixels, notes = _decoded(stream, str(path), fill, max_pixels)
        with _translated(str(path), b"", max_pixels):
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Image(path.name, pixels, digest, notes, path)


def read_pixels(source: Path | bytes, *, name: str, shorter: int) -> Photo:
    """The pixels of a picture, in a file or in memory, whose shorter side is to become `shorter`; on white.

    A JPEG is decoded at a half, a quarter or an eighth of its size where both sides keep twice as many
    pixels as will be needed: much faster, and next to the same after resizing.

    Raises:
        ImageTooLargeError, ImageError: as in `read_image`.
    """
    if not isinstance(source, bytes):
        with _opened(source) as stream:
            return _decoded(stream, name, _BACKGROUNDS["white"], MAX_PIXELS, 2 * shorter)[0]
    if not source:
        raise ImageError(f"{name}: {_EMPTY}")
    return _decoded(BytesIO(source), name, _BACKGROUNDS["white"], MAX_PIXELS, 2 * shorter)[0]


def check_header(path: Path) -> None:
    """Nothing, if a file begins as a picture does; it may still be damaged further on.

    Raises:
        ImageTooLargeError, ImageError: as in `read_image`.
    """
    with _opened(path) as stream:
        _begun(stream, str(path), MAX_PIXELS)


def _begun(stream: BinaryIO, name: str, max_pixels: int) -> Pillow.Image:
    """The picture in a stream, its size checked, nothing decoded."""
    head = stream.read(64)
    with _translated(name, head, max_pixels), _QUIET:
        image = Pillow.open(stream, formats=FORMATS)
        _check_size(name, image, max_pixels)
    return image


def _decoded(
    stream: BinaryIO, name: str, fill: RGB, max_pixels: int, enough: int | None = None
) -> tuple[Photo, tuple[str, ...]]:
    """Pixels and notes; where `enough` is given, either side may come smaller, but not below it."""
    image = _begun(stream, name, max_pixels)
    with _translated(name, b"", max_pixels), _QUIET:
        if enough:
            image.draft(None, (enough, enough))
        pixels, notes = decode(image, fill)
        return pixels, (*frame_notes(image), *notes)


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
            raise ImageError(f"{path}: {_EMPTY}")
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
