"""A method's options: read off its keywords, checked against their annotations."""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cnnaudit.errors import OptionError, near_matches


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
    hints = get_type_hints(function)
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
    raise OptionError(f"{where} takes {_describe(hint)}; got {value!r}.")


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _try(value: Any, hint: Any) -> tuple[bool, Any]:
    if hint is Any:
        return True, value
    if get_origin(hint) is Literal:
        return value in get_args(hint), value
    if get_origin(hint) is tuple:
        return _try_tuple(value, get_args(hint)[0])
    if hint is types.NoneType:
        return value is None or value == "none", None
    if hint is bool:
        words = {
            True: True,
            False: False,
            "true": True,
            "yes": True,
            "1": True,
            "false": False,
            "no": False,
            "0": False,
        }
        return (isinstance(value, bool | str) and value in words), words.get(value) if isinstance(
            value, bool | str
        ) else None
    return _try_plain(value, hint)


def _try_tuple(value: Any, item: Any) -> tuple[bool, Any]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return False, None
    tried = [
        next((t for t in (_try(part, choice) for choice in _choices(item)) if t[0]), (False, None)) for part in parts
    ]
    return all(fits for fits, _ in tried), tuple(fitted for _, fitted in tried)


def _try_plain(value: Any, hint: Any) -> tuple[bool, Any]:
    if isinstance(value, bool):
        return False, None
    if isinstance(value, hint) or (hint is float and isinstance(value, int)):
        return True, hint(value)
    if isinstance(value, str) and hint in (int, float):
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
            names.append({int: "a whole number", float: "a number", bool: "true or false"}.get(choice, "none"))
    return " or ".join(names)
