"""Every convolution of whole networks, against the support of its gradient."""

import gradient_support as by_gradient
import pytest
import torch
import torchvision
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.inspection import receptive_fields
from cnnaudit.results import ReceptiveField

NETWORKS = {
    "vgg16": lambda: torchvision.models.vgg16(weights=None, init_weights=False),
    "resnet18": torchvision.models.resnet18,
    "googlenet": lambda: torchvision.models.googlenet(init_weights=False),
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "shufflenet_v2_x0_5": torchvision.models.shufflenet_v2_x0_5,
}

CONVOLUTIONS = {"vgg16": 13, "resnet18": 20, "googlenet": 57, "mobilenet_v2": 52, "shufflenet_v2_x0_5": 56}
"""How many run when the network is evaluated."""


def check(network: nn.Module, fields: dict[str, ReceptiveField | None], layers: list[str], axis: int) -> None:
    """Along one axis, at a place whose field lies within a picture that is long along it."""
    known = {name: field for name in layers if (field := fields[name]) is not None}
    assert len(known) == len(layers)
    long = max(field.size[axis] + 2 * int(field.jump[axis]) for field in known.values())
    long = -(-long // 32) * 32  # as some networks want it
    x = torch.full((1, 3, long, 32) if axis == 0 else (1, 3, 32, long), 1e-3, requires_grad=True)
    outputs = by_gradient.outputs(by_gradient.one_signed(network), layers, x)
    for name, field in known.items():
        place = interior(field, outputs[name], axis)
        seen, told = (by_gradient.support(outputs[name], place, x), by_gradient.spans(field, place))
        assert told[axis][0] >= 0 and told[axis][1] < long, name
        assert seen[axis] == told[axis], name


def interior(field: ReceptiveField, output: Tensor, axis: int) -> tuple[int, int]:
    """The first place along the axis whose field begins within the picture."""
    before = (field.size[axis] - 1) / 2 - field.offset[axis]
    first = max(0, -int(-before // field.jump[axis]))
    place = [size // 2 for size in output.shape[2:]]
    place[axis] = first
    return place[0], place[1]


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_sees_what_its_gradient_reaches(name: str, axis: int) -> None:
    network = NETWORKS[name]().eval()
    fields = receptive_fields(Classifier(network, input_size=64))
    convolutions = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and n in fields]
    assert len(convolutions) == CONVOLUTIONS[name]
    check(network, fields, convolutions, axis)


def test_the_first_convolutions_of_a_residual_network_see_what_their_gradient_reaches() -> None:
    network = torchvision.models.resnet18().eval()
    fields = receptive_fields(Classifier(network, input_size=64))
    for axis in (0, 1):
        check(network, fields, ["conv1", "layer1.1.conv2", "layer2.0.conv2", "layer2.0.downsample.0"], axis)
