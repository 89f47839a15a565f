"""Small datasets in the files that the real ones come in, and where the real ones lie."""

import gzip
import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from cnnaudit.data import cifar, idx

SHARED = Path(os.environ.get("CNNAUDIT_TEST_DATA", Path(__file__).parents[2].parent / "shared"))
RNG = np.random.default_rng(11)

TRAIN = RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8)
TEST = RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8)
TRAIN_LABELS = np.arange(30, dtype=np.uint8) % 10
TEST_LABELS = np.arange(10, dtype=np.uint8)
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def needs(*parts: str) -> pytest.MarkDecorator:
    """Skips a test, with the reason, where a real dataset is absent."""
    path = SHARED.joinpath("data", *parts)
    return pytest.mark.skipif(not path.exists(), reason=f"needs {'/'.join(parts)} of CNNAUDIT_TEST_DATA")


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of bytes: http://yann.lecun.com/exdb/mnist, "the IDX file format"."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(shift: int = 0) -> dict[str, bytes]:
    """The four files; another `shift`, other pictures and labels."""
    arrays = (TRAIN + shift, (TRAIN_LABELS + shift) % 10, TEST + shift, (TEST_LABELS + shift) % 10)
    return {name: idx_bytes(array.astype(np.uint8)) for name, array in zip(IDX_NAMES, arrays, strict=True)}


def packed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same as `.gz` files."""
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files.items()}


def collection(files: Mapping[str, bytes], url: str = "http://unused.invalid/") -> idx.Collection:
    """MNIST, had it these files."""
    sha256 = tuple(hashlib.sha256(data).hexdigest() for data in files.values())
    md5 = tuple(hashlib.md5(data).hexdigest() for data in packed(files).values())
    return replace(idx.MNIST, sha256=sha256, md5=md5, url=url, held_out=5)  # type: ignore[arg-type]


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def python2_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    """`{"data": uint8 n 3072, "labels": [...]}` pickled opcode by opcode as Python 2 did, protocol 2."""
    n, width = pixels.shape

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
    state = b"(" + number(1) + number(n) + number(width) + b"\x86" + dtype + b"\x89"
    state += b"T" + struct.pack("<i", pixels.nbytes) + pixels.tobytes() + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + state + text(b"labels") + listed + b"u."


def cifar_batches() -> dict[str, bytes]:
    """Six batches of ten pictures, one a class."""
    names = (*cifar.PUBLISHED.train, *cifar.PUBLISHED.test)
    pixels = np.random.default_rng(5).integers(0, 256, (len(names), 20, 3072), dtype=np.uint8)
    return {name: python2_batch(batch, [*range(10)] * 2) for name, batch in zip(names, pixels, strict=True)}


def published(
    batches: Mapping[str, bytes], url: str = "http://unused.invalid/cifar-10-python.tar.gz"
) -> cifar.Published:
    """CIFAR-10, had it these batches."""
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in batches.items()}
    return replace(
        cifar.PUBLISHED,
        url=url,
        archive=hashlib.md5(tar(cifar_archive(batches))).hexdigest(),
        train={name: md5[name] for name in cifar.PUBLISHED.train},
        test={name: md5[name] for name in cifar.PUBLISHED.test},
    )


def cifar_archive(batches: Mapping[str, bytes]) -> dict[str, bytes]:
    """What is in `cifar-10-python.tar.gz`."""
    return {f"cifar-10-batches-py/{name}": data for name, data in batches.items()}


def tar(files: Mapping[str, bytes], *, gz: bool = True) -> bytes:
    """A tar archive of these files, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0) if gz else buffer.getvalue()


def picture(seed: int, size: tuple[int, int] = (32, 32), format: str = "PNG", **options: object) -> bytes:
    """A picture file of smooth colours."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(small).resize(size[::-1], Pillow.Resampling.BICUBIC).save(buffer, format, **options)
    return buffer.getvalue()


def classes(names: tuple[str, ...], count: int, prefix: str = "", size: tuple[int, int] = (40, 48)) -> dict[str, bytes]:
    """`count` pictures in a folder for each class."""
    return {
        f"{prefix}{name}/{index}.png": picture(1000 * k + index, size)
        for k, name in enumerate(names)
        for index in range(count)
    }
