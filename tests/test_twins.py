"""Twins: the same scores in another form, the first network left alone, and nothing folded that may not be."""

import pytest
import torch
import torch.nn.functional as F
from model_state import differences, model_state
from networks import ARCHITECTURES, input_size, network, picture, seeded
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from cnnaudit.hooks import borrowed
from cnnaudit.twins import can_have_twin, foldable, twin


def pairs(net: nn.Module, x: Tensor) -> tuple[tuple[str, str], ...]:
    return foldable(net, lambda: net(x))


def logits(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found = net(x)
    return found["logits"] if isinstance(found, dict) else found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folded_channels_last_twin_gives_the_same_scores(architecture: str) -> None:
    net, x = network(architecture), picture(input_size(architecture))
    before = model_state(net)
    with borrowed(net):
        again = twin(net, dtype=torch.float32, channels_last=True, folded=pairs(net, x))
        torch.testing.assert_close(logits(again, x), logits(net, x), rtol=1e-4, atol=1e-5)
    assert differences(before, model_state(net)) == []


@pytest.mark.parametrize("architecture", ["in_place", "resnet", "mobilenet_v2", "densenet", "efficientnet"])
def test_as_many_are_folded_as_by_torchs_own_tracing(architecture: str) -> None:
    net, x = network(architecture), picture(input_size(architecture))

    def norms(of: nn.Module) -> int:
        return sum(isinstance(module, nn.BatchNorm2d) for module in of.modules())

    found = pairs(net, x)
    assert len(found) == norms(net) - norms(fuse(net)) > 0
    assert norms(twin(net, dtype=torch.float32, folded=found)) == norms(net) - len(found)


def test_what_does_not_change_is_shared() -> None:
    net = network("resnet")
    again = twin(net, dtype=torch.float32)
    assert all(a is b for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert all(a is b for a, b in zip(net.buffers(), again.buffers(), strict=True))
    assert not {id(module) for module in net.modules()} & {id(module) for module in again.modules()}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_another_type_is_every_float_tensors(dtype: torch.dtype) -> None:
    net = network("resnet")
    again = twin(net, dtype=dtype, channels_last=True)
    tensors = [*again.parameters(), *again.buffers()]
    assert {tensor.dtype for tensor in tensors} == {dtype, torch.int64}  # how many batches a norm has seen
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in tensors if t.ndim == 4)
    assert {tensor.dtype for tensor in net.parameters()} == {torch.float32}


class Consumers(nn.Module):
    """A convolution and a normalisation, with something that forbids folding, or not."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv, self.norm, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.how == "twice used":
            return (self.norm(y) + y).mean((2, 3))
        if self.how == "read first":
            return self.norm(y * y.shape[0]).mean((2, 3))
        if self.how == "changed in place":
            return self.norm(F.relu_(y)).mean((2, 3))
        if self.how == "conv twice":
            return (self.norm(y) + self.other(self.conv(y))).mean((2, 3))
        if self.how == "norm twice":
            return (self.norm(y) + self.norm(x)).mean((2, 3))
        if self.how == "weight used":
            return self.norm(y).mean((2, 3)) + self.conv.weight.sum()
        if self.how == "in a list":
            return torch.cat([y, self.norm(y)], 1).mean((2, 3))
        return (self.norm(y) * y.shape[0]).mean((2, 3))  # its shape may be asked for


@pytest.mark.parametrize(
    "how",
    ["twice used", "read first", "changed in place", "conv twice", "norm twice", "weight used", "in a list", "plain"],
)
def test_only_a_convolution_with_one_consumer_is_folded(how: str) -> None:
    net, x = seeded(lambda: Consumers(how)), torch.rand(1, 3, 8, 8)
    found = pairs(net, x)
    assert found == ((("conv", "norm"),) if how == "plain" else ())
    torch.testing.assert_close(logits(twin(net, dtype=torch.float32, folded=found), x), logits(net, x))


def test_modules_in_two_places_stay_one() -> None:
    block = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(block, nn.ReLU(), block, nn.Flatten()).eval()
    again = twin(net, dtype=torch.bfloat16)
    assert again[0] is again[2]


def test_scripted_and_hooked_networks_have_none() -> None:
    net = network("in_place")
    assert can_have_twin(net)
    handle = net.block.register_forward_pre_hook(lambda *_: None)
    assert not can_have_twin(net)
    handle.remove()
    assert can_have_twin(net)
    net.head.register_forward_hook(lambda *_: None)
    assert not can_have_twin(net)
