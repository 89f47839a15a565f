"""MNIST-1D's file: what is in it, and what must not be."""

from pathlib import Path

import numpy as np
import pytest

from cnnaudit.data.signals import mnist1d
from cnnaudit.data.splits import Request, Split
from cnnaudit.errors import DataError

RNG = np.random.default_rng(8)
GOOD = {
    "x": RNG.normal(size=(60, 40)).astype(np.float32),
    "y": np.arange(60) % 10,
    "x_test": RNG.normal(size=(20, 40)).astype(np.float32),
    "y_test": np.arange(20) % 10,
}


def written(folder: Path, **change: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "mnist1d.npz", **(GOOD | change))
    return folder


@pytest.mark.parametrize("place", ["", "mnist1d"])
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_signals_are_pictures_one_pixel_high(tmp_path: Path, place: str, real: type) -> None:
    written(tmp_path / place, x=GOOD["x"].astype(real))
    made = mnist1d(Request(root=tmp_path))
    assert made.train.shape == (1, 1, 40)
    test = made.tests["test"]
    assert isinstance(test, Split)
    np.testing.assert_allclose(test.images.reshape(20, 40), (GOOD["x_test"] + 8) / 16, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": GOOD["x"][:, :30]}, r"\(60, 30\)"),
        ({"y": GOOD["y"][:-1]}, r"\(59,\)"),
        ({"y": GOOD["y"] + 1}, "labels other than 0 to 9"),
        ({"y": GOOD["y"].astype(float)}, "whole numbers"),
        ({"x": GOOD["x"] * 100}, "signals beyond 8"),
        ({"x": np.full((60, 40), np.nan)}, "signals beyond 8"),
        ({"x": np.zeros((60, 40), complex)}, "real signals"),
        ({"x": np.array([None])}, "cannot be read"),  # pickled, and so never loaded
    ],
)
def test_other_content_is_refused(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        mnist1d(Request(root=written(tmp_path, **change)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x93NUMPY", b"not an archive at all"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mnist1d.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"mnist1d\.npz cannot be read"):
        mnist1d(Request(root=tmp_path))


def test_a_single_array_or_a_missing_one_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist1d.npz", **{name: GOOD[name] for name in ("x", "y")})
    with pytest.raises(DataError, match="x_test"):
        mnist1d(Request(root=tmp_path))
    with (tmp_path / "mnist1d.npz").open("wb") as file:
        np.save(file, GOOD["x"])
    with pytest.raises(DataError, match="expected the arrays x, y"):
        mnist1d(Request(root=tmp_path))


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip install mnist1d") as caught:
        mnist1d(Request(root=tmp_path))
    for path in (tmp_path / "mnist1d.npz", tmp_path / "mnist1d" / "mnist1d.npz"):
        assert str(path) in str(caught.value)
