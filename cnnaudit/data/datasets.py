"""Labelled pictures for training, by name or from a folder."""

from functools import partial
from pathlib import Path

from cnnaudit.data import cifar, huskies, idx, signals
from cnnaudit.data.archive import SUFFIXES
from cnnaudit.data.digits import digits
from cnnaudit.data.folder import folder
from cnnaudit.data.huskies import husky_wolf
from cnnaudit.data.places import default_root
from cnnaudit.data.resizing import adapted, checked
from cnnaudit.data.splits import Dataset, Drawn, Files, Request, Shape, Source, Split
from cnnaudit.errors import OptionError, near_matches

__all__ = [
    "DATASETS",
    "FOLDER",
    "Dataset",
    "Drawn",
    "Files",
    "Request",
    "Shape",
    "Source",
    "Split",
    "dataset",
    "default_root",
    "husky_wolf",
    "known_dataset",
]

FOLDER = "folder:"
"""How the name of a folder, or of a tar archive of one, begins."""


def _anywhere(_root: Path) -> bool:
    return True


def _has_idx(collection: idx.Collection, root: Path) -> bool:
    return idx.find(collection, root) is not None


def _has_signals(root: Path) -> bool:
    return signals.find(root) is not None


DATASETS: dict[str, Source] = {
    "mnist": Source(
        load=idx.mnist,
        here=partial(_has_idx, idx.MNIST),
        summary="handwritten digits",
        classes=10, size=(28, 28), channels=1, train=55_000, validation=5000, test=10_000,
        download_bytes=11_594_722,
    ),
    "fashion-mnist": Source(
        load=idx.fashion_mnist,
        here=partial(_has_idx, idx.FASHION_MNIST),
        summary="articles of clothing",
        classes=10, size=(28, 28), channels=1, train=55_000, validation=5000, test=10_000,
        download_bytes=30_878_645,
    ),
    "cifar10": Source(
        load=cifar.cifar10,
        here=cifar.here,
        summary="animals and vehicles",
        classes=10, size=(32, 32), channels=3, train=47_500, validation=2500, test=10_000,
        download_bytes=170_498_071,
    ),
    "mnist1d": Source(
        load=signals.mnist1d,
        here=_has_signals,
        summary="digits as signals",
        classes=10, size=(1, signals.LENGTH), channels=1, train=3600, validation=400, test=1000,
        download_bytes=None,
    ),
    "digits": Source(
        load=digits,
        here=_anywhere,
        summary="small handwritten digits",
        classes=10, size=(8, 8), channels=1, train=1257, validation=180, test=360,
        download_bytes=None,
    ),
    "husky-wolf": Source(
        load=huskies.load,
        here=_anywhere,
        summary="drawn, in any number",
        classes=2, size=(128, 128), channels=3, train=2000, validation=200, test=2000,
        download_bytes=None,
    ),
}  # fmt: skip
"""The datasets that have a name; `folder:PATH` is one too."""


def dataset(name: str, request: Request | None = None) -> Dataset:
    """The dataset called `name`, or the one in `folder:PATH`, at the size and with the channels that are asked for.

    Raises:
        OptionError: there is none of this name, or a value of `request` is out of range.
        DataError: its files are missing and cannot be fetched, or they are damaged.
    """
    request = checked(request or Request())
    if known_dataset(name).startswith(FOLDER):
        return folder(Path(name.removeprefix(FOLDER)).expanduser(), request)
    return adapted(DATASETS[name].load(request), request)


def known_dataset(name: str) -> str:
    """The same name, checked; nothing is read.

    Raises:
        OptionError: there is no dataset of this name.
    """
    if name.startswith(FOLDER) and name != FOLDER:
        return name
    if name not in DATASETS:
        raise OptionError(
            f"There is no dataset {name!r}{_no_path(name)}.{_meant(name) or near_matches(name, DATASETS)} "
            f"There is: {', '.join(DATASETS)}, and {FOLDER}PATH."
        )
    return name


def _no_path(name: str) -> str:
    """What else a name is not that may have been meant for a path."""
    if Path(name).is_file():
        return " (it is a file)"
    return "" if Path(name).exists() else ", nor a folder of this name"


def _meant(name: str) -> str:
    """A folder, or an archive of one, that is there under the name."""
    path = Path(name).expanduser()
    archive = path.is_file() and path.name.lower().endswith(SUFFIXES)
    return f" Did you mean {FOLDER + name!r}?" if path.is_dir() or archive else ""
