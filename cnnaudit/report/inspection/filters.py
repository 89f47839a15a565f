"""The filters of each convolution as pictures, and how many of them are superfluous."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnaudit import numbers
from cnnaudit.report import figures
from cnnaudit.report.encoding import display_limit, encode_heatmap
from cnnaudit.report.training.kernels import Kernel, bars, coloured
from cnnaudit.results import FilterBank, Filters

_MOST_FIRST, _MOST, _FEWER = 96, 24, 12  # of the first layer, of others, and of others where there are many
_MANY_LAYERS = 20
_MOST_WEIGHTS = 40_000  # of one layer: noise does not compress
_SMALL, _FEW = 11, 20
_WIDE = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    """One filter as a picture, and in words."""

    number: int
    kernel: Kernel
    says: str


@dataclass(frozen=True, slots=True)
class Bank:
    """What the page shows of a layer.

    Attributes:
        kind: "colour" for three channels as red, green and blue, "bars" for rows of numbers, else "signed".
        size: "3 × 3 × 24": rows, columns, input channels of each filter.
        inputs: how many input channels of each are drawn; None where these are all.
        held: the part of the squared weights that is drawn, of the middle filter.
        limit: the weight at which the colour saturates.
        saturated: True when a drawn weight is beyond the limit.
        shape: rows and columns of each picture.
        closest: the most alike pair in words; None where there is no near-duplicate.
    """

    layer: str
    kind: str
    count: int
    size: str
    grouped: bool
    inputs: int | None
    held: str
    limit: float
    saturated: bool
    largest: float
    shape: tuple[int, int]
    drawn: tuple[Drawn, ...]
    duplicated: int
    near_zero: int
    closest: str | None

    @property
    def layout(self) -> str:
        """How much room each picture needs: "small", "large", or "wide" for long rows."""
        height, width = self.shape
        if max(height, width) <= _SMALL and len(self.drawn) > _FEW:
            return "small"
        return "wide" if width > _WIDE * height else "large"


@dataclass(frozen=True, slots=True)
class View:
    """The section: the layer that reads the picture, and all others."""

    facts: Filters
    first: Bank | None
    deeper: tuple[Bank, ...]
    count: int
    duplicated: int
    near_zero: int

    @property
    def grouped(self) -> bool:
        """True where filters of a layer read different channels."""
        return any(bank.grouped for bank in self.deeper)


def view(facts: Filters) -> View:
    """The section of the filters."""
    banks = {bank.layer: _bank(bank, _shown(bank, facts), bank.layer == facts.first) for bank in facts.banks}
    return View(
        facts,
        first=banks.get(facts.first or ""),
        deeper=tuple(bank for name, bank in banks.items() if name != facts.first),
        count=sum(bank.shape[0] for bank in facts.banks),
        duplicated=sum(bank.duplicated for bank in facts.banks),
        near_zero=sum(len(bank.near_zero) for bank in facts.banks),
    )


def twin(facts: Filters) -> dict[str, Any]:
    """The section in the JSON twin; `cnnaudit.report.decode_heatmap` reads the first layer's kernels, `n k h w`."""
    return {
        "first": facts.first,
        "near_duplicate_from": facts.alike,
        "near_zero_up_to": facts.near_zero,
        "layers": [_record(bank, _shown(bank, facts), bank.layer == facts.first) for bank in facts.banks],
    }


def _record(bank: FilterBank, shown: tuple[int, ...], is_first: bool) -> dict[str, Any]:
    return {
        "layer": bank.layer,
        "shape": bank.shape,
        "groups": bank.groups,
        "order": bank.order,
        "lengths": [float(f"{length:.6g}") for length in bank.lengths.tolist()],
        "duplicated": bank.duplicated,
        "pairs": bank.pairs,
        "most_alike": bank.alike,
        "near_zero": bank.near_zero,
        "display_limit": _limit(bank, shown),
        "shown": shown,
        "channels": bank.channels[list(shown)].tolist(),
        "held": [float(f"{held:.4g}") for held in bank.held[list(shown)].tolist()],
        **({"kernels": encode_heatmap(bank.kernels[list(shown)].astype(np.float64))} if is_first else {}),
    }


