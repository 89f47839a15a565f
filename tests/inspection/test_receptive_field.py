"""Which pixels a layer sees: what cannot be told, the numbers of the literature, and what is left as it was."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from model_state import differences, model_state
from probed import PICTURE, Probed, conv
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.errors import LayerError, ModelError
from cnnaudit.inspection import receptive_field, receptive_fields


def _attended(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    mixed = (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens
    return mixed.transpose(1, 2).reshape(x.shape)


def _written(x: Tensor) -> Tensor:
    buffer = torch.zeros_like(x)
    buffer[:, :, 1:] = x[:, :, :-1]
    return buffer


def _moved_by_numpy(x: Tensor) -> Tensor:
    return x + torch.from_numpy(x.detach().numpy()[:, :, ::-1].copy())


def _many_at_once(m: Any, x: Tensor) -> Tensor:
    maps = m.a(x)
    torch._foreach_add_([maps], [m.a(maps)])  # pyright: ignore[reportPrivateImportUsage]
    return maps


def _dynamic(m: Any, x: Tensor) -> Tensor:
    return F.conv2d(x[:1], x[:1, :, :3, :3].expand(2, -1, -1, -1)).expand(len(x), -1, -1, -1)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "roll": (lambda: Probed(lambda m, x: x.roll(1, 2)), "'roll' moves positions"),
    "resizing": (
        lambda: Probed(lambda m, x: F.interpolate(x, scale_factor=2.0)),
        "'upsample_nearest2d' mixes or moves",
    ),
    "attention": (lambda: Probed(lambda m, x: _attended(x)), "positions lie on different grids"),
    "writing": (lambda: Probed(lambda m, x: _written(x)), "written to piece by piece"),
    "numpy": (lambda: Probed(lambda m, x: _moved_by_numpy(x)), "come back from outside torch"),
    "deep copy": (lambda: Probed(lambda m, x: copy.deepcopy(x.detach()) + x), "come back from outside torch"),
    "many at once": (lambda: Probed(_many_at_once, a=conv(3, 3, 3, padding=1)), "written to piece by piece"),
    "upsampling": (
        lambda: Probed(lambda m, x: m.a(x), a=nn.ConvTranspose2d(3, 2, 3, stride=2)),
        "differs from position",
    ),
    "uneven pooling": (lambda: Probed(lambda m, x: F.adaptive_avg_pool2d(x, (7, 7))), "from 36 to 7 positions"),
    "dynamic weights": (lambda: Probed(_dynamic), "the weight of 'convolution' depends on the picture"),
    "two grids": (lambda: Probed(lambda m, x: x[..., ::2] + x[..., :22]), "positions lie on different grids"),
    "side by side": (lambda: Probed(lambda m, x: torch.cat([x, x], 3)), "along a direction of the picture"),
    "unlike channels": (
        lambda: Probed(lambda m, x: x.unflatten(2, (18, 2)).transpose(2, 3).flatten(1, 2)),
        "channels see different parts",
    ),
    "nothing": (lambda: Probed(lambda m, x: torch.ones_like(x)), "does not depend on the picture"),
    "wiped out": (lambda: Probed(lambda m, x: x.clone().zero_()), "does not depend on the picture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_says_why_a_field_cannot_be_told(name: str) -> None:
    build, reason = REFUSED[name]
    clf = Classifier(build(), input_size=PICTURE)
    with pytest.raises(LayerError, match=reason):
        receptive_field(clf, "probe")
    assert receptive_fields(clf)["probe"] is None


class Named(Tensor):
    pass


ALIASES: dict[str, Callable[[Tensor], Tensor]] = {
    "data": lambda x: x.data,
    "detached": lambda x: x.detach(),
    "copied": copy.copy,
    "in a subclass": lambda x: x.as_subclass(Named),
    "made anew": torch.tensor,
}


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")
@pytest.mark.parametrize("name", ALIASES)
def test_another_name_for_a_tensor_sees_the_same(name: str) -> None:
    net = Probed(lambda m, x: ALIASES[name](m.a(x)) + x, a=conv(3, 3, 5, padding=2))
    assert receptive_field(Classifier(net, input_size=PICTURE), "probe").size == (5, 5)


def test_what_comes_behind_the_unknown_is_unknown_and_its_source_is_named() -> None:
    net = nn.Sequential(conv(3, 4, 3), nn.Upsample(scale_factor=2), conv(4, 2, 3), nn.AdaptiveAvgPool2d(1))
    clf = Classifier(net, input_size=PICTURE)
    with pytest.raises(LayerError, match="first in '1'"):
        receptive_field(clf, "3")
    assert [name for name, field in receptive_fields(clf).items() if field is None] == ["1", "2", "3", ""]


def test_a_module_that_runs_twice_has_one_field_or_none() -> None:
    net = Probed(lambda m, x: m.relu(m.a(m.relu(x))), a=conv(3, 2, 3), relu=nn.ReLU())
    clf = Classifier(net, input_size=PICTURE)
    with pytest.raises(LayerError, match="called 2 times"):
        receptive_field(clf, "relu")
    assert receptive_fields(clf)["relu"] is None
    same = Classifier(Probed(lambda m, x: m.relu(m.relu(x)), relu=nn.ReLU()), input_size=PICTURE)
    assert receptive_field(same, "relu").size == (1, 1)


def test_wrong_names_and_idle_layers_are_refused() -> None:
    clf = Classifier(Probed(lambda m, x: m.first(x), first=conv(3, 2, 3), idle=conv(3, 2, 3)), input_size=PICTURE)
    with pytest.raises(LayerError, match=r"no layer 'frist'\. Did you mean 'first'"):
        receptive_field(clf, "frist")
    with pytest.raises(LayerError, match="does not run 'idle'"):
        receptive_field(clf, "idle")
    assert "idle" not in receptive_fields(clf)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_scripted_parts_are_followed() -> None:
    inner = nn.Sequential(conv(3, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    with torch.random.fork_rng():
        scripted = torch.jit.script(inner)
    clf = Classifier(Probed(lambda m, x: m.part(x), part=scripted), input_size=PICTURE)
    assert receptive_field(clf, "probe").size == (4, 4)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_scripted_network_is_one_layer_that_sees_the_picture(how: str) -> None:
    net = nn.Sequential(conv(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with torch.random.fork_rng():
        scripted: Any = torch.jit.script(net) if how == "script" else torch.jit.trace(net, torch.zeros(1, 3, *PICTURE))
    (field,) = receptive_fields(Classifier(scripted, input_size=PICTURE)).values()
    assert field is not None and field.size == PICTURE


def test_one_pixel_behind_a_convolution_and_pooling_sees_sixteen() -> None:
    net = nn.Sequential(conv(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 13 * 13, 10))
    field = receptive_field(Classifier(net, input_size=28), "2")
    assert (field.size, field.jump, field.offset) == ((4, 4), (2, 2), (1.5, 1.5))
    assert field.size[0] * field.size[1] == 16


class Squeezed(nn.Module):
    """Signals that come as pictures of height 1."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv1d(channels, 15, 3, stride=2) for channels in (1, 15, 15)]
        self.body = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.head = nn.Linear(60, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.squeeze(2)).flatten(1))


