"""Small known pictures, and files written by hand for the kinds that Pillow cannot write."""

import struct
import zlib

import numpy as np
from PIL import Image as Pillow

from cnnaudit.data.images import read_image

HEIGHT, WIDTH = 5, 7
RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
OPACITY = RNG.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
SCALED = np.rint(DEEP / 257).astype(np.uint8)


def over(colour: np.ndarray, opacity: np.ndarray, fill: tuple[int, int, int]) -> np.ndarray:
    """Porter and Duff's "over", in floating point."""
    share = opacity[..., None] / 255
    return np.floor(colour * share + np.array(fill) * (1 - share) + 0.5).astype(np.uint8)


def png(samples: np.ndarray, depth: int, kind: int, **chunks: bytes) -> bytes:
    """A PNG written by hand: `samples` is `h w` or `h w c`; 16-bit ones are written big-endian."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth < 8:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        packed = [np.packbits(row).tobytes() for row in bits.reshape(height, -1)]
    else:
        packed = [row.astype(">u2" if depth == 16 else "u1").tobytes() for row in rows]
    body = {"IHDR": struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0), **chunks}
    body["IDAT"] = zlib.compress(b"".join(b"\0" + row for row in packed))
    body["IEND"] = b""
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in body.items():
        tagged = name.encode() + content
        data += struct.pack(">I", len(content)) + tagged + struct.pack(">I", zlib.crc32(tagged))
    return data


def tiff(samples: np.ndarray, order: str, bits: int, photometric: int, sample_format: int = 1) -> bytes:
    """An uncompressed TIFF written by hand; `samples` is `h w` or `h w c` in the file's byte order."""
    channels = samples.shape[2] if samples.ndim == 3 else 1
    entries = [
        (256, 3, samples.shape[1]), (257, 3, samples.shape[0]), (258, 3, bits), (259, 3, 1),
        (262, 3, photometric), (273, 4, 200), (277, 3, channels), (278, 3, samples.shape[0]),
        (279, 4, samples.nbytes), (339, 3, sample_format),
    ]  # fmt: skip
    extra = struct.pack(order + "HHHH", *[bits] * 4)
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        count = channels if tag in (258, 339) and channels > 1 else 1
        field = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0] if kind == 3 else [value]))
        if tag == 258 and channels > 1:
            field = struct.pack(order + "I", 180)
        elif tag == 339 and channels > 1:
            field, count = struct.pack(order + "HH", 1, 0), 1
        directory += struct.pack(order + "HHI", tag, kind, count) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return (head + directory + b"\0" * 4).ljust(180, b"\0") + extra.ljust(20, b"\0") + samples.tobytes()


def read_bytes(tmp_path, data: bytes, suffix: str = "png", **options):
    path = tmp_path / f"picture.{suffix}"
    path.write_bytes(data)
    return read_image(path, **options)


def saved(tmp_path, image: Pillow.Image, suffix: str, *, background="white", **options):
    path = tmp_path / f"picture.{suffix}"
    image.save(path, **options)
    return read_image(path, background=background)
