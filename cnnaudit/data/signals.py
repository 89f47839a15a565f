"""MNIST-1D: digits as signals of 40 values, which are pictures one pixel high.

Greydanus, "Scaling down deep learning", arXiv 2011.14439.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch

from cnnaudit.data.places import is_file, missing, root_of
from cnnaudit.data.splits import Dataset, Request, Split, parted
from cnnaudit.errors import DataError

LENGTH = 40

_FILE = "mnist1d.npz"
_ARRAYS = ("x", "y", "x_test", "y_test")
_HELD_OUT = 400
_LIMIT = 8.0  # signals lie between -5.5 and 4.6
_MAKE = (
    'pip install mnist1d, then python -c "import numpy, mnist1d.data as m; d = m.make_dataset(); '
    "numpy.savez('mnist1d.npz', **{k: d[k] for k in ('x', 'y', 'x_test', 'y_test')})\", makes the file."
)


def mnist1d(request: Request) -> Dataset:
    """Signals of ten shapes, float32 `n 1 1 40`: 3,600 for training, 400 held out, 1,000 tests.

    Values from -8 to 8 are mapped to [0, 1]; mean 0.5 and deviation 1/16 map them back, so that the
    network is given the signals as published, whose mean is 0 and deviation 1.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    path = find(root_of(request))
    if path is None:
        expected = f"{_FILE} with the arrays {', '.join(_ARRAYS)}"
        error = missing("MNIST-1D", expected, _places(root_of(request)), "there is no download of it")
        raise DataError(f"{error} {_MAKE}")
    x, y, x_test, y_test = _arrays(path)
    train, validation = parted(_split(path, x, y), _HELD_OUT)
    return Dataset(
        name="mnist1d",
        labels=tuple(str(digit) for digit in range(10)),
        train=train,
        validation=validation,
        tests={"test": _split(path, x_test, y_test)},
        mean=(0.5,),
        std=(0.5 / _LIMIT,),
        augmentation=(),
    )


def find(root: Path) -> Path | None:
    """The file below a folder, if it is there."""
    return next((path for path in _places(root) if is_file(path)), None)


def _places(root: Path) -> list[Path]:
    return [root / _FILE, root / "mnist1d" / _FILE]


def _arrays(path: Path) -> list[np.ndarray]:
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it holds a single array")
            return [archive[name] for name in _ARRAYS]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected the arrays {', '.join(_ARRAYS)}. {_MAKE}"
        ) from error


def _split(path: Path, signals: np.ndarray, labels: np.ndarray) -> Split:
    shapes_fit = signals.ndim == 2 and signals.shape[1] == LENGTH and labels.shape == signals.shape[:1]
    if not shapes_fit or signals.dtype.kind != "f" or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path} holds {signals.dtype} {signals.shape} and {labels.dtype} {labels.shape}; expected real signals "
            f"(n, {LENGTH}) and whole numbers (n,). {_MAKE}"
        )
    if not (np.abs(signals).max(initial=0) <= _LIMIT and 0 <= labels.min(initial=0) <= labels.max(initial=0) <= 9):
        raise DataError(f"{path} has signals beyond {_LIMIT:g} or labels other than 0 to 9. {_MAKE}")
    pixels = torch.from_numpy((signals / (2 * _LIMIT) + 0.5).astype(np.float32)).reshape(-1, 1, 1, LENGTH)
    return Split(pixels, torch.from_numpy(labels.astype(np.int64)))
