"""Numbers as a reader sees them."""

import math
from collections.abc import Sequence
from typing import Any

from cnnaudit.errors import CnnAuditError

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_NARROW_SPACE = "\u202f"


def finite(value: float) -> float:
    """The value itself.

    Raises:
        CnnAuditError: it is not finite; such a number must not look like a result.
    """
    if not math.isfinite(value):
        raise CnnAuditError(f"A report cannot show {value}: every number on the page must be finite.")
    return value


def number(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant digits: "0.124", "−3.1", "2 × 10⁻⁷".

    Raises:
        CnnAuditError: the value is not finite.
    """
    if finite(value) == 0 or 1e-4 <= abs(value) < 1e6:
        text = _plain(f"{value:.{digits}g}")
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{float(mantissa):g}\u00a0×\u00a010{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return text.replace("-", "−")


def _plain(text: str) -> str:
    return f"{float(text):.12g}" if "e" in text else text


def signed(value: float) -> str:
    """`number` with its sign also when positive: "+0.124"."""
    return f"+{number(value)}" if value > 0 else number(value)


def count(value: int) -> str:
    """A whole number with narrow spaces between thousands: "25 557 032"."""
    return f"{value:,}".replace(",", _NARROW_SPACE).replace("-", "−")


def size(octets: int) -> str:
    """Bytes for people: "823 B", "3.21 MB"."""
    power = min(4, (len(str(octets)) - 1) // 3)
    return f"{number(octets / 1000**power)}{_NARROW_SPACE}{('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def percent(probability: float) -> str:
    """A probability for people: "93 %", "4.2 %", "99.98 %", never "100 %" unless it is certain."""
    value = 100 * finite(probability)
    if value >= 99.5 and probability < 1:
        text = f"{math.floor(value * 100) / 100:g}"
    elif value >= 9.95 or value == 0:
        text = f"{value:.0f}"
    else:
        text = f"{value:.2g}" if value >= 0.01 else "< 0.01"
    return f"{text}{_NARROW_SPACE}%"


def share(value: float) -> str:
    """An accuracy: "99.1 %"; with more digits where "100.0 %" or "0.0 %" would not be true."""
    value, digits = round(finite(value), 10), 1
    while 0 < value < 1 and float(f"{100 * value:.{digits}f}") in (0, 100):
        digits += 1
    return f"{100 * value:.{digits if 0 < value < 1 else 0}f}{_NARROW_SPACE}%"


def fact(value: object) -> str:
    """A parameter or fact in one line; a sequence is joined by commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return number(value, digits=4)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(fact(item) for item in value)
    return array(value) if hasattr(value, "shape") else str(value)


def array(value: Any) -> str:
    """An array or tensor by its size alone: "64 × 64 numbers"."""
    return f"{' × '.join(map(str, value.shape)) or 'no'} numbers"


def words(name: str) -> str:
    """The name of a fact or an option as a reader sees it."""
    return name.replace("_", " ")
