"""The pattern language: what it means, and where its errors point."""

import random
import re
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from cnnaudit.errors import OptionError
from cnnaudit.models.pattern_language import is_pattern, parse
from cnnaudit.models.patterns import from_pattern
from cnnaudit.models.sizes import conv_output


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", range(1, 6))
def test_the_formula_is_what_torch_makes(size: int, kernel: int) -> None:
    for stride in (1, 2, 3):
        for padding in (0, 1, 2):
            convolution = nn.Conv1d(1, 1, kernel, stride, padding)
            if size + 2 * padding < kernel:
                expected = rf"\({size} - {kernel} \+ 2\*{padding}\)/{stride} \+ 1 = .*, less than 1"
                with pytest.raises(OptionError, match=expected):
                    conv_output(size, kernel, stride, padding)
            else:
                assert conv_output(size, kernel, stride, padding) == convolution(torch.zeros(1, 1, size)).shape[-1]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(0, 1, 0), (3, 0, 0), (3, 1, -1)])
def test_a_window_that_makes_no_sense(kernel: int, stride: int, padding: int) -> None:
    with pytest.raises(OptionError, match="whole numbers"):
        conv_output(8, kernel, stride, padding)


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("f10", "f"),
        ("[[c32 r]*2 p]*2 [f128 r] f10", "crcrpcrcrpfrf"),
        ("[c8]*3f10", "cccf"),
        ("  [ r ] * 2\n[[p]]  f3 ", "rrpf"),
        ("[[[r]*2 b]*2 d]*2", "rrbrrbdrrbrrbd"),
        ("c8 b r g d0.25 f10", "cbrgdf"),
    ],
)
def test_groups_are_written_out(pattern: str, letters: str) -> None:
    assert "".join(layer.kind for layer in parse(pattern)) == letters


def test_numbers_and_what_stands_in_for_those_that_are_not_written() -> None:
    plain, full, five, pool, window, drop, rate = parse("c32 c10k5s2p0 c8k5 p p3 d d.25")
    assert (plain.size, plain.kernel, plain.stride, plain.padding) == (32, 3, 1, 1)
    assert (full.size, full.kernel, full.stride, full.padding) == (10, 5, 2, 0)
    assert five.padding == 2
    assert (pool.size, window.size, drop.rate, rate.rate) == (2, 3, None, 0.25)


def test_the_layers_have_names_and_a_convolution_before_batch_norm_has_no_bias() -> None:
    network = from_pattern(pattern="c8 b r p c8 r p d0.1 f20 b r d f10", dropout=0.3)
    named = dict(network.named_children())
    assert list(named) == [
        *("conv1", "norm1", "relu1", "pool1", "conv2", "relu2", "pool2", "dropout1", "flatten"),
        *("fc1", "norm2", "relu3", "dropout2", "fc2"),
    ]
    assert named["conv1"].bias is None
    assert named["conv2"].bias is not None
    assert isinstance(named["norm2"], nn.BatchNorm1d)
    assert (named["dropout1"].p, named["dropout2"].p) == (0.1, 0.3)
    assert from_pattern(pattern="d f10")[0].p == 0.5


def test_pooling_between_a_convolution_and_batch_norm_changes_nothing_about_its_bias() -> None:
    named = dict(from_pattern(pattern="c8 p b r c8 p r f10").named_children())
    assert named["conv1"].bias is None
    assert named["conv2"].bias is not None


