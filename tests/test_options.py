"""Options read off a function's keywords."""

import functools
from pathlib import Path
from typing import Any, Literal

import pytest

from cnnaudit.attribution import METHODS
from cnnaudit.errors import OptionError
from cnnaudit.options import checked, defaults

Fill = Literal["black", "grey"]


def method(
    query: object,
    *,
    count: int = 3,
    level: float = 0.5,
    fill: Fill = "grey",
    fills: tuple[Fill, ...] = ("black",),
    sizes: tuple[int, ...] = (1,),
    window: int | None = None,
    relu: bool = True,
    anything: Any = None,
    word: str = "a",
    where: Path = Path(),
) -> None:
    """What the tests ask about."""


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("count", 4, 4),
        ("count", "4", 4),
        ("level", 1, 1.0),
        ("level", "0.25", 0.25),
        ("level", "1e-3", 1e-3),
        ("fill", "black", "black"),
        ("fills", ("black", "grey"), ("black", "grey")),
        ("fills", ["grey"], ("grey",)),
        ("fills", "black,grey", ("black", "grey")),
        ("fills", "black, grey", ("black", "grey")),
        ("sizes", "1,2", (1, 2)),
        ("sizes", [3], (3,)),
        ("window", None, None),
        ("window", "none", None),
        ("window", "7", 7),
        ("relu", False, False),
        ("relu", "false", False),
        ("relu", "yes", True),
        ("relu", "0", False),
        ("anything", {"a": 1}, {"a": 1}),
        ("word", "b", "b"),
        ("word", Path("b"), "b"),
        ("where", Path("x"), Path("x")),
    ],
)
def test_value_is_fitted(key: str, given: object, expected: object) -> None:
    value = checked("m", method, {key: given})[key]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("count", "four", "m.count takes a whole number; got 'four'"),
        ("count", 4.5, "a whole number"),
        ("count", "4.0", "a whole number"),
        ("count", True, "a whole number"),
        ("count", None, "a whole number"),
        ("level", "much", "a number"),
        ("fill", "blak", "'black' or 'grey'"),
        ("fill", ["black"], "'black' or 'grey'"),
        ("fills", "black,purple", "a list of 'black' or 'grey', separated by commas"),
        ("fills", 3, "a list of"),
        ("window", "wide", "a whole number or none"),
        ("relu", 2, "true or false"),
        ("relu", "maybe", "true or false"),
        ("word", 3, "text"),
    ],
)
def test_wrong_value_is_refused_with_what_was_expected(key: str, given: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        checked("m", method, {key: given})


def test_a_long_wrong_value_is_repeated_in_part() -> None:
    with pytest.raises(OptionError, match=r"got .*…") as caught:
        checked("m", method, {"window": [[0] * 224] * 224})
    assert len(str(caught.value)) < 160


def test_wrong_name_gets_near_matches_and_the_list() -> None:
    with pytest.raises(OptionError, match=r"m has no option 'fil'\. Did you mean 'fill'.*It has: count, level"):
        checked("m", method, {"fil": "black"})
    with pytest.raises(OptionError, match=r"It has none"):
        checked("random", METHODS["random"].function, {"samples": 3})


def test_defaults_complete_what_is_given() -> None:
    complete = checked("m", method, {"count": 9})
    assert complete == defaults(method) | {"count": 9}


def test_an_option_without_a_default_is_asked_for() -> None:
    def needs(query: object, *, size: int) -> None: ...

    with pytest.raises(OptionError, match=r"needs its option 'size'"):
        checked("needs", needs, {})


class Callable_:
    """A method that is an object."""

    def __call__(self, query: object, *, count: int = 1) -> None: ...


@pytest.mark.parametrize("function", [functools.partial(method, level=2.0), Callable_(), Callable_().__call__])
def test_partials_objects_and_bound_methods_have_options_too(function: Any) -> None:
    assert checked("m", function, {"count": "5"})["count"] == 5


def test_annotations_of_other_kinds_are_left_to_the_function() -> None:
    def custom(query: object, *, sizes: list[int] | None = None, plain=1) -> None: ...  # type: ignore[no-untyped-def]

    assert checked("custom", custom, {"sizes": [1, 2], "plain": "x"}) == {"sizes": [1, 2], "plain": "x"}


@pytest.mark.parametrize("name", METHODS)
def test_defaults_of_every_method_fit_their_own_annotations(name: str) -> None:
    function = METHODS[name].function
    assert checked(name, function, defaults(function)) == defaults(function)
