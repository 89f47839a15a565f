"""The shell around every change to a model."""

import contextlib
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from model_state import differences, model_state, surroundings
from networks import InPlace, network, picture, seeded
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import cnnaudit.attribution  # noqa: F401
from cnnaudit import hooks

# the package has functions of the same names as these modules
deep_lift: Any = sys.modules["cnnaudit.attribution.deep_lift"]
guided_backprop: Any = sys.modules["cnnaudit.attribution.guided_backprop"]


class Untidy(nn.Module):
    """A forward that writes to buffers, attributes, hooks and global random state."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("seen", torch.zeros(1))
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.last = x
        self.fresh = torch.rand(1)
        self.layer.register_forward_hook(lambda *_: None)
        return self.layer(x) + torch.rand(1)


class SideEffect(nn.Module):
    """The in-place ReLU's result is not assigned, and the shortcut sees it all the same."""

    def __init__(self, *, functional: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)
        self.functional = functional

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.functional:
            F.relu(x, True)
        else:
            self.relu(x)
        y = self.second(x)
        y += x
        F.leaky_relu_(y)
        return self.head(y.mean((2, 3)))


def test_lends_the_network_frozen_in_evaluation_mode_with_gradients_on() -> None:
    net = network("in_place").train()
    with torch.inference_mode(), hooks.borrowed(net) as lent:
        assert lent is net
        assert not any(module.training for module in net.modules())
        assert not any(p.requires_grad for p in net.parameters())
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_undoes_what_the_forward_itself_left(error: type[BaseException] | None) -> None:
    net = Untidy().train()
    before = model_state(net)
    with pytest.raises(error) if error else contextlib.nullcontext(), hooks.borrowed(net):
        net(torch.ones(1, 4))
        if error:
            raise error
    assert differences(before, model_state(net)) == []


def test_undoes_changes_made_inside() -> None:
    net = network("in_place").train()
    net.stem.weight.grad = torch.ones_like(net.stem.weight)
    before = model_state(net)
    with hooks.borrowed(net):
        net.pool = nn.AvgPool2d(2)
        net.stem.weight = nn.Parameter(torch.zeros_like(net.stem.weight))
        net.extra = nn.Linear(1, 1)
        net.register_buffer("other", torch.zeros(1))
        net.relu.inplace = not net.relu.inplace
        net.block.bias.grad = torch.ones(1).expand_as(net.block.bias)
        net.norm.reset_running_stats()
        del net.dropout
        net.register_full_backward_hook(lambda *_: None)
    assert differences(before, model_state(net)) == []


def test_hooks_of_the_user_survive_and_are_called() -> None:
    net, calls = network("in_place"), []
    handle = net.pool.register_forward_hook(lambda *_: calls.append("user"))
    with hooks.borrowed(net):
        net(picture((32, 40)))
        handle.remove()
    net(picture((32, 40)))
    assert calls == ["user", "user"]  # what is removed inside comes back


def test_borrowing_twice_is_borrowing_once() -> None:
    net = network("in_place").train()
    before = model_state(net)
    with hooks.borrowed(net):
        with hooks.borrowed(net):
            pass
        assert not net.training
        assert not net.stem.weight.requires_grad
    assert differences(before, model_state(net)) == []


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "old weight_norm", "tied"])
def test_weights_that_are_computed_or_shared(how: str) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).train()
    if how == "tied":
        net[1].weight = net[0].weight
    elif how == "old weight_norm":
        torch.nn.utils.weight_norm(net[0])
    else:
        getattr(parametrizations, how)(net[0])
    before = model_state(net)
    with hooks.borrowed(net):
        x = torch.ones(1, 4, requires_grad=True)
        assert torch.autograd.grad(net(x).sum(), x)[0].any()
    assert differences(before, model_state(net)) == []


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_a_scripted_network_is_lent_too() -> None:
    with torch.random.fork_rng():
        net = torch.jit.trace(network("in_place"), picture((32, 40)))
    before = surroundings(), [p.requires_grad for p in net.parameters()], net.training
    with hooks.borrowed(net):
        assert not any(p.requires_grad for p in net.parameters())
    assert before == (surroundings(), [p.requires_grad for p in net.parameters()], net.training)


@pytest.mark.parametrize("functional", [True, False])
def test_in_place_side_effects_are_part_of_the_network(functional: bool) -> None:
    """Neither evaluation nor interception may turn the network into another one."""
    net = seeded(lambda: SideEffect(functional=functional))
    x = picture((8, 8))
    own = net(x)
    tables = (deep_lift._replacements([]), guided_backprop._replacements({"guided": 0, "plain": 0}))
    with hooks.borrowed(net):
        assert torch.equal(net(x), own)
        for table in tables:
            with hooks.intercepted(table):
                pixels = torch.cat([x, x * 0.5]).requires_grad_()
                torch.testing.assert_close(net(pixels)[:1], own)
                assert torch.autograd.grad(net(pixels)[0].sum(), pixels)[0].any()


def test_watched_hands_over_outputs_and_takes_replacements() -> None:
    net, names = network("in_place"), []

    def seen(name: str, output: Tensor) -> Tensor | None:
        names.append(name)
        return output * 0 if name == "last" else None

    with hooks.watched({"pool": net.pool, "last": net.last}, seen), torch.no_grad():
        score = net(picture((32, 40)))
    assert names == ["pool", "last"]
    torch.testing.assert_close(score[0], net.head.bias)
    with torch.no_grad():
        assert not torch.allclose(net(picture((32, 40)))[0], net.head.bias)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.relu(x),
        lambda x: F.relu(x, inplace=True),
        lambda x: nn.ReLU(inplace=True)(x),
        lambda x: torch.relu(x),
        lambda x: x.relu(),
        lambda x: x.relu_(),
        lambda x: torch.relu_(x),
    ],
)
def test_intercepted_meets_every_form_of_an_operation(call: Any) -> None:
    met = []
    forms = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
    with hooks.intercepted({form: lambda x, *_, **__: (met.append(1), torch.relu(x))[1] for form in forms}):
        call(torch.randn(3, generator=torch.Generator().manual_seed(0)))
    assert met == [1]


def test_interception_ends_with_the_block() -> None:
    with contextlib.suppress(ValueError), hooks.intercepted({torch.relu: lambda x: x * 7}):
        raise ValueError
    assert torch.relu(torch.ones(1)) == 1


def test_in_place_network_predicts_as_it_does_by_itself() -> None:
    net = seeded(InPlace)
    x = picture((32, 40))
    with hooks.borrowed(net):
        assert torch.equal(net(x), seeded(InPlace)(x))
