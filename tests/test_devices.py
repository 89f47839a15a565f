"""Forms: which is chosen and why, when nothing is measured, and how agreement is told."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from networks import ARCHITECTURES, InPlace, classifier, picture, seeded
from torch import Tensor, nn

from cnnaudit import Classifier, devices
from cnnaudit.devices import AS_IS, EXACT, REDUCED, Agreement, Form, Forms, agreement, forms
from cnnaudit.hooks import borrowed


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure even small networks."""
    monkeypatch.setattr(devices, "SMALL", 0)
    monkeypatch.setattr(devices, "_SECONDS", 0.0)


def probe(clf: Classifier) -> Tensor:
    return clf.normalised(torch.cat([picture(clf.input_size, seed=seed) for seed in range(4)]))


def found(clf: Classifier, count: int = 1000) -> Forms | None:
    with borrowed(clf.network):
        return forms(clf, probe(clf), count)


def timed(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Form], float]) -> list[Form]:
    """Let a table say how long each form takes."""
    tried: list[Form] = []

    def time(bench: devices._Bench, form: Form) -> float:
        tried.append(form)
        bench.seconds[form] = seconds(form)
        return bench.seconds[form]

    monkeypatch.setattr(devices._Bench, "time", time)
    monkeypatch.setattr(devices, "_pays", lambda *_: True)
    return tried


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_form_that_is_found_agrees(architecture: str, always: None) -> None:
    clf = classifier(architecture)
    chosen = found(clf)
    assert chosen is not None
    with borrowed(clf.network), torch.no_grad():
        given = probe(clf)
        expected = clf.read(clf.network(given), len(given))
        scores = clf.read(chosen.exact.network(clf)(chosen.exact.given(clf, given)), len(given))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


