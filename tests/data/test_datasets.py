"""Datasets by name: what is in them, how they are split, and how they change size."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
import torch.utils.data
from dataset_files import SHARED, needs
from PIL import Image as Pillow
from torchvision.datasets import MNIST

from cnnaudit.data import datasets, idx, scenes
from cnnaudit.data.datasets import DATASETS, Dataset, Files, Request, Split, dataset, known_dataset
from cnnaudit.data.resizing import adapted, resized
from cnnaudit.data.splits import held_out
from cnnaudit.errors import DataError, OptionError
from cnnaudit.geometry import fit

REAL = Request(root=SHARED / "data", download=False)


def images_of(made: Dataset) -> torch.Tensor:
    """All training pictures, validation included."""
    assert isinstance(made.train, Split) and isinstance(made.validation, Split)
    return torch.cat([made.train.images, made.validation.images])


def moments(images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Mean and deviation of bytes as numbers in [0, 1], a value a channel, from how often each value occurs."""
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = [images[:, k].flatten().bincount(minlength=256).double() for k in range(images.shape[1])]
    means = [float((c * values).sum() / c.sum()) for c in counts]
    spreads = [float((c * (values - m) ** 2).sum() / c.sum()) for c, m in zip(counts, means, strict=True)]
    return means, [spread**0.5 for spread in spreads]


def by_name(name: str) -> Dataset:
    return dataset(name, REAL if name != "husky-wolf" else Request(samples=20, test_samples=4))