@pytest.mark.parametrize(
    ("pattern", "column", "message"),
    [
        ("c32 r x f10", 6, "'x' is no layer"),
        ("c32 r*2 f10", 4, r"'r\*2' is no layer"),
        ("c0 f10", 0, "'c0' is no layer"),
        ("c3s2k5 f10", 0, "cNkKsSpP"),
        ("c1234567 f10", 0, "is no layer"),
        ("d1.5 f10", 0, "is no layer"),
        ("F10", 0, "is no layer"),
        ("[c32 r]]*2 f10", 7, "no group for this to close"),
        ("[c32 [r f10", 5, "not closed"),
        ("c8 []*2 f10", 3, "makes no layer"),
        ("c8 [r]*0 f10", 3, "makes no layer"),
        ("f20 [[r]*99]*99 f10", 4, "makes 9801 layers; a pattern has at most 500"),
        ("[r]*300 [r]*300 f10", 0, "These are 601 layers"),
        ("c32 r p", 7, "ends with a fully connected layer, a number for each label: f10"),
        ("", 0, "ends with a fully connected layer"),
        ("c32 f10 r", 9, "ends with a fully connected layer"),
        ("c32 r p f7", 8, "gives 7 numbers, and there are 10 labels: end with f10"),
        ("f20 c32 f10", 4, "takes maps"),
        ("f20 p f10", 4, "takes maps"),
        ("[f20 r]*2 g f10", 10, "takes maps"),
        ("[c8 p]*5 f10", 4, r"\(1 - 2 \+ 2\*0\)/2 \+ 1 = 0.5"),
        ("c8k29p0 f10", 0, r"\(28 - 29 \+ 2\*0\)/1 \+ 1 = 0"),
        ("p c8\n c8k40s3p1 f10", 6, r"\(14 - 40 \+ 2\*1\)/3 \+ 1 = -7"),
    ],
)
def test_an_error_points_at_its_place(pattern: str, column: int, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        from_pattern(pattern=pattern)
    _, line, caret = str(caught.value).split("\n")
    assert line == "    " + pattern.replace("\n", " ")
    assert caret == " " * (4 + column) + "^"


def test_a_side_that_is_too_small_is_found_in_either_direction() -> None:
    for size in ((3, 40), (40, 3)):
        with pytest.raises(OptionError, match=r"\(3 - 5 \+ 2\*0\)/1 \+ 1 = -1"):
            from_pattern(pattern="c8k5p0 f10", size=size)


def test_options_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(OptionError, match="no pooling layer to be made 'blur'"):
        from_pattern(pattern="c8 r g f10", pool="blur")
    for pattern in ("c8 r f10", "c8 r d0.25 f10"):
        with pytest.raises(OptionError, match=r"no d to be given the dropout 0\.5"):
            from_pattern(pattern=pattern, dropout=0.5)


@pytest.mark.parametrize("text", ["f10", "[r]*2", "c32 r f7", "c32k5 z", "[oops", " c8", "d0.5 f3", "c8] f10"])
def test_what_is_meant_as_a_pattern(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["", " ", "cnn2", "resnet18", "resnet 18", "conv10-20", "pattern", "x [r]", "f", "c"])
def test_what_is_not(text: str) -> None:
    assert not is_pattern(text)


def test_a_long_text_is_refused_before_anything_is_built() -> None:
    for pattern in ("[" * 10_000, "[r]" * 10_000, "[" * 2000 + "r" + "]*9" * 2000):
        with pytest.raises(OptionError):
            parse(pattern)


def random_pattern(rng: random.Random) -> tuple[str, list[str]]:
    """A pattern of two groups, and its layers written out."""
    written, layers = [], []
    for _ in range(2):
        words = [
            rng.choice(["r", "b", "p", "p3", f"c{rng.randint(1, 4)}", f"c2k{rng.randint(1, 5)}s{rng.randint(1, 3)}p0"])
            for _ in range(rng.randint(1, 3))
        ]
        times = rng.randint(1, 3)
        written.append(f"[{' '.join(words)}]*{times}")
        layers += words * times
    return " ".join([*written, "f10"]), layers


def in_plain_torch(layers: list[str]) -> Iterator[nn.Module]:
    """The same layers, whose sizes torch finds out by itself."""
    for word in layers:
        size, kernel, stride, padding = re.fullmatch(r".(\d*)(?:k(\d))?(?:s(\d))?(?:p(\d))?", word).groups()  # type: ignore[union-attr]
        if word[0] == "c":
            yield nn.LazyConv2d(int(size), int(kernel or 3), int(stride or 1), int(padding or 1))
        else:
            yield {"r": nn.ReLU, "b": nn.LazyBatchNorm2d, "p": lambda s=size: nn.MaxPool2d(int(s or 2))}[word[0]]()
    yield nn.Flatten()
    yield nn.LazyLinear(10)


def answered(network: nn.Module, pixels: Tensor) -> list[tuple[int, ...]] | None:
    """The shapes behind each layer; None where torch says that they do not fit."""
    shapes = []
    try:
        for layer in network.children():
            pixels = layer(pixels)
            shapes.append(tuple(pixels.shape))
    except RuntimeError:
        return None
    return shapes


@pytest.mark.parametrize("seed", range(60))
def test_shapes_and_refusals_are_torchs_own(seed: int) -> None:
    rng = random.Random(seed)
    pattern, layers = random_pattern(rng)
    pixels = torch.rand(2, 1, rng.randint(8, 60), rng.randint(8, 60))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Lazy modules are a new feature"
        theirs = answered(nn.Sequential(*in_plain_torch(layers)), pixels)
    if theirs is None:
        with pytest.raises(OptionError, match=r"\(W - F \+ 2P\)/S \+ 1"):
            from_pattern(pattern=pattern, size=tuple(pixels.shape[-2:]))
    else:
        assert answered(from_pattern(pattern=pattern, size=tuple(pixels.shape[-2:])), pixels) == theirs
