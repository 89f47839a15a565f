"""MNIST's and Fashion-MNIST's files: found wherever they lie, never taken for each other, fetched when missing."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_files import TEST, TEST_LABELS, TRAIN, TRAIN_LABELS, collection, idx_files, packed, put
from local_server import Server, serving

from cnnaudit.data import idx
from cnnaudit.data.splits import Request, Split
from cnnaudit.errors import DataError

OURS, OTHERS = idx_files(), idx_files(shift=1)
MINE = collection(OURS)
OFFLINE = "it was not to be downloaded"


def read(root: Path, mine: idx.Collection = MINE, *, download: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """All 40 pictures and labels, in the files' order."""
    made = idx.load(mine, Request(root=root, download=download))
    splits = [split for split in (made.train, made.validation, made.tests["test"]) if isinstance(split, Split)]
    assert [len(split) for split in splits] == [25, 5, 10]
    return tuple(np.concatenate([getattr(s, what).numpy() for s in splits]) for what in ("images", "labels"))  # type: ignore[return-value]


def check(root: Path, mine: idx.Collection = MINE, *, download: bool = False) -> None:
    images, labels = read(root, mine, download=download)
    np.testing.assert_array_equal(images[:, 0], np.concatenate([TRAIN, TEST]))
    np.testing.assert_array_equal(labels, np.concatenate([TRAIN_LABELS, TEST_LABELS]))


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw", "mnist/MNIST/raw", "mnist/raw", "raw", "MNIST"])
def test_they_are_found_where_people_put_them(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder, OURS)
    check(tmp_path)


def test_they_may_be_packed_dotted_or_mixed(tmp_path: Path) -> None:
    names = iter(OURS.items())
    put(tmp_path, packed(dict([next(names), next(names)])))
    put(tmp_path, {name.replace("-idx", ".idx"): data for name, data in names})
    check(tmp_path)


def test_another_datasets_files_of_the_same_names_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "raw", packed(OTHERS))
    put(tmp_path, OURS)
    check(tmp_path)
    assert idx.find(MINE, tmp_path) == tuple(tmp_path / name for name in OURS)
    put(tmp_path, OTHERS)
    assert idx.find(MINE, tmp_path) is None


def test_fashion_mnist_is_never_taken_for_mnist(tmp_path: Path) -> None:
    fashion = replace(idx.FASHION_MNIST, sha256=collection(OTHERS).sha256, elsewhere=())
    put(tmp_path / "raw", OTHERS)
    assert idx.find(MINE, tmp_path) is None
    assert idx.find(fashion, tmp_path) == tuple(tmp_path / "raw" / name for name in OTHERS)
    put(tmp_path / "MNIST" / "raw", OURS)
    assert idx.find(fashion, tmp_path) == tuple(tmp_path / "raw" / name for name in OTHERS)
    assert idx.find(MINE, tmp_path) == tuple(tmp_path / "MNIST" / "raw" / name for name in OURS)


def test_files_of_neither_are_named(tmp_path: Path) -> None:
    put(tmp_path, OTHERS)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte is not MNIST's.*delete it.*--data-root"):
        read(tmp_path, download=True)


@pytest.mark.parametrize("name", [name for name in OURS if "labels" not in name or "t10k" in name])
@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_damage_is_named(tmp_path: Path, name: str, damage: str) -> None:
    data = bytearray(OURS[name])
    data[-1] ^= 1
    put(tmp_path, OURS | {name: {"cut": OURS[name][:-1], "changed": bytes(data), "empty": b""}[damage]})
    with pytest.raises(DataError, match=rf"{name} is damaged: .*SHA-256.*Delete it"):
        read(tmp_path)


@pytest.mark.parametrize("name", list(packed(OURS)))
def test_a_packed_file_that_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    files = packed(OURS)
    put(tmp_path, files | {name: files[name][:-12]})
    with pytest.raises(DataError, match=name):
        read(tmp_path, download=True)


def test_a_file_that_is_missing_makes_all_of_them_missing(tmp_path: Path) -> None:
    put(tmp_path / "mnist", {name: data for name, data in OURS.items() if "t10k" not in name})
    with pytest.raises(DataError, match=f"MNIST is not here, and {OFFLINE}") as caught:
        read(tmp_path)
    for place in (tmp_path, tmp_path / "mnist", tmp_path / "MNIST" / "raw"):
        assert f"{place}," in str(caught.value) or f"{place}. " in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "mnist", OURS).chmod(0)
    try:
        with pytest.raises(DataError, match="not here"):
            read(tmp_path)
    finally:
        (tmp_path / "mnist").chmod(0o700)


class TestDownload:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
        monkeypatch.setenv("no_proxy", "*")
        with serving() as running:
            running.files |= packed(OURS)
            yield running

    def test_what_is_missing_is_fetched_once(self, server: Server, tmp_path: Path) -> None:
        mine = collection(OURS, server.url + "/")
        for _ in range(2):
            check(tmp_path, mine, download=True)
        assert server.asked == [f"/{name}" for name in packed(OURS)]
        assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(packed(OURS))

    def test_progress_is_told(self, server: Server, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        mine = collection(OURS, server.url + "/")
        idx.load(mine, Request(root=tmp_path, drawn=lambda *at: seen.append(at)))
        sizes = [len(data) for data in packed(OURS).values()]
        assert [total for done, total in seen if done == total] == sizes

    @pytest.mark.parametrize(
        ("path", "reason"),
        [("/short/", "it ended after"), ("/nowhere/else/", "HTTP 404")],
    )
    def test_a_failure_says_why_what_was_looked_at_and_what_to_do(
        self, server: Server, tmp_path: Path, path: str, reason: str
    ) -> None:
        if "nowhere" in path:
            server.files.clear()
        with pytest.raises(DataError) as caught:
            read(tmp_path, collection(OURS, server.url + path), download=True)
        message = str(caught.value)
        assert reason in message and "127.0.0.1" in message
        assert str(tmp_path / "mnist" / "MNIST" / "raw") in message and "--data-root DIR" in message
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_wrong_checksum_is_refused(self, server: Server, tmp_path: Path) -> None:
        server.files |= packed(OTHERS)
        with pytest.raises(DataError, match="MD5 begins with"):
            read(tmp_path, collection(OURS, server.url + "/"), download=True)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_an_interrupted_download_goes_on(self, server: Server, tmp_path: Path) -> None:
        absent = [name for name in server.files if "t10k" in name]
        kept = {name: server.files.pop(name) for name in absent}
        mine = collection(OURS, server.url + "/")
        with pytest.raises(DataError, match="404"):
            read(tmp_path, mine, download=True)
        server.files |= kept
        server.asked.clear()
        check(tmp_path, mine, download=True)
        assert server.asked == [f"/{name}" for name in absent]

    def test_no_network_is_a_reason_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "*")
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            mine = collection(OURS, f"http://127.0.0.1:{bound.getsockname()[1]}/")
            with pytest.raises(DataError, match="refused"):
                read(tmp_path, mine, download=True)

    def test_a_folder_that_cannot_be_written_to_is_a_reason_too(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "mnist").write_text("a file, not a folder")
        with pytest.raises(DataError, match="could not be fetched"):
            read(tmp_path, collection(OURS, server.url + "/"), download=True)