def test_signals_see_one_row() -> None:
    fields = receptive_fields(Classifier(Squeezed(), input_size=(1, 40), channels=1))
    assert [fields[f"body.{i}"].size for i in (0, 2, 4)] == [(1, 3), (1, 7), (1, 15)]  # type: ignore[union-attr]
    assert [fields[f"body.{i}"].jump[1] for i in (0, 2, 4)] == [2, 4, 8]  # type: ignore[union-attr]
    assert fields["head"].size == (1, 39)  # type: ignore[union-attr]  # 40 - 3 is odd: the last value is never read


def mobilenet_v1() -> nn.Sequential:
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    windows = (conv(2, 2, 3, stride=stride, padding=1, groups=2) for stride in strides)
    return nn.Sequential(conv(3, 2, 3, stride=2, padding=1), *windows)


def resnet_v1(*depths: int) -> nn.Sequential:
    """With the stride in the last unit of a stage, as in the library that the paper measured."""
    units = [
        Unit(2 if i == depth - 1 and stage < len(depths) - 1 else 1)
        for stage, depth in enumerate(depths)
        for i in range(depth)
    ]
    return nn.Sequential(conv(3, 2, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1), *units)


class Unit(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.window, self.shortcut = conv(2, 2, 3, stride=stride, padding=1), nn.MaxPool2d(1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.window(x) + self.shortcut(x)


PUBLISHED: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "alexnet_v2": (lambda: torchvision.models.alexnet(), "features.12", 195),
    "vgg_16": (lambda: torchvision.models.vgg16(), "features.30", 212),
    "mobilenet_v1": (mobilenet_v1, "13", 315),
    "resnet_v1_50": (lambda: resnet_v1(3, 4, 6, 3), "17", 483),
    "resnet_v1_101": (lambda: resnet_v1(3, 4, 23, 3), "34", 1027),
    "resnet_v1_152": (lambda: resnet_v1(3, 8, 36, 3), "51", 1507),
    "inception_v4": (lambda: timm.create_model("inception_v4"), "features", 2071),
    "inception_resnet_v2": (lambda: timm.create_model("inception_resnet_v2"), "conv2d_7b", 3039),
    "inception_v3": (lambda: torchvision.models.inception_v3(init_weights=False), "Mixed_7c", 1311),
}
"""Araujo, Norris and Sim, Distill 2019, the table of modern networks."""
LARGE = ("inception_v4", "inception_resnet_v2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in PUBLISHED]
)
def test_sizes_are_those_published(name: str) -> None:
    build, layer, size = PUBLISHED[name]
    with torch.device("meta"):
        net = build()
    if isinstance(net, nn.Sequential):
        net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    assert receptive_field(Classifier(net, input_size=299), layer).size == (size, size)


def test_the_network_comes_back_as_it_was() -> None:
    net = Probed(lambda m, x: m.norm(m.a(x)).relu_(), a=conv(3, 2, 3), norm=nn.BatchNorm2d(2)).train()
    clf = Classifier(net, input_size=PICTURE)
    before = model_state(net)
    receptive_fields(clf)
    assert differences(before, model_state(net)) == []


def test_the_network_comes_back_as_it_was_when_it_fails() -> None:
    net = Probed(lambda m, x: m.a(x), a=conv(3, 2, 3)).train()
    clf = Classifier(net, input_size=PICTURE)
    net.function = lambda m, x: m.a(m.a(x))
    before = model_state(net)
    with pytest.raises(ModelError, match="fails on a picture of shape"):
        receptive_fields(clf)
    assert differences(before, model_state(net)) == []