def _shown(bank: FilterBank, facts: Filters) -> tuple[int, ...]:
    """Those that the page has room for: of many the longest, in the bank's order."""
    usual = _MOST if len(facts.banks) <= _MANY_LAYERS else _FEWER
    most = min(_MOST_FIRST if bank.layer == facts.first else usual, max(1, _MOST_WEIGHTS // bank.kernels[0].size))
    longest = set(np.argsort(-bank.lengths, kind="stable")[:most].tolist())
    return tuple(number for number in bank.order if number in longest)


def _limit(bank: FilterBank, shown: tuple[int, ...]) -> float:
    return display_limit([bank.kernels[list(shown)].astype(np.float64)])


def _bank(bank: FilterBank, shown: tuple[int, ...], is_first: bool) -> Bank:
    limit, kind = _limit(bank, shown), _kind(bank, is_first)
    count, channels, height, width = bank.shape
    largest = float(np.abs(bank.kernels[list(shown)]).max())
    kept = bank.kernels.shape[1]
    return Bank(
        layer=bank.layer,
        kind=kind,
        count=count,
        size=f"{height} × {width}" + (f" × {channels}" if channels > 1 else ""),
        grouped=bank.groups > 1,
        inputs=kept if kept < channels else None,
        held=numbers.percent(float(np.median(bank.held))),
        limit=limit,
        saturated=largest > limit,
        largest=largest,
        shape=_spread(bank.kernels[0], limit, kind).shape[:2],
        drawn=tuple(Drawn(number, _drawn(bank.kernels[number], limit, kind), _says(bank, number)) for number in shown),
        duplicated=bank.duplicated,
        near_zero=len(bank.near_zero),
        closest=_closest(bank),
    )


def _kind(bank: FilterBank, is_first: bool) -> str:
    channels, height = bank.kernels.shape[1:3]
    if (channels, height) == (1, 1) and bank.shape[3] > 1:
        return "bars"
    return "colour" if is_first and channels == 3 and height > 1 else "signed"


def _drawn(kernel: np.ndarray, limit: float, kind: str) -> Kernel:
    values = kernel.astype(np.float64)
    if kind == "bars":
        return Kernel(None, bars(values[0, 0], limit))
    return Kernel(figures.png_uri(_spread(values, limit, kind)), ())


def _spread(kernel: np.ndarray, limit: float, kind: str) -> np.ndarray:
    """uint8: `h w 3` in colour; else channels beside each other, with gaps where they have several weights, `h w 4`,
    or rows below each other."""
    if kind == "colour":
        return coloured(kernel.transpose(1, 2, 0), limit, kind)
    if kernel.shape[1] == 1 and kernel.shape[2] > 1:
        return coloured(kernel[:, 0], limit, kind)
    if len(kernel) == 1:
        return coloured(kernel[0], limit, kind)
    if kernel.shape[1:] == (1, 1):
        return coloured(kernel[:, 0].T, limit, kind)
    gap = np.zeros((kernel.shape[1], 1, 4), np.uint8)
    parts = [part for channel in kernel for part in (_opaque(coloured(channel, limit, kind)), gap)]
    return np.concatenate(parts[:-1], axis=1)


def _opaque(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)


def _says(bank: FilterBank, number: int) -> str:
    length = numbers.number(float(bank.lengths[number]))
    if bank.kernels.shape[1] == bank.shape[1]:
        return f"Filter {number}, length {length}"
    channels = ", ".join(map(str, bank.channels[number].tolist()))
    held = numbers.percent(float(bank.held[number]))
    return f"Filter {number}, length {length}; input channels {channels} hold {held} of its squared weights"


def _closest(bank: FilterBank) -> str | None:
    if not bank.alike:
        return None
    best = bank.alike[0]
    return f"{best.first} and {best.second}, cosine {numbers.number(best.cosine)}"
