"""The pattern language: `[[c32 r]*2 p]*2 [f128 r] f10` as a list of layers."""

import re
from dataclasses import dataclass
from typing import NoReturn

from cnnaudit.errors import OptionError

_LONGEST = 500
"""Layers in a pattern, groups written out: it may come from a file that anyone has written."""
_PIECES = re.compile(r"\[|\](?:\s*\*\s*\d{1,6})?|[^\s\[\]]+")
_NUMBER = r"[1-9]\d{0,5}"
_WORD = re.compile(
    rf"c(?P<channels>{_NUMBER})(k(?P<kernel>{_NUMBER}))?(s(?P<stride>{_NUMBER}))?(p(?P<padding>\d{{1,6}}))?"
    rf"|p(?P<window>{_NUMBER})?|d(?P<rate>0?\.\d{{1,17}})?|f(?P<units>{_NUMBER})|[brg]"
)
_LANGUAGE = (
    "There is cN (a 3x3 convolution to N channels; in full cNkKsSpP: kernel, stride, padding), b (batch norm), "
    "r (ReLU), p (pooling of 2x2; pK of KxK), g (global average), d (dropout; d0.25), fN (fully connected, to N "
    "numbers) and […]*N."
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a pattern.

    Attributes:
        kind: its letter.
        at: the place of that.
        size: channels of `c`, window of `p`, numbers out of `f`.
        kernel, stride, padding: of `c`; unless it is written, the padding keeps the size at stride 1.
        rate: of `d`; None where it is not written.
    """

    kind: str
    at: int
    size: int
    kernel: int
    stride: int
    padding: int
    rate: float | None


def is_pattern(text: str) -> bool:
    """Whether a text is meant as a pattern: it begins with a group, or with a layer of the language."""
    first = _PIECES.match(text.strip())
    return first is not None and (first[0] == "[" or _layer(first[0], 0) is not None)


def parse(pattern: str) -> tuple[Layer, ...]:
    """The layers of a pattern in their order, its groups written out.

    Raises:
        OptionError: it is none; the message points at the place.
    """
    groups: list[list[Layer]] = [[]]
    opened: list[int] = []
    for piece in _PIECES.finditer(pattern):
        text, at = piece[0], piece.start()
        if text == "[":
            groups.append([])
            opened.append(at)
        elif text[0] == "]":
            if not opened:
                refuse(pattern, at, "There is no group for this to close.")
            group = groups.pop()
            groups[-1] += _repeated(group, pattern, opened.pop(), text)
        else:
            groups[-1].append(_layer(text, at) or refuse(pattern, at, f"{text!r} is no layer. {_LANGUAGE}"))
    if opened:
        refuse(pattern, opened[-1], "This group is not closed.")
    if len(groups[0]) > _LONGEST:
        refuse(pattern, 0, f"These are {len(groups[0])} layers; a pattern has at most {_LONGEST}.")
    return tuple(groups[0])


def _repeated(group: list[Layer], pattern: str, at: int, closing: str) -> list[Layer]:
    times = int(closing[1:].replace("*", "").strip() or 1)
    if not group or not times:
        refuse(pattern, at, "This group makes no layer.")
    if len(group) * times > _LONGEST:
        refuse(pattern, at, f"This group makes {len(group) * times} layers; a pattern has at most {_LONGEST}.")
    return group * times


def _layer(word: str, at: int) -> Layer | None:
    found = _WORD.fullmatch(word)
    if found is None:
        return None
    kernel = int(found["kernel"] or 3)
    return Layer(
        kind=word[0],
        at=at,
        size=int(found["channels"] or found["window"] or found["units"] or 2),
        kernel=kernel,
        stride=int(found["stride"] or 1),
        padding=int(found["padding"] or (kernel - 1) // 2),
        rate=float(found["rate"]) if found["rate"] else None,
    )


def refuse(pattern: str, at: int, problem: str) -> NoReturn:
    """Say what is wrong with a pattern, and point at the place.

    Raises:
        OptionError: always.
    """
    line = re.sub(r"\s", " ", pattern)
    raise OptionError(f"{problem}\n    {line}\n    {' ' * at}^") from None
