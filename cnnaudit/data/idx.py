"""MNIST and Fashion-MNIST: four IDX files each, plain or gzipped, told apart by what is in them.

Both have the same file names, so a folder is taken only when the SHA-256 of its training labels is right;
then every file must have its own. MNIST: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86
(1998). Fashion-MNIST: Xiao, Rasul and Vollgraf, arXiv 1708.07747.
"""

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnaudit.data.places import fetched, is_file, missing, root_of
from cnnaudit.data.splits import Dataset, Request, Split
from cnnaudit.errors import DataError

_BIGGEST = 1 << 27  # bytes of an unpacked file; the largest real one has 47,040,016
_KEY = "train-labels-idx1-ubyte"
_NAMES = ("train-images-idx3-ubyte", _KEY, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, slots=True)
class Collection:
    """Four IDX files that belong together, and how they are to be used.

    Attributes:
        folder: below the root, where downloads go.
        others: further folders below the root that are looked into.
        elsewhere: folders outside the root.
        sha256: of each file's unpacked content, in the order train images and labels, test images and labels.
        md5: of each published `.gz`, as torchvision has them.
        held_out: the last training pictures, which become the validation.
    """

    name: str
    title: str
    folder: str
    others: tuple[str, ...]
    elsewhere: tuple[Path, ...]
    url: str
    sha256: tuple[str, str, str, str]
    md5: tuple[str, str, str, str]
    labels: tuple[str, ...]
    mean: float
    std: float
    augmentation: tuple[str, ...]
    held_out: int = 5000

    def folders(self, root: Path) -> list[Path]:
        """Every folder that is looked into, in this order."""
        return [root / self.folder, *(root / other for other in self.others), root, *self.elsewhere]


MNIST = Collection(
    name="mnist",
    title="MNIST",
    folder="mnist",
    others=("mnist/MNIST/raw", "mnist/raw", "MNIST", "MNIST/raw", "raw"),
    elsewhere=(),
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    sha256=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    md5=(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    labels=tuple(str(digit) for digit in range(10)),
    mean=0.1307,
    std=0.3081,
    augmentation=(),
)

FASHION_MNIST = Collection(
    name="fashion-mnist",
    title="Fashion-MNIST",
    folder="fashion-mnist",
    others=("fashion-mnist/FashionMNIST/raw", "fashion-mnist/raw", "FashionMNIST", "FashionMNIST/raw", "raw"),
    elsewhere=(Path("/usr/share/datasets/fashion-mnist"),),  # of Debian's package dataset-fashion-mnist
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    sha256=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    md5=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    labels=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    mean=0.2860,
    std=0.3530,
    augmentation=("flip",),
)  # fmt: skip


def mnist(request: Request) -> Dataset:
    """Handwritten digits, 28 x 28, grey: 55,000 for training, the last 5,000 of the 60,000 held out, 10,000 tests.

    Raises:
        DataError: the files are missing and cannot be fetched, or are damaged.
    """
    return load(MNIST, request)


def fashion_mnist(request: Request) -> Dataset:
    """Articles of clothing, 28 x 28, grey; split as `mnist` is.

    Raises:
        DataError: the files are missing and cannot be fetched, or are damaged.
    """
    return load(FASHION_MNIST, request)


def load(collection: Collection, request: Request) -> Dataset:
    """The collection from the first folder that has it, else downloaded.

    Raises:
        DataError: the files are missing and cannot be fetched, or are damaged.
    """
    files = find(collection, root_of(request)) or _downloaded(collection, request)
    images, labels, test_images, test_labels = (
        _parsed(content(path), path, digest) for path, digest in zip(files, collection.sha256, strict=True)
    )
    kept = len(labels) - collection.held_out
    images, test_images = images.unsqueeze(1), test_images.unsqueeze(1)
    labels, test_labels = labels.long(), test_labels.long()
    return Dataset(
        name=collection.name,
        labels=collection.labels,
        train=Split(images[:kept], labels[:kept]),
        validation=Split(images[kept:], labels[kept:]),
        tests={"test": Split(test_images, test_labels)},
        mean=(collection.mean,),
        std=(collection.std,),
        augmentation=collection.augmentation,
    )


def find(collection: Collection, root: Path) -> tuple[Path, ...] | None:
    """The four files in the first folder whose training labels are the collection's, or None."""
    for files in _candidates(collection, root):
        try:
            digest = hashlib.sha256(content(files[1])).hexdigest()
        except DataError:
            continue
        if digest == collection.sha256[1]:
            return files
    return None


def _candidates(collection: Collection, root: Path) -> Iterator[tuple[Path, ...]]:
    """The four files in every folder that has files of these names, whatever is in them."""
    for folder in collection.folders(root):
        found = [next((p for p in _spellings(folder, name) if is_file(p)), None) for name in _NAMES]
        files = tuple(path for path in found if path)
        if len(files) == len(_NAMES):
            yield files


def _spellings(folder: Path, name: str) -> Iterator[Path]:
    dotted = name.replace("-idx", ".idx")
    return (folder / (stem + suffix) for stem in (name, dotted) for suffix in ("", ".gz"))


def _downloaded(collection: Collection, request: Request) -> tuple[Path, ...]:
    root = root_of(request)
    looked, expected = collection.folders(root), f"{', '.join(_NAMES)} (plain or .gz)"
    foreign = [str(files[1]) for files in _candidates(collection, root) if not _known(files[1])]
    if foreign:
        raise DataError(
            f"{', '.join(foreign)} is not {collection.title}'s: its SHA-256 is another. If it is damaged, delete it; "
            "if it is another dataset, move it or name another folder with --data-root DIR."
        )
    if not request.download:
        raise missing(collection.title, expected, looked, "it was not to be downloaded")
    try:
        return tuple(
            fetched(f"{collection.url}{name}.gz", root / collection.folder, md5, request)
            for name, md5 in zip(_NAMES, collection.md5, strict=True)
        )
    except DataError as error:
        raise missing(collection.title, expected, looked, str(error).rstrip(".")) from error


def _known(path: Path) -> bool:
    """Whether these are the training labels of one of the two: of the other one, in a folder that both may use."""
    try:
        return hashlib.sha256(content(path)).hexdigest() in (MNIST.sha256[1], FASHION_MNIST.sha256[1])
    except DataError:
        return False


def content(path: Path) -> bytearray:
    """What is in a file, unpacked if it is a `.gz`.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return bytearray(stream.read(_BIGGEST))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). Delete it, and it is fetched again, or copy it.") from error


def _parsed(data: bytearray, path: Path, sha256: str) -> Tensor:
    """The array in an IDX file of bytes, once its content is known to be the right one."""
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise DataError(
            f"{path} is damaged: unpacked, its SHA-256 begins with {digest[:8]}, not with {sha256[:8]}. "
            "Delete it, and it is fetched again."
        )
    dimensions = data[3]
    shape = struct.unpack_from(f">{dimensions}I", data, 4)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape))
