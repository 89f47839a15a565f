"""One pass over the pictures: what it says, what it keeps on disk, and what it holds in memory."""

import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing import survey as module
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.survey import survey
from cnnaudit.auditing.surveys import Survey
from cnnaudit.auditing.tallies import accuracy, answered, by_class, few
from cnnaudit.errors import DataError, ImageError, ModelError, OptionError
from cnnaudit.results import ClassFacts, Share


def network(features: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, features, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 3))
    return nn.Sequential(*layers)


def classifier(net: nn.Module | None = None) -> Classifier:
    return Classifier(net or network(), input_size=(12, 12), mean=0.4, std=0.3)


def pictures(n: int = 70, broken: Sequence[int] = (), black: Sequence[int] = ()) -> Pictures:
    """Each is drawn when it is asked for; `broken` cannot be read."""

    def read(places: Sequence[int]) -> Tensor:
        if set(places) & set(broken):
            raise ImageError(f"number {min(set(places) & set(broken))} is damaged")
        drawn = [torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(place)) for place in places]
        return torch.stack([0 * each if place in black else each for place, each in zip(places, drawn, strict=True)])

    return Pictures("drawn", tuple(map(str, range(n))), torch.arange(n) % 3, read)


def equal(a: Survey, b: Survey) -> bool:
    def bits(rows: Survey) -> list[Tensor]:
        found = [rows.confidence, rows.truthful, rows.embeddings, *rows.properties.values()]
        return [rows.predicted, *(each.view(torch.int32) for each in found)]

    same = all(torch.equal(x, y) for x, y in zip(bits(a), bits(b), strict=True))
    return same and list(a.properties) == list(b.properties)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARD", 16)
    monkeypatch.setattr(module, "_BATCH", 6)


def test_rows_are_what_torch_says(small: None) -> None:
    net, seen = network(), pictures()
    rows = survey(classifier(net), seen)
    with torch.no_grad():
        given = (seen.read(range(70)) - 0.4) / 0.3
        features = net[:4](given)
        probabilities = net(given).softmax(1)
    assert torch.equal(rows.predicted, probabilities.argmax(1))
    torch.testing.assert_close(rows.confidence, probabilities.max(1).values)
    torch.testing.assert_close(rows.truthful, probabilities[torch.arange(70), seen.truth])
    torch.testing.assert_close(rows.embeddings, features)
    assert all(values.shape == (70,) and values.dtype == torch.float32 for values in rows.properties.values())


def test_many_features_are_projected_so_that_distances_last() -> None:
    net, seen = network(700), pictures(40)
    rows = survey(classifier(net), seen).embeddings
    with torch.no_grad():
        whole = net[:4]((seen.read(range(40)) - 0.4) / 0.3)
    assert rows.shape == (40, 64)
    ratio = torch.pdist(rows) / torch.pdist(whole)
    assert 0.85 < float(ratio.mean()) < 1.15
    assert float(ratio.std()) < 0.25  # 1 / sqrt(2 * 64) = 0.09 for independent directions


def test_a_network_without_a_layer_to_watch_is_known_by_its_scores() -> None:
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    seen = pictures(8)
    assert torch.allclose(survey(classifier(Bare()), seen).embeddings, (seen.read(range(8)).mean((2, 3)) - 0.4) / 0.3)


def test_the_network_is_as_it_was(small: None) -> None:
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    survey(classifier(net), pictures())
    assert net.training and all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_an_interrupted_survey_goes_on_where_it_was_to_the_same_bits(small: None, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    asked: list[int] = []
    counted = network()
    counted.register_forward_hook(lambda _module, given, _answer: asked.append(len(given[0])))

    def stop(done: int, _total: int) -> None:
        if done >= 40:
            raise Stop

    whole = survey(classifier(), pictures())
    with pytest.raises(Stop):
        survey(classifier(), pictures(), cache=tmp_path, progress=stop)
    assert len(list(tmp_path.iterdir())) == 2  # of 16 pictures each
    resumed = classifier(counted)
    asked.clear()
    rows = survey(resumed, pictures(), cache=tmp_path)
    assert sum(asked) - 70 + 32 <= 8  # the rest of the pictures, and a few to find the layer
    assert equal(rows, whole)
    assert equal(survey(classifier(), pictures(), cache=tmp_path), whole)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_shard_is_made_again(small: None, tmp_path: Path, damage: str) -> None:
    whole = survey(classifier(), pictures(), cache=tmp_path)
    path = sorted(tmp_path.iterdir())[1]
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:half],
            "flip": content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :],
            "empty": b"",
            "other": next(p for p in tmp_path.iterdir() if p.stat().st_size < len(content)).read_bytes(),
        }[damage]
    )
    assert equal(survey(classifier(), pictures(), cache=tmp_path), whole)
    assert path.read_bytes() == content


def test_what_has_changed_is_asked_again(small: None, tmp_path: Path) -> None:
    survey(classifier(), pictures(), cache=tmp_path)
    net = network()
    with torch.no_grad():
        net.get_parameter("4.bias").add_(1)
    assert equal(survey(classifier(net), pictures(), cache=tmp_path), survey(classifier(net), pictures()))
    assert equal(survey(classifier(), pictures(black=[20]), cache=tmp_path), survey(classifier(), pictures(black=[20])))
    assert len(list(tmp_path.iterdir())) == 5 + 5 + 1


