"""Networks from the pattern language, shapes checked layer by layer."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from torch import nn

from cnnaudit.errors import OptionError
from cnnaudit.models.pattern_language import Layer, parse, refuse
from cnnaudit.models.pooling import Pool, known_pool, make_pool
from cnnaudit.models.sizes import conv_output, known_count, known_dropout, known_sides

_Shape: TypeAlias = tuple[int, ...]
"""Channels, height and width; behind the flattening, how many numbers there are."""

_NAMES = {"c": "conv", "b": "norm", "r": "relu", "p": "pool", "g": "average", "d": "dropout", "f": "fc"}
_USUAL_DROPOUT = 0.5


def from_pattern(
    *,
    pattern: str = "[[c32 r]*2 p]*2 [f128 r] f10",
    labels: int = 10,
    channels: int = 1,
    size: Sequence[int] = (28, 28),
    pool: Pool = "max",
    dropout: float | None = None,
) -> nn.Sequential:
    """Any network of the pattern language, such as `[[c32 r]*2 p]*2 [f128 r] f10`.

    `cN` is a 3x3 convolution to N channels (in full `cNkKsSpP`: kernel, stride, padding, which is 1 for a
    3x3 kernel), `r` ReLU, `p` pooling of 2x2 (`pK` of KxK), `b` batch norm, `g` global average pooling,
    `d` dropout (`d0.25`), and `fN` a fully connected layer to N numbers; `[…]*N` repeats. Maps are
    flattened before the first `f`. A convolution has no bias where a `b` follows, at once or behind
    pooling, which would take it away.

    Args:
        labels: how many classes; the last layer must have as many numbers.
        channels, size: of the pictures; size is (height, width).
        pool: what `p` means.
        dropout: of each `d` that has no number; by default a half.

    Returns:
        A network from `n channels height width` to logits `n labels`; its layers are conv1, relu1, ….

    Raises:
        OptionError: the pattern is none, or does not fit; the message points at the place.
    """
    layers = parse(pattern)
    labels, shape = known_count(labels, "labels"), (known_count(channels, "channels"), *known_sides(size))
    if not layers or layers[-1].kind != "f":
        refuse(
            pattern, len(pattern), f"A pattern ends with a fully connected layer, a number for each label: f{labels}."
        )
    if layers[-1].size != labels:
        problem = f"The last layer gives {layers[-1].size} numbers, and there are {labels} labels: end with f{labels}."
        refuse(pattern, layers[-1].at, problem)
    _check_use(layers, pattern, pool, dropout)
    rate = _USUAL_DROPOUT if dropout is None else known_dropout(dropout)
    return _built(layers, pattern, shape, known_pool(pool), rate)


def classifier_of(
    name: str, features: str, *, labels: int, channels: int, size: Sequence[int], pool: Pool, dropout: float
) -> nn.Sequential:
    """The network of a pattern with the layer for the labels, and dropout where there is any, added at its end.

    Args:
        name: of the architecture, for messages: who asks for it has not written the pattern.

    Raises:
        OptionError: a value is wrong, or does not fit the others.
    """
    end = f"f{known_count(labels, 'labels')}"
    dropped = "d " if known_dropout(dropout) else ""
    if known_pool(pool) != "max" and not any(layer.kind == "p" for layer in parse(features)):
        raise OptionError(f"{name} has no pooling layer to be made {pool!r}. Leave pool out.")
    try:
        return from_pattern(
            pattern=f"{features} {dropped}{end}".lstrip(),
            labels=labels, channels=channels, size=size, pool=pool, dropout=dropout or None,
        )  # fmt: skip
    except OptionError as error:
        problem, _, place = str(error).partition("\n")
        if not place:
            raise
        height, width = size
        raise OptionError(f"{name} does not fit pictures of {height}x{width}. {problem}") from None


def _check_use(layers: Sequence[Layer], pattern: str, pool: str, dropout: float | None) -> None:
    """Refuse options that would do nothing."""
    if known_pool(pool) != "max" and not any(layer.kind == "p" for layer in layers):
        raise OptionError(f"{pattern!r} has no pooling layer to be made {pool!r}. Leave pool out.")
    if dropout is not None and not any(layer.kind == "d" and layer.rate is None for layer in layers):
        raise OptionError(f"{pattern!r} has no d to be given the dropout {dropout}. Write d where it is to be.")


def _built(layers: Sequence[Layer], pattern: str, shape: _Shape, pool: Pool, dropout: float) -> nn.Sequential:
    named: OrderedDict[str, nn.Module] = OrderedDict()
    count: Counter[str] = Counter()
    for place, layer in enumerate(layers):
        if layer.kind == "f" and len(shape) > 1:
            named["flatten"] = nn.Flatten()
            shape = (prod(shape),)
        try:
            shape_after = _shape_after(layer, shape)
        except OptionError as error:
            refuse(pattern, layer.at, str(error))
        count[layer.kind] += 1
        following = next((other.kind for other in layers[place + 1 :] if other.kind != "p"), "")
        named[f"{_NAMES[layer.kind]}{count[layer.kind]}"] = _module(layer, shape, following == "b", pool, dropout)
        shape = shape_after
    return nn.Sequential(named)


def _shape_after(layer: Layer, shape: _Shape) -> _Shape:
    if layer.kind == "f":
        return (layer.size,)
    if layer.kind in "brd":
        return shape
    if len(shape) == 1:
        what = {"c": "A convolution", "p": "Pooling", "g": "Pooling"}[layer.kind]
        raise OptionError(f"{what} takes maps, and behind a fully connected layer there are numbers without a place.")
    channels, *sides = shape
    if layer.kind == "g":
        return channels, 1, 1
    if layer.kind == "p":
        return channels, *(conv_output(side, layer.size, layer.size) for side in sides)
    return layer.size, *(conv_output(side, layer.kernel, layer.stride, layer.padding) for side in sides)


def _module(layer: Layer, shape: _Shape, normed: bool, pool: Pool, dropout: float) -> nn.Module:
    match layer.kind:
        case "c":
            return nn.Conv2d(shape[0], layer.size, layer.kernel, layer.stride, layer.padding, bias=not normed)
        case "b":
            return nn.BatchNorm1d(shape[0]) if len(shape) == 1 else nn.BatchNorm2d(shape[0])
        case "r":
            return nn.ReLU()
        case "p":
            return make_pool(pool, layer.size)
        case "g":
            return nn.AdaptiveAvgPool2d(1)
        case "d":
            return nn.Dropout(dropout if layer.rate is None else layer.rate)
        case _:
            return nn.Linear(shape[0], layer.size)