NAMES = [
    pytest.param("mnist", marks=needs("mnist")),
    pytest.param(
        "fashion-mnist",
        marks=pytest.mark.skipif(
            not idx.find(idx.FASHION_MNIST, SHARED / "data"), reason="needs Debian's dataset-fashion-mnist"
        ),
    ),
    pytest.param("cifar10", marks=[needs("cifar10"), pytest.mark.slow]),
    pytest.param("mnist1d", marks=needs("mnist1d.npz")),
    "digits",
    "husky-wolf",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_list_says_is_so(name: str) -> None:
    made, source = by_name(name), DATASETS[name]
    assert made.name == name
    assert len(made.labels) == source.classes == len(set(made.labels))
    assert made.train.shape == (source.channels, *source.size)
    assert len(made.mean) == len(made.std) == source.channels
    assert source.here(SHARED / "data")
    if name != "husky-wolf":
        assert [len(made.train), len(made.validation)] == [source.train, source.validation]
        assert [len(test) for test in made.tests.values()] == [source.test]
    for split in (made.train, made.validation, *made.tests.values()):
        assert isinstance(split, Split)
        assert split.labels.dtype == torch.int64 and split.images.is_contiguous()
        assert split.images.dtype == (torch.float32 if name == "mnist1d" else torch.uint8)
        assert set(split.labels.tolist()) == set(range(source.classes))


@pytest.mark.parametrize("name", [*NAMES[:3], "digits"])
def test_mean_and_deviation_are_those_of_the_training_pictures(name: str) -> None:
    """CIFAR-10 lies here as JPEG files, whose deviation is a little below that of the published arrays."""
    tolerance = 2e-3 if name == "cifar10" else 6e-5
    made = by_name(name)
    means, deviations = moments(images_of(made))
    assert made.mean == pytest.approx(means, abs=tolerance)
    assert made.std == pytest.approx(deviations, abs=tolerance)


@needs("mnist")
def test_mnist_is_torchvisions() -> None:
    made = by_name("mnist")
    for train, splits in ((True, (made.train, made.validation)), (False, tuple(made.tests.values()))):
        theirs = MNIST(SHARED / "data" / "mnist", train=train, download=False)
        assert torch.equal(torch.cat([split.images for split in splits]).squeeze(1), theirs.data)
        assert torch.equal(torch.cat([split.labels for split in splits]), theirs.targets)


@needs("mnist1d.npz")
def test_the_network_is_given_mnist1ds_signals_as_published() -> None:
    made = by_name("mnist1d")
    theirs = np.load(SHARED / "data" / "mnist1d.npz")
    test = made.tests["test"]
    assert isinstance(test, Split)
    given = (test.images - made.mean[0]) / made.std[0]
    np.testing.assert_allclose(given.reshape(-1, 40), theirs["x_test"], atol=1e-6)
    np.testing.assert_array_equal(test.labels, theirs["y_test"])
    assert test.images.min() >= 0 and test.images.max() <= 1
    both = (images_of(made) - made.mean[0]) / made.std[0]
    assert abs(float(both.mean())) < 1e-3 and float(both.std()) == pytest.approx(1, abs=3e-3)


def test_digits_are_scikit_learns_each_once() -> None:
    made, theirs = by_name("digits"), sklearn.datasets.load_digits()
    splits = [split for split in (made.train, made.validation, made.tests["test"]) if isinstance(split, Split)]
    ours = [
        (label, image.tobytes())
        for s in splits
        for label, image in zip(s.labels.tolist(), s.images.numpy(), strict=True)
    ]
    expected = np.rint(theirs.images * 255 / 16).astype(np.uint8)
    pairs = zip(theirs.target.tolist(), expected, strict=True)
    assert sorted(ours) == sorted((label, image.tobytes()) for label, image in pairs)
    for split in splits:
        share = split.labels.bincount() / torch.tensor(theirs.target).bincount()
        assert float(share.max() - share.min()) < 1.2 / 17  # one picture more or less, of the smallest count


def test_husky_wolf_is_what_scenes_draws() -> None:
    made = dataset("husky-wolf", Request(seed=5, correlation=0.7, samples=6, test_samples=4))
    series = [s.image.pixels for s in scenes.generate(8, correlation=0.7, seed=5)]
    assert isinstance(made.train, Split) and isinstance(made.validation, Split)
    both = torch.cat([made.train.images, made.validation.images]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(both, np.stack(series))
    assert list(made.tests) == ["holds", "reversed"]
    assert made.augmentation == ("scene",) and (made.mean, made.std) == ((0.5,) * 3, (0.25,) * 3)


def test_files_are_split_the_same_way_whatever_the_seed_and_the_global_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (dataset("digits", Request(seed=seed)) for seed in (0, 9))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images_of(first), images_of(second))


class TestHeldOut:
    @pytest.mark.parametrize("sizes", [(178, 182, 177, 183), (5000,) * 10, (3, 97), (1, 1, 998), (2, 2)])
    def test_every_class_gives_its_share(self, sizes: tuple[int, ...]) -> None:
        labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
        count = len(labels) // 10 + 1
        kept, held = held_out(labels, count)
        assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(len(labels)))
        assert torch.equal(kept, kept.sort().values) and torch.equal(held, held.sort().values)
        for got, size in zip(labels[held].bincount(minlength=len(sizes)).tolist(), sizes, strict=True):
            assert got == 1 or abs(got - count * size / len(labels)) < 1
        if min(sizes) * count >= len(labels):
            assert len(held) == count

    def test_the_choice_outlives_versions(self) -> None:
        """Accuracies that were published stay comparable only while the same pictures are held out."""
        assert held_out(torch.arange(40) % 2, 6)[1].tolist() == [1, 8, 10, 23, 26, 27]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"Did you mean .*'mnist'"),
        ("folder:", "folder:PATH"),
        ("", "There is no dataset"),
        ("folder", "husky-wolf"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        known_dataset(name)
    with pytest.raises(OptionError, match=message):
        dataset(name, Request())


def test_a_folder_without_the_word_is_meant(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"Did you mean 'folder:{tmp_path}'"):
        known_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(size=(0, 8)), "size is"),
        (Request(channels=2), "2 channels"),
        (Request(seed=-1), "seed is -1"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(request_: Request, message: str) -> None:
    for name in ("digits", "folder:nowhere"):
        with pytest.raises(OptionError, match=message):
            dataset(name, request_)


class TestResizing:
    COLOUR = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (5, 3, 20, 30), dtype=np.uint8))

    @pytest.mark.parametrize("size", [(32, 32), (10, 15), (8, 50), (1, 1)])
    def test_sizes_change_as_a_classifier_changes_them(self, size: tuple[int, int]) -> None:
        """By Pillow, which sees to what is explained: a network is trained on what it will be asked."""
        ours = resized(self.COLOUR, (3, *size)).permute(0, 2, 3, 1).numpy().astype(int)
        for image, got in zip(self.COLOUR.permute(0, 2, 3, 1).numpy(), ours, strict=True):
            theirs = fit(image, size, None, "bilinear", 3)
            assert np.abs(theirs.astype(int) - got).max() <= 1

    def test_colour_becomes_pillows_grey(self) -> None:
        ours = resized(self.COLOUR, (1, 20, 30))
        for image, got in zip(self.COLOUR.permute(0, 2, 3, 1).numpy(), ours, strict=True):
            np.testing.assert_array_equal(got[0], np.asarray(Pillow.fromarray(image).convert("L")))

    def test_grey_is_repeated_and_floats_stay_floats(self) -> None:
        grey = torch.rand(3, 1, 1, 40, generator=torch.Generator().manual_seed(0))
        ours = resized(grey, (3, 1, 40))
        assert ours.shape == (3, 3, 1, 40) and ours.is_contiguous()
        assert all(torch.equal(ours[:, k], grey[:, 0]) for k in range(3))
        torch.testing.assert_close(resized(ours, (1, 1, 40)), grey)

    def test_a_dataset_changes_altogether(self) -> None:
        plain = dataset("digits", Request())
        made = dataset("digits", Request(size=(16, 12), channels=3))
        assert {split.shape for split in (made.train, made.validation, *made.tests.values())} == {(3, 16, 12)}
        assert (made.mean, made.std) == (plain.mean * 3, plain.std * 3)
        assert torch.equal(made.train.labels, plain.train.labels)

    def test_mean_and_deviation_of_grey(self) -> None:
        grey = dataset("husky-wolf", Request(samples=4, test_samples=2, channels=1))
        assert grey.mean == pytest.approx((0.5,)) and grey.std == pytest.approx((0.25,))
        assert grey.train.shape == (1, 128, 128)

    def test_the_same_shape_is_the_same_dataset(self) -> None:
        plain = dataset("digits", Request())
        assert adapted(plain, Request(size=(8, 8), channels=1)) is plain