def test_a_form_must_be_faster_to_be_chosen(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def slower(form: Form) -> float:
        return 1.0 + 0.1 * form.channels_last + 0.1 * bool(form.folded) + (form.dtype is not None)

    timed(monkeypatch, slower)
    assert found(classifier("in_place")) == Forms(AS_IS, None)


def test_each_step_that_pays_is_taken(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def faster(form: Form) -> float:
        return 1.0 - 0.2 * form.channels_last - 0.2 * bool(form.folded) - 0.2 * (form.dtype is not None)

    timed(monkeypatch, faster)
    folded = (("stem", "norm"),)
    expected = Forms(Form(None, True, folded), Form(torch.bfloat16, True, folded))
    assert found(classifier("in_place")) == expected


def test_less_precision_must_pay_clearly(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, lambda form: 0.85 if form.dtype else 1.0)
    assert found(classifier("in_place")) == Forms(AS_IS, None)


def test_a_form_that_fails_or_disagrees_is_never_chosen(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Viewing(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            x.view(len(x), -1)  # fails on pictures that lie channels last
            return super().forward(x)

    monkeypatch.setattr(devices, "_FASTER", math.inf)  # whatever works is taken
    clf = Classifier(seeded(Viewing), input_size=(32, 40))
    chosen = found(clf)
    assert chosen is not None
    assert not chosen.exact.channels_last
    assert chosen.exact.folded

    def wrong(*_: object) -> tuple[tuple[str, str], ...]:
        return (("block", "norm"),)

    monkeypatch.setattr(devices, "foldable", wrong)
    chosen = found(classifier("in_place"))
    assert chosen is not None
    assert not chosen.exact.folded
    assert {(form.channels_last, bool(form.folded)) for form in chosen.refused} == {(False, True), (True, True)}


def test_only_what_would_be_faster_is_refused(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "foldable", lambda *_: (("block", "norm"),))  # which gives other scores
    monkeypatch.setattr(devices, "_FASTER", 0.0)
    chosen = found(classifier("in_place"))
    assert chosen is not None
    assert chosen.refused == ()


def test_less_precision_that_overflows_is_refused(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 1e6

    monkeypatch.setattr(devices, "_reduced_types", lambda _: (torch.float16,))
    monkeypatch.setattr(devices, "_REDUCED_FASTER", math.inf)
    chosen = found(Classifier(seeded(Large), input_size=(32, 40)))
    assert chosen is not None
    assert chosen.reduced is None
    assert [form.dtype for form in chosen.refused if form.dtype] == [torch.float16]


def test_forms_are_measured_once(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clf = classifier("in_place")
    tried = timed(monkeypatch, lambda _: 1.0)
    first = found(clf)
    count = len(tried)
    assert count > 1
    assert found(clf) == first
    assert len(tried) == count


@pytest.mark.parametrize("why", ["small", "few", "little work", "bfloat16", "hooked", "scripted"])
def test_nothing_is_measured_where_it_does_not_pay(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clf = classifier("resnet")
    if why != "small":
        monkeypatch.setattr(devices, "SMALL", 0)
    if why == "little work":
        monkeypatch.setattr(devices, "_SECONDS", 1e6)
    if why == "bfloat16":
        clf.network.to(torch.bfloat16)
    if why == "hooked":
        clf.network.fc.register_forward_hook(lambda *_: None)
    if why == "scripted":
        with pytest.warns(FutureWarning):
            clf = Classifier(torch.jit.trace(clf.network, probe(clf)), input_size=clf.input_size)
    if why == "small":
        monkeypatch.setattr(devices, "SMALL", 1 + sum(p.numel() for p in clf.network.parameters()))
    assert found(clf, 99 if why == "few" else 10**6) is None


def test_random_state_is_left_alone(always: None) -> None:
    class Drawing(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 1e-9 * torch.rand_like(x))

    clf = Classifier(seeded(Drawing), input_size=(32, 40))
    with borrowed(clf.network):
        torch.rand(3)
        before = torch.get_rng_state()
        forms(clf, probe(clf), 1000)
        assert torch.equal(torch.get_rng_state(), before)


def test_agreement_by_hand() -> None:
    reference = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    same = agreement(reference, reference)
    assert same == Agreement(0.0, 0.0, 1.0, 0.0)
    shifted = agreement(reference + 5, reference)  # the same to all scores changes neither ranks nor maps
    assert (shifted.deviation, shifted.order) == (0.0, 1.0)
    assert shifted.probability < 1e-6
    scores = torch.tensor([[0.0, 1.0], [2.2, -1.0]])
    off = agreement(scores, reference)
    assert off.deviation == pytest.approx(math.sqrt(2 * 0.1**2) / math.sqrt(4))
    assert off.error == pytest.approx(0.2 / math.sqrt(6))
    assert off.probability == pytest.approx(float((scores.softmax(1) - reference.softmax(1)).abs().max()), abs=1e-6)
    assert agreement(-reference, reference).order == 0.0
    half = torch.tensor([[0.0, 1.0], [2.0, 1.5]])
    assert agreement(half, reference).order == 0.5


def test_limits() -> None:
    assert EXACT.within(REDUCED)
    assert not replace(REDUCED, error=0.01).within(EXACT)
    same = torch.ones(4, 3)
    nearly = same + 1e-6 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert agreement(nearly, same).within(EXACT)  # rounding
    assert not agreement(nearly, same).within(REDUCED)  # scores that hardly change say nothing of less precision
    assert agreement(same, same).within(REDUCED)
    broken = torch.tensor([[math.nan, 0.0], [1.0, 2.0]])
    assert not agreement(broken, torch.eye(2)).within(REDUCED)


class Wide(nn.Module):
    """Convolutions as large networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(layer for _ in range(3) for layer in (nn.LazyConv2d(64, 3, bias=False), nn.LazyBatchNorm2d(), nn.ReLU()))
        )
        self.head = nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def test_lazy_modules_that_have_been_run_are_plain_ones(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_FASTER", math.inf)
    net = Wide().eval()
    net(torch.rand(1, 3, 32, 32))
    chosen = found(Classifier(net, input_size=32))
    assert chosen is not None
    assert len(chosen.exact.folded) == 3
