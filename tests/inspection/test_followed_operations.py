"""What operations make of a field, against the support of the gradient."""

import random
from collections.abc import Callable
from typing import Any

import gradient_support as by_gradient
import pytest
import torch
import torch.nn.functional as F
from probed import PICTURE, Probed, conv
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.inspection import receptive_field


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
    return m.a(x) if x.detach().mean() > 1e9 else m.b(x)


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
