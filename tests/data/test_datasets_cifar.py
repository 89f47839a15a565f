"""CIFAR-10 in its three forms, and files that are not what they are called."""

import hashlib
import io
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from dataset_files import cifar_archive, cifar_batches, classes, picture, published, put, tar
from local_server import Server, serving
from PIL import Image as Pillow
from torchvision.datasets import CIFAR10

from cnnaudit.data import cifar
from cnnaudit.data.splits import Dataset, Request, Split
from cnnaudit.errors import DataError

BATCHES = cifar_batches()
PUBLISHED = published(BATCHES)


class Theirs(CIFAR10):
    """torchvision's reader, for our batches."""

    train_list: ClassVar = [list(item) for item in PUBLISHED.train.items()]
    test_list: ClassVar = [list(item) for item in PUBLISHED.test.items()]

    def _load_meta(self) -> None:
        self.classes = list(cifar.LABELS)


def read(root: Path, known: cifar.Published = PUBLISHED) -> Dataset:
    return cifar.cifar10(Request(root=root, download=False), known)


def pictures(*splits: object) -> list[tuple[int, bytes]]:
    """Labels and pixels (`h w c`), in an order of their own."""
    held = [split for split in splits if isinstance(split, Split)]
    return sorted(
        (label, image.permute(1, 2, 0).numpy().tobytes())
        for split in held
        for label, image in zip(split.labels.tolist(), split.images, strict=True)
    )


@pytest.mark.parametrize("place", ["", "cifar10", "cifar-10"])
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_the_published_pickles_are_read_as_torchvision_reads_them(tmp_path: Path, place: str, form: str) -> None:
    put(tmp_path / "theirs", cifar_archive(BATCHES))
    ours = tmp_path / "ours"
    files = cifar_archive(BATCHES)
    put(ours / place, files if form == "folder" else {"cifar-10-python.tar.gz": tar(files)})
    made = read(ours)
    for train, splits in ((True, (made.train, made.validation)), (False, (made.tests["test"],))):
        theirs = Theirs(tmp_path / "theirs", train=train)
        assert pictures(*splits) == sorted(
            (label, image.tobytes()) for label, image in zip(theirs.targets, theirs.data, strict=True)
        )
    assert [len(made.train), len(made.validation), len(made.tests["test"])] == [90, 10, 20]
    assert sorted(made.validation.labels.tolist()) == [*range(10)]
    assert made.labels == cifar.LABELS


def jpegs(count: int, split: str, seed: int = 0) -> dict[str, bytes]:
    return {
        f"{split}/{label}/{index:04}.jpg": picture(seed + 100 * k + index, format="JPEG")
        for k, label in enumerate(cifar.LABELS)
        for index in range(count)
    }


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar"])
def test_archives_of_jpeg_files_are_read_as_pillow_reads_them(tmp_path: Path, suffix: str) -> None:
    train, test = jpegs(3, "train"), jpegs(1, "test", seed=50)
    packed = {f"{k}{suffix}": tar(v, gz=suffix != ".tar") for k, v in (("train", train), ("test", test))}
    made = read(put(tmp_path / "cifar10", packed).parent)
    for files, splits in ((train, (made.train, made.validation)), (test, (made.tests["test"],))):
        theirs = [
            (cifar.LABELS.index(name.split("/")[1]), np.asarray(Pillow.open(io.BytesIO(data))).tobytes())
            for name, data in files.items()
        ]
        assert pictures(*splits) == sorted(theirs)
    assert made.validation.labels.bincount().max() == 1


def test_the_split_does_not_depend_on_the_order_in_the_archive(tmp_path: Path) -> None:
    train, test = jpegs(4, "train"), tar(jpegs(1, "test"))
    turned = dict(reversed(train.items()))
    made = [
        read(put(tmp_path / str(k), {"train.tar.gz": tar(files), "test.tar.gz": test}))
        for k, files in enumerate((train, turned))
    ]
    assert all(isinstance(each.train, Split) for each in made)
    assert torch.equal(made[0].train.images, made[1].train.images)  # type: ignore[union-attr]
    assert torch.equal(made[0].validation.labels, made[1].validation.labels)


