"""The layer for class activation maps, found in every classification network of torchvision."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from networks import MEAN, STD
from torch import nn
from torchvision.models import regnet

from cnnaudit import Classifier
from cnnaudit.attribution.layers import find_layer
from cnnaudit.errors import NotApplicableError

EXPECTED = {
    r"alexnet": "features.11",
    r"vgg11": "features.19",
    r"vgg11_bn": "features.27",
    r"vgg13": "features.23",
    r"vgg13_bn": "features.33",
    r"vgg16": "features.29",
    r"vgg16_bn": "features.42",
    r"vgg19": "features.35",
    r"vgg19_bn": "features.51",
    r"(wide_)?res(net|next).*": "layer4",
    r"squeezenet.*": "classifier.2",
    r"densenet.*": "features",
    r"inception_v3": "Mixed_7c",
    r"googlenet": "inception5b",
    r"shufflenet.*": "conv5",
    r"mobilenet.*": "features",
    r"mnasnet.*": "layers",
    r"efficientnet.*": "features",
    r"regnet.*": "trunk_output",
    r"convnext.*": "features",
    r"swin.*": "permute",
    r"maxvit_t": "blocks.3",
    r"vit.*": None,
}
"""By hand from torchvision's sources: the last map before global pooling, or before the pool that only thins it."""

NAMES = torchvision.models.list_models(module=torchvision.models)
FAST = ("alexnet", "vgg11", "vgg16_bn", "resnet18", "squeezenet1_1", "densenet121", "googlenet", "shufflenet_v2_x0_5",
        "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "vit_b_32",
        "inception_v3", "swin_t", "convnext_tiny", "maxvit_t")  # fmt: skip


def expected(name: str) -> str | None:
    (found,) = [layer for pattern, layer in EXPECTED.items() if re.fullmatch(pattern, name)]
    return found


def _on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """RegNet reckons its widths with tensors, which must have values."""

    def called(**arguments: Any) -> Any:
        with torch.device("cpu"):
            return function(**arguments)

    return called


def on_meta(name: str) -> tuple[nn.Module, int]:
    """The network without its weights: shapes alone decide, and the largest costs nothing."""
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(regnet.BlockParams, "from_init_params", _on_cpu(regnet.BlockParams.from_init_params))
        net = torchvision.models.get_model(name, weights=None, num_classes=7, **extra)
    return net, 299 if name == "inception_v3" else 224


@pytest.mark.filterwarnings("ignore:.*torch.meshgrid.*:UserWarning")
@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_last_activation_with_spatial_extent(name: str) -> None:
    net, size = on_meta(name)
    clf = Classifier(net, input_size=(size, size), mean=MEAN, std=STD)
    pixels = torch.zeros(1, 3, size, size, device="meta")
    if expected(name) is None:
        with pytest.raises(NotApplicableError, match="tokens"):
            find_layer(clf, pixels)
    else:
        assert find_layer(clf, pixels) == expected(name)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "googlenet"])
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (224, 160)])
def test_other_sizes_and_real_weights(name: str, size: tuple[int, int]) -> None:
    extra = {"init_weights": False} if name == "googlenet" else {}
    net = torchvision.models.get_model(name, weights=None, num_classes=7, **extra)
    clf = Classifier(net, input_size=size)
    assert find_layer(clf, torch.zeros(1, 3, *size)) == expected(name)


def test_every_network_has_one_expectation() -> None:
    assert len(NAMES) >= 80
    for name in NAMES:
        expected(name)
