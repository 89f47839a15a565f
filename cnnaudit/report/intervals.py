"""Facts as rows, and values of segments with their intervals as one of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from cnnaudit import numbers

_VALUES, _LOW, _HIGH = "coefficients", "low", "high"


def rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each fact with its name; values of segments are joined with the ends of their 95 % intervals."""
    together = {_VALUES, _LOW, _HIGH} <= facts.keys()
    for name, value in facts.items():
        if name == _VALUES and together:
            yield f"{numbers.words(name)}, 95 % intervals", _with_intervals(facts)
        elif not (together and name in (_LOW, _HIGH)):
            yield numbers.words(name), numbers.fact(value)


def _with_intervals(facts: Mapping[str, Any]) -> str:
    """The values, largest first: "+1.23 (+1.1 to +1.36)"."""
    each = zip(facts[_VALUES], facts[_LOW], facts[_HIGH], strict=True)
    ordered = sorted(each, key=lambda values: -abs(values[0]))
    return ", ".join(
        f"{numbers.signed(value)} ({numbers.signed(low)} to {numbers.signed(high)})" for value, low, high in ordered
    )
