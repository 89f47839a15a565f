"""Patches against whole maps: every operation that is known, every way to fall back, every network of the tests."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import ARCHITECTURES, InPlace, classifier, picture, seeded
from torch import Tensor, nn

from cnnaudit import Classifier, devices
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Copies, Windows, stage
from cnnaudit.perturbation.incremental import Patched, patched

SIZE = (24, 31)


def windows(size: tuple[int, int] = SIZE, side: int = 5) -> Windows:
    height, width = size
    starts = [(top, left) for top in (0, 3, 10, height - side) for left in (0, 7, 12, width - side)]
    edges = [(0, 0, 0, 0), *((t, t + side, left, left + side) for t, left in starts)]
    edges += [(height - 2, height, 4, 9), (5, 9, width - 1, width)]  # cut off by the picture's edge
    return Windows(torch.tensor(edges), size)


def copies(channels: int = 4, side: int = 5) -> tuple[Patched, Tensor]:
    """Copies with patches, and the same as whole maps."""
    x, fill, masks = picture(SIZE, channels), picture(SIZE, channels, seed=3), windows(side=side)
    keep = torch.empty(len(masks), *SIZE)
    masks.paint(0, len(masks), keep)
    return patched(masks, 0, len(masks), x, fill), torch.where(keep[:, None] > 0, x, fill)


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


Work = Callable[[Tensor], Tensor]
GOES_ON: dict[str, Work] = {
    "conv": lambda x: F.conv2d(x, weights(6, 4, 3, 3), weights(6), padding=1),
    "conv without padding": lambda x: F.conv2d(x, weights(6, 4, 3, 3)),
    "conv 1": lambda x: F.conv2d(x, weights(6, 4, 1, 1), weights(6)),
    "conv 1, stride 2": lambda x: F.conv2d(x, weights(6, 4, 1, 1), stride=2),
    "conv 7, stride 2": lambda x: F.conv2d(x, weights(6, 4, 7, 7), stride=2, padding=3),
    "conv 3 x 5, stride 2 x 3": lambda x: F.conv2d(x, weights(6, 4, 3, 5), stride=(2, 3), padding=(1, 2)),
    "conv with gaps": lambda x: F.conv2d(x, weights(6, 4, 3, 3), padding=2, dilation=2),
    "conv by groups": lambda x: F.conv2d(x, weights(8, 1, 3, 3), padding=1, groups=4),
    "conv with much padding": lambda x: F.conv2d(x, weights(6, 4, 3, 3), padding=4),
    "two convs": lambda x: F.conv2d(F.conv2d(x, weights(5, 4, 3, 3), stride=2, padding=1), weights(6, 5, 3, 3)),
    "max-pooling": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max-pooling 2": lambda x: F.max_pool2d(x, 2),
    "average pooling": lambda x: F.avg_pool2d(x, 2, 2),
    "ReLU": lambda x: F.relu(x - 0.5),
    "ReLU6": lambda x: F.relu6(x * 9),
    "batch norm": lambda x: F.batch_norm(x, weights(4), weights(4).abs() + 1, weights(4), weights(4)),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "sum": lambda x: F.conv2d(x, weights(4, 4, 3, 3), padding=1) + x,
    "product": lambda x: x * torch.sigmoid(F.conv2d(x, weights(4, 4, 3, 3), padding=1)),
    "joined channels": lambda x: torch.cat([x, F.conv2d(x, weights(2, 4, 5, 5), padding=2), x], 1),
    "number": lambda x: torch.mul(x, 3.0) - 1,
}


def in_place(x: Tensor) -> Tensor:
    y = F.conv2d(x, weights(4, 4, 3, 3), padding=1)
    same = y
    F.relu(y, inplace=True)
    y += x
    y.add_(1.0)
    torch.relu_(y)
    return same + y


def in_place_with_a_whole_map(x: Tensor) -> Tensor:
    y = F.conv2d(x, weights(4, 4, 3, 3), padding=1)
    same = y
    y += x.flip(3)
    return F.conv2d(same, weights(4, 4, 3, 3), padding=1)


MADE_WHOLE: dict[str, Work] = {
    "pooling over all": lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
    "flattened": lambda x: torch.flatten(x, 1),
    "view": lambda x: x.view(x.size(0), -1),
    "contiguous view": lambda x: x.contiguous().view(x.size(0), -1),
    "mean": lambda x: x.mean((2, 3)),
    "half the channels": lambda x: x[:, :2],
    "joined rows": lambda x: torch.cat([x, x], 2),
    "with a whole map": lambda x: x + torch.ones(1, 4, 1, 1),
    "a whole map with it": lambda x: torch.ones(1, 4, 1, 1) * x,
    "pooling, part windows counted": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "average pooling with padding": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "padding by name": lambda x: F.conv2d(x, weights(6, 4, 3, 3), padding="same"),
    "another convolution": lambda x: F.conv_transpose2d(x, weights(4, 6, 3, 3)),
    "squeeze and excitation": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "statistics of the batch": lambda x: F.batch_norm(x, None, None, training=True),
    "large kernel": lambda x: F.conv2d(x, weights(2, 4, 15, 15), padding=7),
    "in place with a whole map": in_place_with_a_whole_map,
}


@pytest.mark.parametrize("side", [1, 5, 9])
@pytest.mark.parametrize("name", GOES_ON)
def test_known_operations_go_on_with_patches(name: str, side: int) -> None:
    x, whole = copies(side=side)
    found = GOES_ON[name](x)
    assert isinstance(found, Patched)
    torch.testing.assert_close(found.whole(), GOES_ON[name](whole), rtol=1e-4, atol=1e-4)
    assert found.shape == GOES_ON[name](whole).shape


@pytest.mark.parametrize("name", MADE_WHOLE)
def test_before_others_the_maps_are_made_whole(name: str) -> None:
    x, whole = copies()
    found = MADE_WHOLE[name](x)
    found = found.whole() if isinstance(found, Patched) else found
    torch.testing.assert_close(found, MADE_WHOLE[name](whole), rtol=1e-4, atol=1e-4)


def test_in_place_operations_change_what_others_hold() -> None:
    x, whole = copies()
    before = x.whole().clone()
    found = in_place(x)
    assert isinstance(found, Patched)
    torch.testing.assert_close(found.whole(), in_place(whole), rtol=1e-4, atol=1e-4)
    assert torch.equal(x.whole(), before)


def test_what_is_asked_without_values_is_told() -> None:
    x, whole = copies()
    assert (x.shape, x.size(1), x.dim(), x.ndim, len(x)) == (whole.shape, 4, 4, 4, len(whole))
    assert (x.dtype, x.device, x.numel()) == (whole.dtype, whole.device, whole.numel())
    assert torch.equal(x.whole(), whole)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_network_gives_the_same_scores(architecture: str) -> None:
    clf = classifier(architecture)
    height, width = clf.input_size
    x, masks = picture(clf.input_size), windows(clf.input_size)
    keep = torch.empty(len(masks), height, width)
    masks.paint(0, len(masks), keep)
    with borrowed(clf.network), torch.no_grad():
        fill = filled(x, "grey")
        kept, hidden = clf.normalised(x), clf.normalised(fill)
        scores = clf.read(clf.network(patched(masks, 0, len(masks), kept, hidden)), len(masks))
        expected = clf.logits(torch.where(keep[:, None] > 0, x, fill))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure even small networks, and take patches whenever they agree."""
    for name, value in (("SMALL", 0), ("WORTHWHILE", 1), ("_SECONDS", 0.0)):
        monkeypatch.setattr(devices, name, value)
    monkeypatch.setattr(stage, "_FASTER", torch.inf)


