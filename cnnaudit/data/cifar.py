"""CIFAR-10, from JPEG files in two tar archives, or from the pickles that its authors publish.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image as Pillow

from cnnaudit.data._decoding import DAMAGE
from cnnaudit.data.archive import members
from cnnaudit.data.layout import Parts
from cnnaudit.data.places import fetched, is_file, missing, root_of
from cnnaudit.data.splits import Dataset, Drawn, Request, Split, parted
from cnnaudit.errors import DataError

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_HELD_OUT = 2500
_SIDE = 32
_FOLDERS = ("cifar10", "cifar-10", "CIFAR10", "")
_PARTS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Published:
    """The pickles as published: where, the MD5 of the archive, their folder in it and their own MD5s."""

    url: str
    archive: str
    folder: str
    train: dict[str, str]
    test: dict[str, str]


PUBLISHED = Published(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    archive="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
)


def cifar10(request: Request, published: Published = PUBLISHED) -> Dataset:
    """Photos of ten kinds of thing, 32 x 32, colour: 47,500 for training, 2,500 held out, 10,000 tests.

    Every class gives as many to the validation, always the same ones.

    Raises:
        DataError: the files are missing and cannot be fetched, or are damaged.
    """
    train, test = _read(request, published)
    train, validation = parted(train, min(_HELD_OUT, len(train) // 10))
    return Dataset(
        name="cifar10",
        labels=LABELS,
        train=train,
        validation=validation,
        tests={"test": test},
        mean=_MEAN,
        std=_STD,
        augmentation=("crop", "flip"),
    )


def here(root: Path) -> bool:
    """Whether there are files of CIFAR-10 below a folder."""
    return _find(root, PUBLISHED) is not None


def _folders(root: Path) -> list[Path]:
    return [root / folder for folder in _FOLDERS]


def _find(root: Path, published: Published) -> Path | tuple[Path, Path] | None:
    """The folder of pickles, their archive, or the two archives of JPEG files; the first there is."""
    for folder in _folders(root):
        jpegs = next((p for s in (".tar.gz", ".tgz", ".tar") if (p := _pair(folder, s)) and _is_ours(p[0])), None)
        if jpegs:
            return jpegs
        if all(is_file(folder / published.folder / name) for name in (*published.train, *published.test)):
            return folder / published.folder
        if is_file(folder / "cifar-10-python.tar.gz"):
            return folder / "cifar-10-python.tar.gz"
    return None


def _pair(folder: Path, suffix: str) -> tuple[Path, Path] | None:
    train, test = (folder / (part + suffix) for part in _PARTS)
    return (train, test) if is_file(train) and is_file(test) else None


def _is_ours(path: Path) -> bool:
    """Whether the first picture in an archive is of a class that CIFAR-10 has: `train.tar` can be anything."""
    try:
        return next((parts[-2] in LABELS for parts, data in members(path, _is_jpeg) if data is not None), False)
    except DataError:
        return True  # reading it says what is wrong


def _is_jpeg(parts: Parts) -> bool:
    return len(parts) > 1 and parts[-1].endswith(".jpg")


def _read(request: Request, published: Published) -> tuple[Split, Split]:
    root = root_of(request)
    found = _find(root, published)
    if isinstance(found, tuple):
        return _jpegs(found[0], request.drawn), _jpegs(found[1], request.drawn)
    if found is None:
        found = _downloaded(root, request, published)
    batches = _unpacked(found, published) if found.is_file() else _in_folder(found, published)
    return _joined(batches, published.train), _joined(batches, published.test)


def _downloaded(root: Path, request: Request, published: Published) -> Path:
    expected = f"{published.folder}/ or cifar-10-python.tar.gz, or train.tar.gz and test.tar.gz with CLASS/NNNN.jpg"
    if not request.download:
        raise missing("CIFAR-10", expected, _folders(root), "it was not to be downloaded")
    try:
        return fetched(published.url, root / _FOLDERS[0], published.archive, request)
    except DataError as error:
        raise missing("CIFAR-10", expected, _folders(root), str(error).rstrip(".")) from error


def _jpegs(path: Path, drawn: Drawn | None) -> Split:
    """Every `…/CLASS/NAME.jpg` of an archive, in the order of the names."""
    found = {
        parts[-2:]: _decoded(path, parts, data) for parts, data in members(path, _is_jpeg, drawn) if data is not None
    }
    unknown = sorted({label for label, _ in found} - set(LABELS))
    if unknown or not found:
        raise DataError(
            f"{path} holds {f'the classes {unknown[:3]}' if unknown else 'no JPEG file in a class folder'}; expected "
            f"CLASS/NNNN.jpg with the classes {', '.join(LABELS)}. Give another folder with --data-root DIR."
        )
    names = sorted(found)
    pixels = torch.frombuffer(bytearray().join(found[name] for name in names), dtype=torch.uint8)
    images = pixels.reshape(-1, _SIDE, _SIDE, 3).permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.tensor([LABELS.index(label) for label, _ in names]))


def _decoded(path: Path, parts: Parts, data: bytes) -> bytes:
    """The pixels of one small JPEG; `images.read_pixels` asks what is known of these, and takes twice as long."""
    try:
        image = Pillow.open(io.BytesIO(data), formats=("JPEG",))
        if image.size != (_SIDE, _SIDE) or image.mode != "RGB":
            raise ValueError(f"{image.width} x {image.height}, {image.mode}; expected {_SIDE} x {_SIDE}, RGB")
        return image.tobytes()
    except DAMAGE as error:
        name = "/".join(parts)
        raise DataError(f"{path}: {name} is no picture of CIFAR-10 ({error}). Fetch the archive again.") from error


def _in_folder(folder: Path, published: Published) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in (*published.train, *published.test)}
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}).") from error


def _unpacked(path: Path, published: Published) -> dict[str, bytes]:
    names = {*published.train, *published.test}
    found = {parts[-1]: data for parts, data in members(path, lambda parts: parts[-1] in names) if data is not None}
    if absent := sorted(names - found.keys()):
        raise DataError(f"{path} lacks {', '.join(absent)}. Delete it, and it is fetched again.")
    return found


def _joined(batches: dict[str, bytes], md5: dict[str, str]) -> Split:
    """The pictures of some batches, each once its MD5 is known to be right."""
    images, labels = [], []
    for name, expected in md5.items():
        digest = hashlib.md5(batches[name], usedforsecurity=False).hexdigest()
        if digest != expected:
            raise DataError(
                f"{name} of CIFAR-10 is damaged: its MD5 is {digest}, not {expected}. "
                "Delete it, and it is fetched again."
            )
        batch, batch_labels = _unpickled(name, batches[name])
        images.append(torch.from_numpy(batch.reshape(-1, 3, _SIDE, _SIDE)))
        labels += batch_labels
    return Split(torch.cat(images), torch.tensor(labels))


class _Unpickler(pickle.Unpickler):
    """Knows how to make an array, and nothing else: no other function in the file is found, let alone called."""

    _MAKERS: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return self._MAKERS[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}") from None


def _unpickled(name: str, data: bytes) -> tuple[np.ndarray, list[int]]:
    """The pictures (`n 3072`) and labels of a batch."""
    try:
        batch = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return np.asarray(batch[b"data"], np.uint8), [int(label) for label in batch[b"labels"]]
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{name} is no batch of CIFAR-10 ({error}). Delete it, and it is fetched again.") from error
