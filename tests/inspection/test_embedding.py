"""The map of a photo set against scikit-learn's PCA on features that a plain hook took."""

import sys
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import torch
import torchvision
from model_state import differences, model_state
from PIL import Image as PillowImage
from sklearn.decomposition import PCA
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import DataError, LayerError, ModelError, NotApplicableError, OptionError
from cnnaudit.inspection import embedding
from cnnaudit.inspection.last_features import penultimate
from cnnaudit.inspection.projections import pca


def small(labels: tuple[str, ...] = ("cat", "dog", "emu")) -> Classifier:
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, len(labels))
    )
    return Classifier(network, labels=labels, input_size=(10, 12), mean=0.4, std=0.3)


def pictures(count: int = 40) -> Split:
    rng = torch.Generator().manual_seed(7)
    images = torch.randint(0, 256, (count, 3, 10, 12), generator=rng, dtype=torch.uint8)
    return Split(images, torch.arange(count) % 3)


def of_hooks(asked: Classifier, layer: str, pixels: Tensor) -> np.ndarray:
    taken: list[Tensor] = []
    module = asked.network.get_submodule(layer)
    handle = module.register_forward_pre_hook(lambda _m, given: taken.append(given[0]))
    mean, std = (torch.tensor(values)[:, None, None] for values in (asked.mean, asked.std))
    with torch.no_grad():
        asked.network.eval()((pixels - mean) / std)
    handle.remove()
    return taken[0].flatten(2).mean(2).numpy() if taken[0].ndim > 2 else taken[0].numpy()


def assert_principal(points: np.ndarray, explained: tuple[float, float] | None, features: np.ndarray) -> None:
    oracle = PCA(2, svd_solver="full").fit(features.astype(np.float64))
    expected = oracle.transform(features.astype(np.float64))
    signs = np.sign((expected * points).sum(0))
    assert points == pytest.approx(expected * signs, abs=1e-4 * np.abs(expected).max())
    assert explained == pytest.approx(tuple(oracle.explained_variance_ratio_), rel=1e-5)
    axes = oracle.components_ * signs[:, None]
    assert (np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1) > 0).all()


@pytest.mark.parametrize(("n", "d"), [(60, 7), (12, 80), (20, 9000), (5, 5)])
def test_points_and_shares_are_scikit_learn_s(n: int, d: int) -> None:
    rng = torch.Generator().manual_seed(n)
    features = torch.randn(n, d, generator=rng) @ torch.diag(torch.linspace(1, 3, d)) + 5
    points, explained = pca(features)
    assert_principal(points, explained, features.numpy())


def test_features_without_variance_lie_at_one_point() -> None:
    assert pca(torch.ones(4, 3)) == (pytest.approx(np.zeros((4, 2))), (0.0, 0.0))
    points, explained = pca(torch.arange(4.0)[:, None])
    assert points[:, 1].tolist() == [0.0] * 4
    assert explained == (1.0, 0.0)


@pytest.mark.parametrize("name", networks.ARCHITECTURES)
def test_the_map_is_of_what_the_last_layer_is_given(name: str) -> None:
    asked = networks.classifier(name)
    pixels = torch.cat([networks.picture(asked.input_size, seed=seed) for seed in range(9)])
    before = model_state(asked.network)
    found = embedding(asked, pixels, batch_size=4)
    assert not differences(before, model_state(asked.network))
    features = of_hooks(asked, found.layer, pixels)
    assert found.features == features.shape[1]
    assert_principal(found.points, found.explained, features)
    answers = [asked.predict(each[None])[0] for each in pixels]
    assert list(found.answers) == [answer.label for answer in answers]
    assert list(found.confidences) == pytest.approx([answer.probability for answer in answers], rel=1e-4)
    assert (found.classes, found.mistakes, found.names) == (None, None, ())


def test_a_convolution_at_the_end_is_found_and_its_input_averaged() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        asked = Classifier(torchvision.models.squeezenet1_1(num_classes=4), input_size=(64, 64))
    pixels = torch.cat([networks.picture((64, 64), seed=seed) for seed in range(6)])
    found = embedding(asked, pixels)
    assert (found.layer, found.features, found.pooled) == ("classifier.1", 512, True)
    assert_principal(found.points, found.explained, of_hooks(asked, "classifier.1", pixels))