def scored(clf: Classifier) -> tuple[Tensor, Tensor, Copies]:
    x, masks = picture(clf.input_size), windows(clf.input_size)
    keep = torch.empty(len(masks), *clf.input_size)
    masks.paint(0, len(masks), keep)
    with borrowed(clf.network), torch.no_grad():
        fill = filled(x, "grey")
        expected = clf.logits(torch.where(keep[:, None] > 0, x, fill))
        found = Copies(clf, x, fill, expected=1000, precision="float32")
        return found.scores(masks), expected, found


def test_copies_behind_windows_are_asked_about_by_patches(eager: None) -> None:
    scores, expected, found = scored(classifier("in_place"))
    assert found._stage is not None
    assert found._stage.patches
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


class Stubborn(InPlace):
    """Looks at its maps in a way that patches do not survive."""

    def forward(self, x: Tensor) -> Tensor:
        if type(x) is not Tensor:
            raise TypeError("not a plain tensor")
        return super().forward(x)


class Guessing(InPlace):
    """Gives other scores for patches."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1.0 if type(x) is Tensor else 1.2)


@pytest.mark.parametrize("kind", [Stubborn, Guessing])
def test_where_patches_fail_or_disagree_whole_copies_are_sent(kind: Callable[[], nn.Module], eager: None) -> None:
    clf = Classifier(seeded(kind), input_size=(32, 40))
    scores, expected, found = scored(clf)
    assert found._stage is not None
    assert not found._stage.patches
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_where_patches_are_no_faster_whole_copies_are_sent(eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_FASTER", 0.0)
    assert not scored(classifier("in_place"))[2]._stage.patches  # type: ignore[union-attr]
