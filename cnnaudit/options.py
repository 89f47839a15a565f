"""A method's options: read off its keywords, checked against their annotations."""

import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cnnaudit.errors import OptionError, near_matches

_WORDS: dict[Any, bool] = {True: True, False: False, "true": True, "yes": True, "1": True}
_WORDS |= {"false": False, "no": False, "0": False}
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "none"}
_LONGEST = 80  # characters of a wrong value that an error message repeats


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only options of a function, with their default values."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def checked(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` completed with the defaults; text (from a command line) is converted to the annotated type.

    Raises:
        OptionError: the function has no such option, or the value does not fit its annotation.
    """
    known = defaults(function)
    hints = {p.name: p.annotation for p in inspect.signature(function, eval_str=True).parameters.values()}
    for key in given:
        if key not in known:
            has = f"It has: {', '.join(known)}." if known else "It has none."
            raise OptionError(f"{name} has no option {key!r}.{near_matches(key, known)} {has}")
    fitted = {key: _fit(f"{name}.{key}", value, hints.get(key, Any)) for key, value in given.items()}
    complete = known | fitted
    for key, value in complete.items():
        if value is inspect.Parameter.empty:
            raise OptionError(f"{name} needs its option {key!r}.")
    return complete


def _fit(where: str, value: Any, hint: Any) -> Any:
    for choice in _choices(hint):
        fits, fitted = _try(value, choice)
        if fits:
            return fitted
    raise OptionError(f"{where} takes {_describe(hint)}; got {_shortened(repr(value))}.")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _try(value: Any, hint: Any) -> tuple[bool, Any]:
    if hint is Any or hint is inspect.Parameter.empty:
        return True, value
    if get_origin(hint) is Literal:
        return value in get_args(hint), value
    if get_origin(hint) is tuple:
        return _try_tuple(value, get_args(hint)[0])
    if hint is types.NoneType:
        return value is None or value == "none", None
    if hint is bool:
        fits = isinstance(value, bool | str) and value in _WORDS
        return fits, _WORDS[value] if fits else None
    return _try_plain(value, hint)


def _try_tuple(value: Any, item: Any) -> tuple[bool, Any]:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return False, None
    tried = [
        next((t for t in (_try(part, choice) for choice in _choices(item)) if t[0]), (False, None)) for part in parts
    ]
    return all(fits for fits, _ in tried), tuple(fitted for _, fitted in tried)


def _try_plain(value: Any, hint: Any) -> tuple[bool, Any]:
    if hint is str and isinstance(value, Path):  # as text, which a report can repeat
        return True, str(value)
    if hint not in (int, float):  # of a user's own function: a class is checked, anything else is left to it
        return not isinstance(hint, type) or isinstance(value, hint), value
    if isinstance(value, bool):
        return False, None
    if isinstance(value, int) or (hint is float and isinstance(value, float)):
        return True, hint(value)
    if isinstance(value, str):
        try:
            return True, hint(value)
        except ValueError:
            return False, None
    return False, None


def _describe(hint: Any) -> str:
    names = []
    for choice in _choices(hint):
        if get_origin(choice) is Literal:
            names += [repr(value) for value in get_args(choice)]
        elif get_origin(choice) is tuple:
            names.append(f"a list of {_describe(get_args(choice)[0])}, separated by commas")
        else:
            names.append(_NOUNS.get(choice, getattr(choice, "__name__", str(choice))))
    return " or ".join(names)
