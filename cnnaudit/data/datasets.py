"""Labelled pictures for training, by name or from a folder."""

from pathlib import Path

from cnnaudit.data import huskies
from cnnaudit.data.huskies import husky_wolf
from cnnaudit.data.splits import Dataset, Drawn, Files, Request, Shape, Source, Split
from cnnaudit.errors import OptionError, near_matches

__all__ = [
    "DATASETS",
    "Dataset",
    "Drawn",
    "Files",
    "Request",
    "Shape",
    "Source",
    "Split",
    "dataset",
    "husky_wolf",
    "known_dataset",
]


def _always(_root: Path) -> bool:
    return True


DATASETS: dict[str, Source] = {
    "husky-wolf": Source(
        load=huskies.load,
        here=_always,
        summary="huskies and wolves, drawn; the background gives the class away as often as is asked",
        classes=2,
        size=(128, 128),
        channels=3,
        train=2000,
        validation=200,
        test=2000,
        download_bytes=None,
    ),
}
"""The datasets with a name of their own; `folder:PATH` is one too."""


def dataset(name: str, request: Request) -> Dataset:
    """The dataset called `name`, at the size and with the channels that are asked for.

    Raises:
        OptionError: there is none of this name, or a value of `request` is out of range.
        DataError: its files are missing and cannot be fetched, or they are damaged.
    """
    return DATASETS[known_dataset(name)].load(request)


def known_dataset(name: str) -> str:
    """The same name, checked; nothing is read.

    Raises:
        OptionError: there is no dataset of this name.
    """
    if name not in DATASETS:
        raise OptionError(
            f"There is no dataset {name!r}.{near_matches(name, DATASETS)} There is: {', '.join(DATASETS)}, "
            "and folder:PATH."
        )
    return name