class TestTooLargeForMemory:
    @pytest.fixture
    def both(self) -> tuple[Split, Files]:
        """The same enlarged pictures, all together and one by one."""
        large = dataset("digits", Request(size=(24, 24), channels=3)).validation
        small = dataset("digits", Request(size=(24, 24), channels=3, memory=1_000_000)).validation
        assert isinstance(large, Split) and isinstance(small, Files)
        return large, small

    def test_pictures_are_made_when_asked_for(self, both: tuple[Split, Files]) -> None:
        large, small = both
        assert len(small) == len(large) and small.shape == large.shape == (3, 24, 24)
        assert torch.equal(small.labels, large.labels)
        assert torch.equal(torch.stack([small[i] for i in range(len(small))]), large.images)
        assert torch.equal(small[-1], large.images[-1])
        with pytest.raises(IndexError):
            small[len(small)]

    def test_they_are_made_in_worker_processes(self, both: tuple[Split, Files]) -> None:
        large, small = both
        loader = torch.utils.data.DataLoader(pickle.loads(pickle.dumps(small)), batch_size=50, num_workers=2)
        assert torch.equal(torch.cat(list(loader)), large.images)

    def test_they_can_change_once_more(self, both: tuple[Split, Files]) -> None:
        lazy = dataset("digits", Request(size=(24, 24), channels=3, memory=1))
        again = adapted(lazy, Request(channels=1))
        assert isinstance(again.validation, Files)
        assert again.validation[3].shape == (1, 24, 24)
        assert torch.equal(again.validation[3], resized(both[0].images[3:4], (1, 24, 24))[0])


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "mnist1d"])
def test_files_that_are_missing_are_named_with_every_place(name: str, tmp_path: Path) -> None:
    if name == "fashion-mnist" and DATASETS[name].here(tmp_path):
        pytest.skip("Debian's dataset-fashion-mnist is installed")
    assert not DATASETS[name].here(tmp_path)
    with pytest.raises(DataError) as caught:
        dataset(name, Request(root=tmp_path, download=False))
    message = str(caught.value)
    assert "--data-root DIR" in message and "Expected: " in message
    assert message.count(str(tmp_path)) >= 2


def test_the_default_root_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert datasets.default_root() == tmp_path / "cnnaudit" / "datasets"
    with pytest.raises(DataError, match=str(tmp_path)):
        dataset("mnist1d", Request())
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG specification
    monkeypatch.setenv("HOME", "/home/me")
    assert datasets.default_root() == Path("/home/me/.cache/cnnaudit/datasets")
