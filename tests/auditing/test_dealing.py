"""Donors are used evenly, and none gives to itself."""

from collections import Counter

import torch

from cnnaudit.auditing.dealing import dealt


def test_none_comes_twice_before_each_came_once() -> None:
    among, places = list(range(100, 107)), list(range(20))
    found = dealt(among, places, torch.Generator().manual_seed(0))
    assert Counter(found[:7]) == Counter(found[7:14]) == Counter(among)
    assert len(found) == 20 and len(set(found[14:])) == 6
    assert found != dealt(among, places, torch.Generator().manual_seed(1))


def test_no_picture_gives_to_itself_unless_there_is_no_other() -> None:
    among = [3, 5, 8]
    for seed in range(20):
        found = dealt(among, [3, 5, 8, 3, 5], torch.Generator().manual_seed(seed))
        assert all(donor != place for donor, place in zip(found, [3, 5, 8, 3, 5], strict=True))
    assert dealt([3], [3], torch.Generator()) == [3]
