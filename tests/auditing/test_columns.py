"""Which columns of a table are looked at, as what, and what is said of the others."""

import numpy as np
import pytest

from cnnaudit.auditing.columns import called, passed_over, values_of

N = 30


def numbered(first: str) -> tuple[str, ...]:
    return (first, *(str(k / 2) for k in range(1, N)))


@pytest.mark.parametrize("empty", ["", "NA", "n/a", "NULL", "None", "nan", "NaN", "?"])
def test_empty_cells_leave_a_column_of_numbers_what_it_is(empty: str) -> None:
    (values,) = values_of({"age": numbered(empty)}).values()
    assert np.array_equal(values, np.r_[np.nan, np.arange(1, N) / 2], equal_nan=True)
    assert passed_over({"age": numbered(empty)}) == ()


def test_words_are_there_or_not_and_none_is_one() -> None:
    cells = ("none", "ruler", "") * 10
    found = values_of({"marker": cells})
    assert found.keys() == {"column “marker” = none", "column “marker” = ruler"}
    assert found["column “marker” = ruler"].tolist() == [0, 1, 0] * 10
    assert called("column “marker” = ruler", -1) == "column “marker” other than ruler"


def test_columns_that_are_not_looked_at_are_named_with_the_reason() -> None:
    columns = {
        "patient": tuple(f"P{k}" for k in range(N)),
        "age": numbered("about 7"),
        "empty": ("", "NA") * (N // 2),
        "same": ("A",) * N,
        "rare": tuple(f"{'ABCDEFGHIJ'[k % 10]}" for k in range(N)),
        "site": ("A", "B") * (N // 2),
    }
    notes = passed_over(columns)
    assert [note.split("”")[0] for note in notes] == [f"column “{each}" for each in [*columns][:-1]]
    assert "30 values, 'about 7' among them, which is no number" in notes[1]
    assert values_of(columns).keys() == {"column “site” = A", "column “site” = B"}
