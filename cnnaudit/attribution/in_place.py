"""Replacements for operations that exist in place and out of place, so that both keep their meaning."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor

Replaced = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]
"""`rule(x, f)`: the value of `f(x)`, with a backward pass of the rule's own; `x` is left alone."""


def replacement(function: Callable[..., Tensor], rule: Replaced, *, in_place: bool = False) -> Callable[..., Tensor]:
    """What takes an operation's place: `rule` on `function`, written back into its input where that was asked for.

    Args:
        function: the operation out of place; an `inplace` among its arguments is understood.
        rule: what is computed instead.
        in_place: True where the operation replaced always works in place (`F.relu_`).
    """

    def called(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        place = _position(function)
        given = kwargs.pop("inplace", False) or (place is not None and place < len(args) and args[place])
        positional = args[:place] if place is not None else args
        if not (in_place or given):
            return rule(x, lambda value: function(value, *positional, **kwargs))
        return x.copy_(rule(x.clone(), lambda value: function(value, *positional, **kwargs)))

    return called


@cache
def _position(function: Callable[..., Tensor]) -> int | None:
    """Where `inplace` stands among the arguments behind the tensor; it is the last one."""
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # a builtin, which has no such argument
        return None
    return names.index("inplace") - 1 if "inplace" in names else None