def test_the_layer_of_the_logits_is_the_last_and_not_an_auxiliary_one() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head, self.side = nn.Linear(12, 8), nn.Linear(8, 3), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.body(x.flatten(1))
            logits = self.head(x)
            self.side(x)
            return logits

    assert penultimate(Classifier(Auxiliary(), input_size=(2, 2), channels=3)) == "head"


def test_parts_of_a_dataset_bring_their_classes() -> None:
    asked, split = small(), pictures()
    found = embedding(asked, split, batch_size=16)
    pixels = split.images.float() / 255
    assert_principal(found.points, found.explained, of_hooks(asked, "4", pixels))
    truth = [("cat", "dog", "emu")[k] for k in split.labels.tolist()]
    answers = [asked.labels[k] for k in asked.scores(pixels).argmax(1).tolist()]
    assert found.classes == tuple(truth)
    assert found.answers == tuple(answers)
    assert found.mistakes == tuple(a != b for a, b in zip(truth, answers, strict=True))
    assert found.indices == tuple(range(40))
    assert np.array_equal(found.thumbnails, split.images.permute(0, 2, 3, 1).numpy())


class Counted:
    """Reads pictures of a split and remembers which."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __call__(self, index: int) -> Tensor:
        return self.split.images[index]


def test_files_and_pixels_give_the_same_map_as_memory() -> None:
    asked, split = small(), pictures(12)
    expected = embedding(asked, split)
    streamed = embedding(asked, Files(split.labels, split.shape, Counted(split)))
    given = embedding(asked, split.images.float() / 255, classes=split.labels.tolist())
    for found in (streamed, given):
        assert np.array_equal(found.points, expected.points)
        assert found.classes == expected.classes
        assert found.mistakes == expected.mistakes


def test_of_many_pictures_some_are_drawn_by_the_seed() -> None:
    asked, split = small(), pictures(100)
    told: list[tuple[int, int]] = []
    found = embedding(asked, split, most=20, seed=3, batch_size=8, progress=lambda *done: told.append(done))
    assert (len(found.points), found.total) == (20, 100)
    assert list(found.indices) == sorted(set(found.indices))
    assert found.indices == embedding(asked, split, most=20, seed=3).indices
    assert found.indices != embedding(asked, split, most=20, seed=4).indices
    assert told[-1] == (20, 20)
    pixels = split.images[list(found.indices)].float() / 255
    assert_principal(found.points, found.explained, of_hooks(asked, "4", pixels))


def dataset(labels: tuple[str, ...], split: Split) -> Dataset:
    return Dataset("made up", labels, split, split, {"test": split}, (0.5,) * 3, (0.5,) * 3, ())


def test_a_dataset_s_labels_are_compared_by_name() -> None:
    split = pictures(9)
    found = embedding(small(), dataset(("emu", "cat", "dog"), split))
    assert found.classes == tuple(("emu", "cat", "dog")[k] for k in split.labels.tolist())
    assert found.mistakes == tuple(a != b for a, b in zip(found.classes, found.answers, strict=True))
    foreign = embedding(small(), dataset(("oak", "elm", "fir"), split))
    assert foreign.classes is not None
    assert set(foreign.classes) == {"oak", "elm", "fir"}
    assert foreign.mistakes is None
    nameless = embedding(Classifier(small().network, input_size=(10, 12)), dataset(("oak", "elm", "fir"), split))
    assert nameless.classes is not None
    assert nameless.classes[0] == "class 0"
    assert nameless.mistakes is not None


def test_a_folder_without_classes_will_do_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(5):
        PillowImage.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(tmp_path / f"{place}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    asked = small()
    found = embedding(asked, tmp_path)
    assert found.names == ("0.png", "1.png", "2.png", "4.png")
    assert found.indices == (0, 1, 2, 4)
    assert (found.classes, found.mistakes, found.total) == (None, None, 5)
    assert len(found.unread) == 1
    assert "3.png" in found.unread[0]
    listed = embedding(asked, [tmp_path / name for name in found.names], classes=["cat", "dog", "emu", 0])
    assert np.array_equal(listed.points, found.points)
    assert listed.classes == ("cat", "dog", "emu", "cat")


def test_thumbnails_are_small_and_signals_keep_their_length() -> None:
    asked = networks.classifier("functional")
    found = embedding(asked, torch.rand(3, 3, 100, 160))
    assert found.thumbnails.shape == (3, 40, 64, 3)
    torch.manual_seed(0)
    signals = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(90, 3)), input_size=(1, 90), channels=1)
    assert embedding(signals, torch.rand(3, 1, 1, 90)).thumbnails.shape == (3, 1, 90, 1)


def test_without_umap_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(OptionError, match="pip install umap-learn"):
        embedding(small(), pictures(), method="umap")


def test_umap_is_given_the_features_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Package:
        @staticmethod
        def UMAP(**options: Any) -> Any:
            asked.update(options)
            return Package()

        def fit_transform(self, features: np.ndarray) -> np.ndarray:
            np.random.random()  # numba and scikit-learn draw as they like
            asked["features"] = features
            return features[:, :2].astype(np.float64)

    monkeypatch.setitem(sys.modules, "umap", Package)
    classifier, split = small(), pictures(10)
    before = model_state(classifier.network)
    found = embedding(classifier, split, method="umap", seed=11)
    assert not differences(before, model_state(classifier.network))
    assert (asked["n_components"], asked["n_neighbors"], asked["random_state"]) == (2, 9, 11)
    assert asked["features"] == pytest.approx(of_hooks(classifier, "4", split.images.float() / 255), abs=1e-6)
    assert found.explained is None
    assert found.points.dtype == np.float32


@pytest.mark.slow
def test_umap_itself_keeps_groups_together() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")
    asked = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), input_size=(4, 4), channels=3)
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([0.1, 0.9])[torch.arange(60) % 2][:, None, None, None]
    found = embedding(asked, (centres + 0.05 * torch.rand(60, 3, 4, 4, generator=rng)).clamp(0, 1), method="umap")
    first, second = found.points[::2], found.points[1::2]
    spread = max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in (first, second))
    assert np.linalg.norm(first.mean(0) - second.mean(0)) > spread


def test_what_cannot_be_mapped_is_refused_in_words(tmp_path: Path) -> None:
    asked, split = small(), pictures(6)
    with pytest.raises(OptionError, match="Did you mean 'umap'"):
        embedding(asked, split, method="umpa")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="most is at least 3"):
        embedding(asked, split, most=2)
    with pytest.raises(LayerError, match="no layer 'heads'"):
        embedding(asked, split, layer="heads")
    with pytest.raises(DataError, match="at least 3 pictures; 2 of 2"):
        embedding(asked, pictures(2))
    with pytest.raises(OptionError, match="5 classes were given for 6"):
        embedding(asked, split, classes=[0] * 5)
    with pytest.raises(OptionError, match="no class 'cow'"):
        embedding(asked, split, classes=["cow"] * 6)
    with pytest.raises(OptionError, match=r"in \[0, 1\]; got \(4, 1, 10, 12\)"):
        embedding(asked, torch.rand(4, 1, 10, 12))
    with pytest.raises(OptionError, match="Pictures are a dataset"):
        embedding(asked, 7)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="classes up to 9; there are 3 labels"):
        embedding(asked, Split(split.images, torch.full((6,), 9)))
    with pytest.raises(OptionError, match="holds no picture"):
        embedding(asked, tmp_path)
    with pytest.raises(ModelError, match=r"Its input size is \(32, 32\)"):
        embedding(networks.classifier("mlp"), torch.rand(4, 3, 10, 10))
    with pytest.raises(NotApplicableError, match="no linear layer"):
        embedding(Classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=(4, 4)), split)
    with torch.no_grad():
        asked.network.get_parameter("0.weight").fill_(torch.inf)
    with pytest.raises(ModelError, match="not finite"):
        embedding(asked, split)
