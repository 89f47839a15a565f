"""The numbers that the lecture notes work out by hand."""

import pytest
import torch
from torch import Tensor, nn

from cnnaudit.errors import OptionError
from cnnaudit.loading.catalog import build_torchvision
from cnnaudit.models.patterns import from_pattern
from cnnaudit.models.pooling import make_pool
from cnnaudit.models.signals import mnist1d_cnn
from cnnaudit.models.sizes import conv_output

PICTURE = torch.tensor(
    [
        [0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    dtype=torch.float32,
)
"""7x7: bright at the upper right, with a horizontal edge below the third row."""

IDENTITY = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
MEAN = torch.full((3, 3), 1 / 9)
EDGE = torch.tensor([[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
"""The sum of the row above less that of the row below: bright above dark."""


def with_kernel(pattern: str, kernel: Tensor) -> nn.Sequential:
    """The network of a pattern, its one filter set, its last layer handing on what it is given."""
    network = from_pattern(pattern=pattern, labels=int(pattern.rpartition("f")[2]), size=(7, 7))
    with torch.no_grad():
        network.get_parameter("conv1.weight").copy_(kernel.view(1, 1, 3, 3))
        network.get_parameter("conv1.bias").zero_()
        network.get_parameter("fc1.weight").copy_(torch.eye(network.get_parameter("fc1.bias").numel()))
        network.get_parameter("fc1.bias").zero_()
    return network


def through(pattern: str, kernel: Tensor, side: int) -> Tensor:
    with torch.no_grad():
        return with_kernel(pattern, kernel)(PICTURE.view(1, 1, 7, 7)).view(side, side)


def test_the_identity_kernel_gives_the_picture_without_its_edge() -> None:
    assert torch.equal(through("c1k3p0 f25", IDENTITY, 5), PICTURE[1:-1, 1:-1])
    assert torch.equal(through("c1k3p1 f49", IDENTITY, 7), PICTURE)


def test_the_mean_kernel_counts_the_bright_pixels_around_each() -> None:
    # Around the row with index 1: 3 bright rows times 0, 1, 2, 3, 3 bright columns; below it 2 rows, then 1, then none.
    ninths = torch.tensor([[3], [2], [1], [0], [0]]) * torch.tensor([0, 1, 2, 3, 3])
    torch.testing.assert_close(through("c1k3p0 f25", MEAN, 5), ninths / 9)


def test_the_edge_kernel_relu_and_pooling() -> None:
    # Rows 1 and 2 of the picture (0 and 1 of the valid part) have bright above: row 1 lies between two bright rows,
    # so above less below is 0; row 2 has bright above and dark below: 0, 1, 2, 3, 3 bright columns. Row 3 likewise:
    # row 2 above is bright, row 4 below is dark. Elsewhere both are the same.
    edges = torch.tensor([[0, 0, 0, 0, 0], [0, 1, 2, 3, 3], [0, 1, 2, 3, 3], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert torch.equal(through("c1k3p0 f25", EDGE, 5), edges.float())
    # The largest of each 2x2 block, the fifth row and column left over: [0 0; 0 1] 1, [0 0; 2 3] 3, and again.
    assert through("c1k3p0 r p f4", EDGE, 2).tolist() == [[1, 3], [1, 3]]


def test_relu_takes_away_the_edges_from_dark_to_bright() -> None:
    assert through("c1k3p0 f25", -EDGE, 5).min() == -3
    assert through("c1k3p0 r p f4", -EDGE, 2).tolist() == [[0, 0], [0, 0]]


def test_two_filters_of_5_by_5_by_4_at_stride_2_on_11_by_11_by_4() -> None:
    network = from_pattern(pattern="c2k5s2p0 f10", channels=4, size=(11, 11))
    assert conv_output(11, 5, 2) == 4  # (11 - 5 + 2*0)/2 + 1
    assert network.get_parameter("conv1.weight").shape == (2, 4, 5, 5)
    assert network[0](torch.rand(1, 4, 11, 11)).shape == (1, 2, 4, 4)


def test_the_first_layer_of_alexnet_in_its_original_form() -> None:
    assert conv_output(227, 11, 4) == 55  # (227 - 11)/4 + 1
    with torch.device("meta"):
        network = from_pattern(pattern="c96k11s4p0 r f10", channels=3, size=(227, 227))
        assert network[0](torch.empty(1, 3, 227, 227)).shape == (1, 96, 55, 55)
    assert sum(p.numel() for p in network[0].parameters()) == 11 * 11 * 3 * 96 + 96 == 34_944
    with pytest.raises(OptionError, match=r"\(7 - 11 \+ 2\*0\)/4 \+ 1 = 0"):
        conv_output(7, 11, 4)


@pytest.mark.parametrize("pool", ["max", "average"])
def test_one_pixel_after_pooling_sees_16_pixels_of_the_picture(pool: str) -> None:
    network = from_pattern(pattern="c1 p f10", size=(10, 10), pool=pool)  # type: ignore[arg-type]
    seen = torch.zeros(10, 10, dtype=torch.bool)
    for seed in range(40):  # the largest of four sees nine pixels, another nine in another picture
        picture = torch.rand(1, 1, 10, 10, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        network[:2](picture)[0, 0, 2, 2].backward()
        seen |= picture.grad[0, 0] != 0  # type: ignore[index]
    assert int(seen.sum()) == 16
    assert seen[3:7, 3:7].all()  # the 3x3 neighbourhoods of the pixels 4 and 5


def test_a_convolution_of_a_signal() -> None:
    # The squares 0, 1, 4, 9, … under (1, 0, -1) at stride 2: (2i)² - (2i + 2)² = -(8i + 4).
    network = mnist1d_cnn()
    signal = torch.arange(40.0).square().view(1, 1, 1, 40)
    with torch.no_grad():
        network.get_parameter("conv1.weight").copy_(torch.tensor([1.0, 0.0, -1.0]).expand(15, 1, 3))
        network.get_parameter("conv1.bias").zero_()
        maps = network[:2](signal)
    assert maps.shape == (1, 15, 19)  # (40 - 3)/2 + 1 = 19.5, rounded down
    assert maps[0, 0, :4].tolist() == [-4, -12, -20, -28]
    assert [conv_output(n, 3, 2) for n in (40, 19, 9)] == [19, 9, 4]


def test_one_fully_connected_layer_against_one_filter() -> None:
    with torch.device("meta"):
        wide = from_pattern(pattern="f150528 f10", channels=3, size=(224, 224))
        small = from_pattern(pattern="c1 f10", channels=1, size=(224, 224))
    assert wide.get_parameter("fc1.weight").numel() == (224 * 224 * 3) ** 2 == 22_658_678_784
    assert small.get_parameter("conv1.weight").numel() == 9


def test_the_parameters_of_vgg_16() -> None:
    pattern = "[c64 r]*2 p [c128 r]*2 p [[c256 r]*3 p] [[c512 r]*3 p]*2 [f4096 r d]*2 f1000"
    with torch.device("meta"):
        networks = (
            build_torchvision("vgg16"),
            from_pattern(pattern=pattern, labels=1000, channels=3, size=(224, 224)),
        )
    for network in networks:
        assert sum(p.numel() for p in network.parameters()) == 138_357_544


def test_max_pooling_is_steady_only_while_the_largest_stays_in_its_window() -> None:
    bright = torch.zeros(1, 1, 8, 8)
    bright[..., 2, 2] = 1
    pooled = [make_pool("max")(bright.roll(shift, -1))[0, 0, 1].tolist() for shift in (0, 1, 2)]
    assert pooled == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
