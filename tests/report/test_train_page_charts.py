"""Axes, ticks and the places of labels, against matplotlib and arithmetic."""

import math

import numpy as np
import pytest
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from cnnaudit import numbers
from cnnaudit.errors import CnnAuditError
from cnnaudit.report import charts, figures


@pytest.mark.parametrize(("low", "high"), [(0, 2.5), (0.93, 1), (0, 0.05), (0, 3e-4), (0, 7.3), (0.1, 0.9), (-3, 12)])
@pytest.mark.parametrize("most", [3, 5, 6])
def test_linear_ticks_are_those_of_matplotlib(low: float, high: float, most: int) -> None:
    found = charts.linear(low, high, most=most)
    expected = MaxNLocator(nbins=most, steps=[1, 2, 5, 10], min_n_ticks=1).tick_values(low, high)
    steps = np.diff(found.values)
    assert np.allclose(steps, steps[0])
    assert np.isclose(steps[0], np.diff(expected)[0])
    assert found.low <= low < low + steps[0]
    assert high <= found.high < high + steps[0]


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_an_axis_of_one_value_has_room_around_it(value: float) -> None:
    axis = charts.linear(value, value)
    assert axis.low < value < axis.high


@pytest.mark.parametrize(("last", "step"), [(1, 1), (7, 2), (10, 2), (60, 10), (300, 50), (12, 2)])
def test_epochs_count_in_whole_numbers_and_end_at_the_last(last: int, step: int) -> None:
    axis = charts.counting(last)
    assert axis.values == tuple(range(0, last + 1, step))
    assert (axis.place(0), axis.place(last)) == (0, 100)


def test_losses_that_range_widely_are_logarithmic() -> None:
    assert not charts.losses([2.3, 0.1]).log
    axis = charts.losses([2.3, 0.05])
    assert axis.log
    assert axis.values == (0.05, 0.1, 0.2, 0.5, 1, 2)
    places = [axis.place(value) for value in (0.05, 0.5, 1.0)]
    ends = np.log10([axis.low, axis.high])
    assert np.allclose(places, np.interp(np.log10([0.05, 0.5, 1.0]), ends, [0, 100]), atol=0.01)


def test_over_many_decades_only_powers_of_ten_have_a_tick() -> None:
    axis = charts.logarithmic(2e-6, 3.0)
    assert axis.values == (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
    assert [tick.text for tick in axis.ticks(charts.power)][:2] == ["10⁻⁵", "0.0001"]


def test_a_loss_of_zero_is_on_a_linear_axis() -> None:
    axis = charts.losses([2.3, 0.0])
    assert (axis.log, axis.low) == (False, 0)


@pytest.mark.parametrize("values", [[1.0], [0.999, 1.0], [0.0, 0.4], [0.93]])
def test_axes_of_accuracies_stay_between_none_and_all(values: list[float]) -> None:
    axis = charts.shares(values)
    assert 0 <= axis.low <= min(values)
    assert axis.high == 1


def test_ticks_say_exactly_where_they_are() -> None:
    assert [charts.per_cent(value) for value in (0.975, 0.9, 1.0)] == ["97.5\u202f%", "90\u202f%", "100\u202f%"]


@pytest.mark.parametrize("places", [(50, 51), (51, 50), (50, 50), (0, 1), (99, 100), (100, 100), (0, 0)])
def test_labels_do_not_overlap_keep_their_order_and_stay_inside(places: tuple[float, float]) -> None:
    first, second = charts.apart(*places, 7.5)
    assert abs(first - second) == 7.5
    assert (first <= second) == (places[0] <= places[1])
    assert min(first, second) >= 0
    assert max(first, second) <= 100


def test_labels_with_room_stay_where_they_are() -> None:
    assert charts.apart(60, 20, 7.5) == (60, 20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9912, "99.1"),
        (0.9, "90.0"),
        (1.0, "100"),
        (0.0, "0"),
        (0.99996, "99.996"),
        (0.0003, "0.03"),
        (1 - 1e-16, "100"),
    ],
)
def test_an_accuracy_never_claims_all_or_nothing_unless_it_is(value: float, text: str) -> None:
    assert numbers.share(value) == f"{text}\u202f%"


@pytest.mark.parametrize("write", [numbers.share, numbers.percent])
def test_a_share_that_is_not_finite_is_refused(write: object) -> None:
    assert callable(write)
    with pytest.raises(CnnAuditError, match="finite"):
        write(math.nan)


def test_coloured_maps_are_those_of_matplotlib() -> None:
    palette = figures.default_palette(signed=True)
    codes = np.arange(-126, 127, dtype=np.int8)[None]
    colours = LinearSegmentedColormap.from_list("", list(palette.colours), N=253)
    expected = colours(np.arange(253))[:, :3] * 255
    assert np.abs(figures.coloured(codes, palette)[0] - expected).max() <= 1
