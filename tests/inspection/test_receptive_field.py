"""Which pixels a layer sees, against the gradient, the literature and arithmetic."""

import random
from collections.abc import Callable
from typing import Any

import gradient_support as by_gradient
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from model_state import differences, model_state
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.errors import LayerError, ModelError
from cnnaudit.inspection import receptive_field, receptive_fields

PICTURE = (36, 44)


class Probed(nn.Module):
    """A function of pictures, whose result passes through `probe` on the way to the logits."""

    def __init__(self, function: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.probe = nn.Identity()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.probe(self.function(self, x))
        return maps.flatten(1).mean(1, keepdim=True)


def conv(channels: int, out: int, kernel: int | tuple[int, int], **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, **options)


def _shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def _unshuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def _blurred(x: Tensor) -> Tensor:
    kernel = torch.ones(1, 1, 3, 3, dtype=x.dtype).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=x.shape[1])


def _in_place(m: Any, x: Tensor) -> Tensor:
    y = m.a(x).mul_(2)
    y += m.b(x)
    return y.view(-1, 2, *PICTURE).mul_(0.5)


def _by_value(m: Any, x: Tensor) -> Tensor:
    return m.a(x) if float(x.detach().mean()) > 1e9 else m.b(x)


MAPS: dict[str, Callable[[], nn.Module]] = {
    "stride": lambda: Probed(lambda m, x: m.a(x), a=conv(3, 2, (3, 5), stride=2, padding=1)),
    "dilation": lambda: Probed(lambda m, x: m.b(m.a(x)), a=conv(3, 2, 3, dilation=3), b=conv(2, 2, 2, stride=3)),
    "same": lambda: Probed(lambda m, x: m.a(x), a=conv(3, 2, 5, padding="same", dilation=2)),
    "reflected": lambda: Probed(lambda m, x: m.a(x), a=conv(3, 2, 3, padding=1, padding_mode="reflect")),
    "ceil": lambda: Probed(lambda m, x: m.b(m.a(x)), a=nn.MaxPool2d(3, 2, ceil_mode=True), b=nn.MaxPool2d(3, 3, 1)),
    "sum": lambda: Probed(
        lambda m, x: m.c(m.a(x) + m.b(x)),
        a=conv(3, 2, 1, stride=2),
        b=conv(3, 2, 5, stride=2, padding=2),
        c=conv(2, 2, 3),
    ),
    "lopsided sum": lambda: Probed(
        lambda m, x: m.a(x)[:, :, 1:] + m.b(x[..., 1:, :]), a=conv(3, 2, 1), b=conv(3, 2, 1)
    ),
    "branches": lambda: Probed(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x), x], 1)),
        a=conv(3, 2, (1, 7), padding=(0, 3)),
        b=conv(3, 2, 3, padding=1),
        c=conv(7, 2, 1),
    ),
    "one branch of two": lambda: Probed(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1).chunk(2, 1)[0]),
        a=conv(3, 4, 3, padding=1),
        b=conv(3, 4, 7, padding=3),
        c=conv(4, 2, 1),
    ),
    "grouped branches": lambda: Probed(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1))[:, :2],
        a=conv(3, 4, 1),
        b=conv(3, 4, 5, padding=2),
        c=conv(8, 4, 3, groups=2),
    ),
    "shuffled channels": lambda: Probed(
        lambda m, x: _shuffled(torch.cat([m.a(x), m.b(x)], 1))[:, ::2], a=conv(3, 4, 1), b=conv(3, 4, 5, padding=2)
    ),
    "space to depth": lambda: Probed(lambda m, x: m.a(_unshuffled(x)), a=conv(12, 2, 3)),
    "slices to depth": lambda: Probed(
        lambda m, x: m.a(torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)), a=conv(12, 2, 3)
    ),
    "channels last": lambda: Probed(
        lambda m, x: m.b(m.norm(m.a(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2),
        a=conv(3, 4, 5),
        b=nn.Linear(4, 2),
        norm=nn.LayerNorm(4),
    ),
    "response norm": lambda: Probed(lambda m, x: m.norm(m.a(x)), a=conv(3, 6, 3), norm=nn.LocalResponseNorm(3)),
    "transposed": lambda: Probed(lambda m, x: m.a(x), a=nn.ConvTranspose2d(3, 2, 3, padding=1, dilation=2)),
    "blur": lambda: Probed(lambda m, x: _blurred(m.a(x)), a=conv(3, 2, 3)),
    "in place": lambda: Probed(_in_place, a=conv(3, 2, 3, padding=1), b=conv(3, 2, 5, padding=2)),
    "by value": lambda: Probed(_by_value, a=conv(3, 2, 7), b=conv(3, 2, 3)),
    "shared": lambda: Probed(lambda m, x: m.a(m.a(x)), a=conv(3, 3, 3)),
    "even pooling": lambda: Probed(lambda m, x: F.adaptive_avg_pool2d(m.a(x), (9, 11)), a=conv(3, 2, 3, padding=1)),
    "functions": lambda: Probed(
        lambda m, x: F.avg_pool2d(F.gelu(torch.stack([m.a(x), m.a(x)], 1).sum(1)), 3, 2, 1), a=conv(3, 2, 3)
    ),
    "repeated": lambda: Probed(lambda m, x: m.a(x[:, :1].repeat(1, 3, 1, 1)), a=conv(3, 2, 3)),
    "sum over space": lambda: Probed(lambda m, x: m.a(x).sum(2, keepdim=True), a=conv(3, 2, 3)),
    "weight norm": lambda: Probed(lambda m, x: m.a(x), a=nn.utils.parametrizations.weight_norm(conv(3, 2, 3))),
}


def check(network: nn.Module, layer: str, picture: tuple[int, int]) -> None:
    """At places within the picture the gradient's support is the field, at its corners a part of it."""
    field = receptive_field(Classifier(network, input_size=picture), layer)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((1, 3, *picture), generator=generator, dtype=torch.float64).mul(0.1).requires_grad_()
    output = by_gradient.outputs(by_gradient.one_signed(network).double(), [layer], x)[layer]
    whole, inside = ((0, picture[0] - 1), (0, picture[1] - 1)), 0
    for share in (0, 0.3, 0.5, 0.6, 1):
        place = tuple(round(share * (size - 1)) for size in output.shape[2:])
        seen, told = by_gradient.support(output, place, x), by_gradient.spans(field, (0, *place)[-2:])
        inside += by_gradient.within(told, whole)
        assert seen == told if by_gradient.within(told, whole) else by_gradient.within(seen, told), place
    assert inside


@pytest.mark.parametrize("name", MAPS)
def test_maps_see_what_their_gradient_reaches(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        check(MAPS[name](), "probe", PICTURE)


def random_stack(seed: int) -> nn.Module:
    """Windows of random geometry behind each other, every other one around a sum or a concatenation."""
    draw, channels = random.Random(seed), 2
    layers: list[nn.Module] = []
    for _ in range(draw.randint(2, 4)):
        kernel, stride, dilation = draw.randint(1, 4), draw.choice((1, 1, 2)), draw.choice((1, 1, 2))
        padding = draw.randint(0, kernel // 2)
        kind = draw.choice(("conv", "pool", "branches"))
        if kind == "pool":
            layers.append(nn.MaxPool2d(kernel, stride, padding, ceil_mode=draw.random() < 0.5))
        else:
            groups = draw.choice((1, 2))
            window = conv(channels, 4, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
            layers.append(window if kind == "conv" else Branches(channels, window, draw.choice((True, False))))
            channels = 8 if kind == "branches" and layers[-1].side_by_side else 4
    return Probed(lambda m, x: m.stack(x), stack=nn.Sequential(conv(3, 2, 1), *layers))


class Branches(nn.Module):
    """A window beside one of a single place on the same grid."""

    def __init__(self, channels: int, window: nn.Conv2d, side_by_side: bool) -> None:
        super().__init__()
        self.window, self.side_by_side = window, side_by_side
        self.shortcut = conv(channels, 4, 1, stride=window.stride[0])

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.window(x), self.shortcut(x)
        h, w = (min(a, b) for a, b in zip(one.shape[2:], two.shape[2:], strict=True))
        one, two = one[:, :, :h, :w], two[:, :, :h, :w]
        return torch.cat([one, two], 1) if self.side_by_side else one + two


@pytest.mark.parametrize("seed", range(40))
def test_random_geometries_see_what_their_gradient_reaches(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        check(random_stack(seed), "probe", (90, 80))


SEE_THROUGH: dict[str, Callable[[], nn.Module]] = {
    "prelu": lambda: nn.PReLU(4),
    "log sigmoid": nn.LogSigmoid,
    "rrelu": nn.RReLU,
    "glu": lambda: nn.GLU(1),
    "hardswish": lambda: nn.Hardswish(inplace=True),
    "softmax of channels": lambda: nn.Softmax(1),
    "dropout": nn.Dropout2d,
    "batch norm": lambda: nn.BatchNorm2d(4),
    "instance norm with statistics": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
    "channel shuffle": lambda: nn.ChannelShuffle(2),
    "reflection": lambda: nn.ReflectionPad2d(2),
    "crop": lambda: nn.ZeroPad2d((-1, -2, -3, 0)),
    "unflatten": lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 2, 34, 42)), nn.Flatten(1, 2)),
}


@pytest.mark.parametrize("name", SEE_THROUGH)
def test_what_changes_values_or_places_alone_sees_no_more(name: str) -> None:
    net = nn.Sequential(conv(3, 4, 3), SEE_THROUGH[name]())
    field = receptive_field(Classifier(Probed(lambda m, x: m.net(x), net=net), input_size=PICTURE), "probe")
    assert (field.size, field.jump) == ((3, 3), (1, 1))
    assert field.offset == {"reflection": (-1, -1), "crop": (4, 2)}.get(name, (1, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_see_the_same(dtype: torch.dtype) -> None:
    net = Probed(lambda m, x: m.a(x[:, [2, 0]]), a=conv(2, 2, 3)).to(dtype).to(memory_format=torch.channels_last)
    assert receptive_field(Classifier(net, input_size=PICTURE), "probe").size == (3, 3)


class Gate(nn.Module):
    """Channels scaled by what the whole map says (squeeze and excitation)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Outer(nn.Module):
    """Products of channels, summed over all positions (bilinear pooling)."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return (flat @ flat.transpose(1, 2)).unsqueeze(-1)


PER_MAP = ("gate", "group norm", "instance norm", "softmax")
"""Those that return as many maps as they take."""

WHOLE: dict[str, Callable[[], nn.Module]] = {
    "gate": Gate,
    "group norm": lambda: nn.GroupNorm(1, 4),
    "instance norm": lambda: nn.InstanceNorm2d(4),
    "softmax": lambda: nn.Softmax(2),
    "global pooling": lambda: nn.AdaptiveAvgPool2d(1),
    "global max-pooling": lambda: nn.AdaptiveMaxPool2d(1),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 18 * 22, 3), nn.Unflatten(1, (3, 1, 1))),
    "outer product": Outer,
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_mixes_all_positions_sees_the_picture_and_no_padding(name: str) -> None:
    net = nn.Sequential(
        conv(3, 4, 5, stride=2, padding=2), WHOLE[name](), conv(4, 2, 1) if name in PER_MAP else nn.Identity()
    )
    clf = Classifier(Probed(lambda m, x: m.net(x), net=net), input_size=PICTURE)
    field = receptive_field(clf, "probe")
    assert (field.size[0], field.offset[0], field.jump[0]) == (36, 17.5, 0)
    if name != "softmax":
        assert (field.size, field.offset, field.jump) == (PICTURE, (17.5, 21.5), (0, 0))


def test_the_whole_is_what_is_read_of_it() -> None:
    """A window that strides past the last column never sees it."""
    net = nn.Sequential(conv(1, 2, 3, stride=2), nn.Flatten(), nn.Linear(2 * 13 * 13, 2))
    field = receptive_field(Classifier(net, input_size=28), "2")
    assert (field.size, field.offset) == ((27, 27), (13, 13))


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
    "upsampling": (
        lambda: Probed(lambda m, x: m.a(x), a=nn.ConvTranspose2d(3, 2, 3, stride=2)),
        "differs from position",
    ),
    "uneven pooling": (lambda: Probed(lambda m, x: F.adaptive_avg_pool2d(x, (7, 7))), "from 36 to 7 positions"),
    "dynamic weights": (lambda: Probed(_dynamic), "the weight of 'convolution' depends on the picture"),
    "two grids": (lambda: Probed(lambda m, x: x[..., ::2] + x[..., :22]), "positions lie on different grids"),
    "side by side": (lambda: Probed(lambda m, x: torch.cat([x, x], 3)), "along a direction of the picture"),
    "unlike channels": (lambda: Probed(lambda m, x: _unshuffled(x)), "channels see different parts"),
    "nothing": (lambda: Probed(lambda m, x: torch.ones_like(x)), "does not depend on the picture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_says_why_a_field_cannot_be_told(name: str) -> None:
    build, reason = REFUSED[name]
    clf = Classifier(build(), input_size=PICTURE)
    with pytest.raises(LayerError, match=reason):
        receptive_field(clf, "probe")
    assert receptive_fields(clf)["probe"] is None


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
    net = MAPS["in place"]().train()
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