class Waving(nn.Module):
    """What its forward calls is in none of its parts."""

    def __init__(self, called: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self._called = network(), called

    def forward(self, x: Tensor) -> Tensor:
        return self._called(10 * self.inner(x))


def test_another_forward_with_the_same_weights_is_asked_again(small: None, tmp_path: Path) -> None:
    survey(classifier(Waving(torch.relu)), pictures(), cache=tmp_path)
    found, other = classifier(Waving(torch.sin)), classifier(Waving(torch.sin))
    assert equal(survey(found, pictures(), cache=tmp_path), survey(other, pictures()))
    survey(classifier(Waving(torch.relu)), pictures(), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5 + 5


def test_a_network_that_fails_on_noise_alone_is_asked_all_the_same(tmp_path: Path) -> None:
    def called(x: Tensor) -> Tensor:
        if len(x) == 2 and float(x.std()) > 0.01:
            raise ZeroDivisionError("not on noise")
        return x

    seen = pictures(8)
    rows = survey(classifier(Waving(called)), seen, cache=tmp_path)
    assert equal(survey(classifier(Waving(called)), seen, cache=tmp_path), rows)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="another folder"):
        survey(classifier(), pictures(4), cache=tmp_path / "file")


class Fussy(nn.Module):
    """Not a number for a black picture."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) / (x.std((1, 2, 3), correction=0) > 0).float().unsqueeze(1)


def test_a_picture_without_an_answer_is_a_row_of_its_own(small: None, tmp_path: Path) -> None:
    seen, asked = pictures(broken=[5, 33], black=[7]), classifier(Fussy())
    rows = survey(asked, seen, cache=tmp_path)
    assert (rows.predicted < 0).nonzero().flatten().tolist() == [5, 7, 33]
    assert equal(survey(asked, seen, cache=tmp_path), rows)
    kept, left, failures = answered(asked, seen, rows)
    assert [each.name for each in failures] == ["5", "7", "33"]
    assert "damaged" in failures[0].reason and "not finite" in failures[1].reason
    assert len(kept) == len(left.predicted) == len(left.embeddings) == 67
    assert torch.isfinite(left.embeddings).all()
    assert torch.equal(kept.read([5, 6]), seen.read([6, 8]))


def test_no_answer_at_all_is_an_error() -> None:
    asked = classifier(Fussy())
    black, broken = pictures(4, black=range(4)), pictures(4, broken=range(4))
    with pytest.raises(ModelError, match="none of the 4"):
        answered(asked, black, survey(asked, black))
    with pytest.raises(DataError, match="number 0 is damaged"):
        answered(asked, broken, survey(asked, broken))


def test_what_a_forward_raises_is_an_error_of_the_model() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if float(x.max()) > 2:
                raise ZeroDivisionError("not today")
            return x.mean((2, 3))

    with pytest.raises(ModelError, match="not today"):
        survey(Classifier(Failing(), input_size=(12, 12), std=0.1), pictures(4))


def test_batches_shrink_when_memory_runs_out() -> None:
    class Tight(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return x.mean((2, 3))

    seen = pictures(20)
    rows = survey(classifier(Tight()), seen)
    assert torch.equal(rows.predicted, seen.read(range(20)).mean((2, 3)).argmax(1))


def test_memory_is_flat_but_for_a_row_a_picture() -> None:
    """Of 12 x 12 pictures, 1.7 KB each, and 2,304 more of them, no more than the row stays."""
    asked = classifier()
    survey(asked, pictures(256))

    def peak(n: int) -> int:
        seen = pictures(n)
        tracemalloc.start()
        survey(asked, seen)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert (peak(2560) - peak(256)) / 2304 < 400  # NumPy's memory is traced, and rows are NumPy's


def test_no_two_batches_are_alive_at_once(small: None) -> None:
    """Counted by the pictures themselves: tensors are not traced."""
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    plain = pictures(64)

    def read(places: Sequence[int]) -> Tensor:
        nonlocal most
        most = max(most, sum(each() is not None for each in alive))
        made = plain.read(places)
        alive.append(weakref.ref(made))
        return made

    survey(classifier(), Pictures("drawn", plain.names, plain.truth, read))
    assert len(alive) == 12 and most <= 1


def test_accuracy_is_scikit_learn_s() -> None:
    asked, seen = classifier(), pictures()
    rows = survey(asked, seen)
    assert accuracy(seen, rows).value == accuracy_score(seen.truth, rows.predicted)
    assert [each.pictures for each in by_class(asked, seen, rows)] == [24, 23, 23]
    recalls = [accuracy_score(seen.truth[seen.truth == k], rows.predicted[seen.truth == k]) for k in range(3)]
    assert [each.right.value for each in by_class(asked, seen, rows)] == recalls


def test_few_pictures_a_class_are_said_with_numbers() -> None:
    right = Share(1, 1, 1.0, 0.2, 1.0)
    rows = tuple(ClassFacts(str(k), 1, right) for k in range(3))
    (note,) = few(classifier(), rows)
    assert "3 pictures of 3 of the network's 3 classes, 1 of the middle one" in note
    assert "21\u202f%" in note  # Wilson's interval of 1 in 1: 1 / (1 + 1.96 ** 2) = 0.207
    assert few(classifier(), tuple(ClassFacts(str(k), 20, right) for k in range(3))) == ()


def test_classes_with_fewer_pictures_than_the_others_are_named() -> None:
    right = Share(1, 1, 1.0, 0.2, 1.0)

    def said(*counts: int) -> tuple[str, ...]:
        return few(classifier(), tuple(ClassFacts(f"class {k}", n, right) for k, n in enumerate(counts)))

    assert said(120, 6, 120)[0].startswith("1 of 3 classes has fewer than 20 pictures: class 1 (6).")
    assert "2 of 5 classes have fewer than 20 pictures: class 3 (2), class 0 (19)." in said(19, 50, 50, 2, 50)[0]
    assert ", class 4 (5) and 2 more. What" in said(*range(1, 8), *[30] * 8)[0]
    assert said(20, 20, 300) == ()
