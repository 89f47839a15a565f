"""Whatever the bytes are: a picture or an ImageError that names the file, in bounded time and silence."""

import io
import os
import random
import struct
import threading
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from cnnaudit.data import images
from cnnaudit.data.images import read_image
from cnnaudit.errors import ImageError, ImageTooLargeError, OptionError

PHOTO = (np.add.outer(np.arange(24) * 9, np.arange(32) * 3)[..., None] + np.array([0, 90, 40])).astype(np.uint8)
EXIF = Pillow.Exif()
EXIF[0x0112] = 6
KINDS = {
    "jpg": {"exif": EXIF},
    "png": {"exif": EXIF},
    "webp": {"exif": EXIF},
    "gif": {"save_all": True, "append_images": [Pillow.new("RGB", (32, 24), "red")]},
    "bmp": {},
    "tif": {"exif": EXIF},
    "lzw.tif": {"compression": "tiff_lzw", "save_all": True, "append_images": [Pillow.new("RGB", (9, 9))]},
    "apng": {"save_all": True, "append_images": [Pillow.new("RGB", (32, 24), "red")], "format": "PNG"},
    "progressive.jpg": {"progressive": True},
    "lossless.webp": {"lossless": True},
}


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"format": {"jpg": "JPEG", "tif": "TIFF"}.get(kind[-3:], kind[-4:]), **KINDS[kind]}
    Pillow.fromarray(PHOTO).save(buffer, **options)
    return buffer.getvalue()


def outcome(path, data: bytes) -> Exception | None:
    """The ImageError that reading `data` raises, if any; nothing else may come out."""
    path.write_bytes(data)
    try:
        image = read_image(path, max_pixels=100_000)
    except ImageError as error:
        assert str(path) in str(error)
        return error
    assert image.pixels.dtype == np.uint8 and image.pixels.shape[2] in (1, 3)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_the_intact_file_is_read(tmp_path, kind):
    assert outcome(tmp_path / f"a.{kind}", encoded(kind)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_an_image_error(tmp_path, kind):
    data = encoded(kind)
    for length in (1, 4, 12, 30, len(data) // 4):
        assert outcome(tmp_path / f"a.{kind}", data[:length]), length
    for length in (len(data) // 2, 3 * len(data) // 4, len(data) - 20, len(data) - 1):
        outcome(tmp_path / f"a.{kind}", data[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_give_a_picture_or_an_image_error(tmp_path, kind, capfd):
    data, dice = encoded(kind), random.Random(kind)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 2, 8))):
            reach = dice.choice((64, 256, len(data)))  # headers are where readers go wrong
            damaged[dice.randrange(min(reach, len(data)))] = dice.randrange(256)
        outcome(tmp_path / f"a.{kind}", bytes(damaged))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == "" or "tif" in kind  # libtiff reports to standard error by itself


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_claiming(width: int, height: int, depth: int = 8) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 12_000, 100_000, 2**31 - 1])
def test_a_huge_claim_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(side, side))
    with pytest.raises(ImageTooLargeError, match=r"bomb\.png"):  # also imports Pillow's plugins
        read_image(path)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError, match="64,000,000"):
        read_image(path)
    assert time.perf_counter() - start < 0.1
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_the_size_claimed_by_other_headers_counts_too(tmp_path):
    gif = bytearray(encoded("gif"))
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    bmp = bytearray(encoded("bmp"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\x3f\0" * 2
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBP" + vp8x
    for kind, data in (("gif", gif), ("bmp", bmp), ("webp", webp)):
        assert isinstance(outcome(tmp_path / f"a.{kind}", bytes(data)), ImageError), kind
    assert isinstance(outcome(tmp_path / "a.gif", bytes(gif)), ImageTooLargeError)


def test_the_limit_is_exact(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png"))
    assert read_image(path, max_pixels=24 * 32).size == (32, 24)
    with pytest.raises(ImageTooLargeError, match="32 x 24 pixels is more than the limit of 767"):
        read_image(path, max_pixels=24 * 32 - 1)
    for wrong in (0, -1, 1.5, "many"):
        with pytest.raises(OptionError, match="max_pixels"):
            read_image(path, max_pixels=wrong)


def test_a_size_of_nothing_is_refused(tmp_path):
    assert outcome(tmp_path / "a.png", png_claiming(0, 5))


def test_damaged_png_chunks(tmp_path):
    data = encoded("png")
    body = data.index(b"IDAT") - 4
    length = struct.unpack(">I", data[body : body + 4])[0]
    for replacement in (
        chunk(b"IDAT", b"not zlib"),
        chunk(b"IDAT", b""),
        chunk(b"eXIf", b"MM")[:-1] + b"!",
        struct.pack(">I", 2**31 - 1) + b"IDAT",
        b"",
    ):
        assert outcome(tmp_path / "a.png", data[:body] + replacement + data[body + 12 + length :])


def test_damaged_exif_costs_a_note_and_not_the_picture(tmp_path):
    path = tmp_path / "a.webp"
    data = encoded("webp")
    place = data.index(b"EXIF") + 8
    path.write_bytes(data[:place] + b"??" + data[place + 2 :])
    image = read_image(path)
    assert image.size == (24, 32)
    assert image.notes == ("EXIF data is damaged; the picture may not be upright",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "empty"),
        (b"hello, I am no picture\n" * 9, "text \\('hello"),
        (b"<!doctype html><html>", "HTML"),
        (b"%PDF-1.7", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x1cftypheic", "HEIC"),
        (b"P6 1 1 255 abc", "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(range(200, 256)), "first bytes c8 c9"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, found):
    (tmp_path / "renamed.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"renamed\.jpg: .*{found}"):
        read_image(tmp_path / "renamed.jpg")


def test_missing_files_folders_and_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name, found in (
        ("missing.png", "no such file"),
        (".", "found a folder"),
        ("pipe.png", "device or pipe"),
        ("a\0.png", "cannot be opened"),
        ("long" * 999 + ".png", "cannot be opened"),
    ):
        with pytest.raises(ImageError, match=found):
            read_image(tmp_path / name)


def test_formats_that_are_not_on_the_list_never_run(tmp_path):
    path = tmp_path / "a.png"
    Pillow.fromarray(PHOTO).save(path, "PPM")
    with pytest.raises(ImageError, match="expected a JPEG, PNG"):
        read_image(path)


def test_pillows_warnings_stay_inside_and_ours_outside(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png"))
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 600)  # the picture has 768: Pillow would warn
    before = list(warnings.filters)
    assert read_image(path).size == (32, 24)
    assert warnings.filters == before
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(ImageTooLargeError, match="MAX_IMAGE_PIXELS"):
        read_image(path)
    with images._QUIET, pytest.warns(UserWarning, match="the user's own"):
        warnings.warn("the user's own", stacklevel=1)


def test_many_threads_at_once_leave_the_filters_as_they_were(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("png"))
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 600)
    before, failures = list(warnings.filters), []

    def work() -> None:
        for _ in range(20):
            try:
                read_image(path)
            except Warning as warning:
                failures.append(warning)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and warnings.filters == before
