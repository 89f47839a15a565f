"""Holding against a list that is searched from the end."""

import random
from dataclasses import dataclass, replace

import pytest
import torch
from tagged_pictures import Reddish, asked, discs

from cnnaudit.auditing.cutting import cut
from cnnaudit.auditing.holding import Holding
from cnnaudit.auditing.parts import Parts
from cnnaudit.auditing.patches import patch_cues
from cnnaudit.auditing.shelf import Shelf


@dataclass(frozen=True)
class Thing:
    nbytes: int


@pytest.mark.parametrize("most", [0, 10, 40, 1000])
def test_the_last_ones_asked_for_that_fit_are_held(most: int) -> None:
    draw = random.Random(most)
    sizes = [draw.randint(1, 15) for _ in range(30)]
    holding, order = Holding[Thing](most), []
    for _ in range(500):
        key = draw.randrange(30)
        found = holding.get(key)
        assert (found is not None) == (key in order)
        if found is None:
            holding.put(key, Thing(sizes[key]))
        order = [*(other for other in order if other != key), key]
        while sum(sizes[other] for other in order) > most:
            order.pop(0)
        assert len(holding) == len(order) and holding.nbytes == sum(sizes[other] for other in order)


def test_all_parts_of_an_audit_share_what_is_held() -> None:
    truth = torch.arange(8) % 2
    given = asked(Reddish(), discs(8, truth)[0], truth)
    parts = Parts(given.classifier, given.pictures, given.survey, 0, lambda _name, _done, _total: None, Shelf())
    first = parts.made("one", lambda each: (each.holding, cut(each, 4)[0].views([0, 5])), None)
    second = parts.made("other", lambda each: (each.holding, cut(each, 4)[0].views([1])), None)
    assert first is not None and second is not None and first[0] is second[0]
    assert len(first[0]) == 3 and parts.skipped == {}


def test_cues_and_edits_do_not_depend_on_what_is_held() -> None:
    truth = torch.arange(60) % 2
    given = asked(Reddish(), discs(60, truth)[0], truth)
    found, expected = (patch_cues(each) for each in (replace(given, holding=Holding(0)), given))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert (one.id, one.name, one.association, one.object_share) == (
            other.id,
            other.name,
            other.association,
            other.object_share,
        )
        edited, wanted = (cue.edit("insert", range(20), torch.Generator().manual_seed(1)) for cue in (one, other))
        assert edited is not None and wanted is not None
        assert edited.places == wanted.places and edited.after.equal(wanted.after)
        assert edited.placebo.equal(wanted.placebo) and edited.before.equal(wanted.before)
        for shown, patch in zip(one.patches(), other.patches(), strict=True):
            assert (shown.pixels == patch.pixels).all()