def test_archives_of_something_else_are_passed_over(tmp_path: Path) -> None:
    other = tar(classes(("rose", "tulip"), 2, "train/") | {"train/rose/1.jpg": picture(1)})
    put(tmp_path, {"train.tar.gz": other, "test.tar.gz": other} | cifar_archive(BATCHES))
    assert len(read(tmp_path).train) == 90


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train/airplane/x.jpg": picture(1, (31, 32), "JPEG")}, "32 x 31"),
        ({"train/airplane/x.jpg": picture(1, format="JPEG")[:200]}, r"airplane/x\.jpg is no picture"),
        ({"train/airplane/x.jpg": b"hello"}, r"airplane/x\.jpg is no picture"),
        ({"train/airplane/x.jpg": picture(1)}, r"airplane/x\.jpg is no picture"),
        ({"train/rose/x.jpg": picture(1, format="JPEG")}, r"classes \['rose'\]"),
    ],
)
def test_what_is_wrong_in_an_archive_is_named(tmp_path: Path, change: dict[str, bytes], message: str) -> None:
    put(tmp_path, {"train.tar": tar(jpegs(2, "train") | change, gz=False), "test.tar": tar(jpegs(1, "test"), gz=False)})
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_an_archive_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = tar(jpegs(2, "train"))
    put(tmp_path, {"train.tar.gz": whole[: len(whole) // 2], "test.tar.gz": tar(jpegs(1, "test"))})
    with pytest.raises(DataError, match=r"train\.tar\.gz cannot be read as a tar archive"):
        read(tmp_path)


def test_a_damaged_batch_is_named(tmp_path: Path) -> None:
    put(tmp_path, cifar_archive(BATCHES | {"data_batch_3": BATCHES["data_batch_3"][:-5]}))
    with pytest.raises(DataError, match=r"data_batch_3 of CIFAR-10 is damaged: its MD5"):
        read(tmp_path)


def test_an_archive_without_all_batches_is_named(tmp_path: Path) -> None:
    some = {name: data for name, data in cifar_archive(BATCHES).items() if "batch_2" not in name}
    put(tmp_path, {"cifar-10-python.tar.gz": tar(some)})
    with pytest.raises(DataError, match="lacks data_batch_2"):
        read(tmp_path)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, (str(self.path), "w")  # type: ignore[return-value]


@pytest.mark.parametrize("protocol", range(5))
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int) -> None:
    hostile = pickle.dumps({b"data": _Runs(tmp_path / "ran"), b"labels": []}, protocol)
    batches = BATCHES | {"data_batch_1": hostile}
    known = replace(PUBLISHED, train=PUBLISHED.train | {"data_batch_1": hashlib.md5(hostile).hexdigest()})
    with pytest.raises(DataError, match=r"data_batch_1 is no batch of CIFAR-10 \(it asks for "):
        read(put(tmp_path, cifar_archive(batches)), known)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02}.", pickle.dumps([1, 2]), b"\x80\x02K\x01.", b"garbage"])
def test_a_pickle_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    known = replace(PUBLISHED, train=PUBLISHED.train | {"data_batch_1": hashlib.md5(content).hexdigest()})
    with pytest.raises(DataError, match="data_batch_1 is no batch"):
        read(put(tmp_path, cifar_archive(BATCHES | {"data_batch_1": content})), known)


class TestDownload:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
        monkeypatch.setenv("no_proxy", "*")
        with serving() as running:
            running.files["cifar-10-python.tar.gz"] = tar(cifar_archive(BATCHES))
            yield running

    def test_the_archive_is_fetched_once(self, server: Server, tmp_path: Path) -> None:
        known = replace(PUBLISHED, url=f"{server.url}/cifar-10-python.tar.gz")
        for _ in range(2):
            assert len(cifar.cifar10(Request(root=tmp_path), known).train) == 90
        assert server.asked == ["/cifar-10-python.tar.gz"]
        assert (tmp_path / "cifar10" / "cifar-10-python.tar.gz").is_file()

    @pytest.mark.parametrize(("path", "reason"), [("/short/", "it ended after"), ("/absent-", "HTTP 404")])
    def test_a_failure_says_why(self, server: Server, tmp_path: Path, path: str, reason: str) -> None:
        known = replace(PUBLISHED, url=f"{server.url}{path}cifar-10-python.tar.gz")
        with pytest.raises(DataError, match=reason) as caught:
            cifar.cifar10(Request(root=tmp_path), known)
        assert f"{tmp_path / 'cifar10'}" in str(caught.value) and "--data-root DIR" in str(caught.value)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_wrong_checksum_is_refused(self, server: Server, tmp_path: Path) -> None:
        server.files["cifar-10-python.tar.gz"] += b"\0"
        known = replace(PUBLISHED, url=f"{server.url}/cifar-10-python.tar.gz")
        with pytest.raises(DataError, match="MD5 begins with"):
            cifar.cifar10(Request(root=tmp_path), known)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
