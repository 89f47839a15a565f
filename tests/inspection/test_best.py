"""The largest values of a stream, against sorting all of them at once."""

import pytest
import torch

from cnnaudit.inspection import best as best_module
from cnnaudit.inspection.best import Best, largest


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("sizes", [[1] * 60, [2, 50, 8], [60], [7] * 8 + [4], [50, 1, 1, 8]])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("held", [1, 1 << 18], ids=["settled at once", "waiting"])
def test_equal_to_sorting_all(k: int, sizes: list[int], last: bool, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_module, "_HELD", held)
    maps = torch.randint(-3, 9, (60, 5, 4, 3), generator=torch.Generator().manual_seed(k)).float()  # with many ties
    maps[:, 4] = 2.0
    found = Best(5, k, torch.device("cpu"))
    for part, places in zip(maps.split(sizes), torch.arange(60).split(sizes), strict=True):
        found.add(part.contiguous(memory_format=torch.channels_last) if last else part, places)
    peaks, positions = maps.flatten(2).max(2)
    order = peaks.sort(dim=0, descending=True, stable=True).indices[:k].T
    values, places, where = found.won()
    assert torch.equal(places, order)
    assert torch.equal(values, peaks.T.gather(1, order))
    assert torch.equal(where, positions.T.gather(1, order))
    assert found.silent.tolist() == [4]
    mean, deviation = found.spread()
    torch.testing.assert_close(mean, peaks.double().mean(0))
    torch.testing.assert_close(deviation, peaks.double().std(0, correction=0))


def test_a_value_that_is_no_number_is_noticed_behind_many_others() -> None:
    found = Best(2, 3, torch.device("cpu"))
    for place in range(30):
        maps = torch.zeros(1, 2)
        maps[0, 1] = torch.nan if place == 20 else 1.0
        found.add(maps, torch.tensor([place]))
    assert not found.finite


@pytest.mark.parametrize("channels", [1, 3, 10, 32, 300])
@pytest.mark.parametrize("size", [(24, 24), (8, 12), (7, 5), (1, 64)])
def test_largest_of_maps_channels_last_are_those_of_each_channel(channels: int, size: tuple[int, int]) -> None:
    maps = torch.randn(3, channels, *size, generator=torch.Generator().manual_seed(channels))
    maps[1, 0, 0, -1] = torch.nan
    expected = maps.flatten(2).max(2).values
    torch.testing.assert_close(largest(maps.contiguous(memory_format=torch.channels_last)), expected, equal_nan=True)
