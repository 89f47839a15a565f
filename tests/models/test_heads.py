"""A new head has the shape that torchvision would have given it, and a frozen backbone does not move."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from cnnaudit.errors import ModelError, OptionError
from cnnaudit.models import ARCHITECTURES
from cnnaudit.models.heads import freeze_backbone, head_parameters, replace_head

FAMILIES = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "googlenet": "fc",
    "inception_v3": "fc",
    "maxvit_t": "classifier.5",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_x_400mf": "fc",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier.1",
    "swin_t": "head",
    "swin_v2_t": "head",
    "vgg11": "classifier.6",
    "vit_b_32": "heads.head",
}


def zoo(name: str, classes: int) -> nn.Module:
    """A torchvision network without numbers, where it can be built so."""
    arguments: dict[str, Any] = {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        arguments |= {"aux_logits": False, "init_weights": False}
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return torchvision.models.get_model(name, weights=None, **arguments)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_head_of_every_family_is_found(name: str) -> None:
    network, theirs = zoo(name, 11), zoo(name, 5)
    before = dict(network.named_parameters())
    fresh = replace_head(network, 5)
    assert {key.rpartition(".")[0] for key in fresh} == {FAMILIES[name]}
    ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert ours == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    after = dict(network.named_parameters())
    assert {key for key in after if after[key] is not before[key]} == set(fresh)
    assert head_parameters(network) == fresh


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_of_our_own(name: str) -> None:
    network = ARCHITECTURES[name]()
    last = next(iter(reversed(network)))  # type: ignore[call-overload]
    assert [dict(network.named_parameters())[key] for key in head_parameters(network)] == list(last.parameters())


def test_a_head_that_is_a_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 9, 3, stride=2, bias=False), nn.AdaptiveAvgPool2d(1))
    assert replace_head(network.double(), 6) == ("1.weight",)
    assert network(torch.rand(2, 3, 9, 9).double()).shape == (2, 6, 1, 1)
    signals = nn.Sequential(nn.Conv1d(1, 9, 3, padding=1, padding_mode="circular"))
    replace_head(signals, 4)
    assert signals(torch.rand(2, 1, 9)).shape == (2, 4, 9)


def test_a_fresh_head_draws_from_the_random_state_of_the_caller() -> None:
    heads = []
    for seed in (1, 1, 2):
        network = ARCHITECTURES["cnn1"]()
        torch.manual_seed(seed)
        replace_head(network, 10)
        heads.append(network.get_submodule("fc1").weight)
    assert torch.equal(heads[0], heads[1])  # type: ignore[arg-type]
    assert not torch.equal(heads[0], heads[2])  # type: ignore[arg-type]


def test_a_network_without_a_head() -> None:
    with pytest.raises(ModelError, match="no linear or convolutional layer"):
        replace_head(nn.Sequential(nn.Flatten()), 3)
    with pytest.raises(ModelError, match="nothing to keep"):
        replace_head(nn.Linear(3, 4), 3)
    with pytest.raises(OptionError, match="labels"):
        replace_head(ARCHITECTURES["cnn1"](), 0)


def stepped(network: nn.Module, *, head_only: bool) -> dict[str, Tensor]:
    """The state after a step of training on noise."""
    network.train()
    frozen = freeze_backbone(network, head_parameters(network)) if head_only else None
    if frozen:
        frozen.hold()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.rand(8, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    if frozen:
        frozen.undo()
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", ["vgg8", "resnet18"])
def test_a_frozen_backbone_keeps_its_bits_statistics_included(name: str) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[name]() if name in ARCHITECTURES else torchvision.models.resnet18(num_classes=10)
    head = head_parameters(network)
    network.get_parameter("conv1.weight").requires_grad_(False)  # the user's own choice, which is to last
    start = {key: value.clone() for key, value in network.state_dict().items()}
    held = stepped(network, head_only=True)
    assert {key for key in held if not torch.equal(held[key], start[key])} == set(head)
    assert [key for key, p in network.named_parameters() if not p.requires_grad] == ["conv1.weight"]
    free = stepped(network, head_only=False)
    moved = {key for key in free if not torch.equal(free[key], held[key])}
    assert {key for key in held if key.endswith(("running_mean", "running_var"))} < moved
    assert "conv1.weight" not in moved


def test_only_batch_norm_is_held_and_only_where_it_is_frozen() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(3), nn.Dropout(0.5), nn.BatchNorm2d(3, affine=False), nn.InstanceNorm2d(3),
        nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2),
    )  # fmt: skip
    frozen = freeze_backbone(network, ("4.weight", "4.bias", *head_parameters(network)))
    frozen.hold()
    assert [layer.training for layer in network] == [False, True, False, True, True, True, True]
    assert frozen.modules == (network[0], network[2])
    assert frozen.parameters == (network[0].weight, network[0].bias)


def test_a_name_that_the_network_has_not() -> None:
    network = ARCHITECTURES["cnn1"]()
    with pytest.raises(OptionError, match=r"no weights 'fc.weight'. Did you mean 'fc1.weight'"):
        freeze_backbone(network, ["fc.weight"])
    assert all(p.requires_grad for p in network.parameters())
