"""A cue that two sources find, against one that is elsewhere, of another class, or in other pictures."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from made_up import clouds
from tagged_pictures import Convolutional, asked

from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.cutting import cut
from cnnaudit.auditing.distinct import distinct
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.scenery import View

SCENERY, _ = cut(asked(Convolutional(), clouds(20, size=16), torch.arange(20) % 2), 20)


class _Box:
    def __init__(self, *at: slice) -> None:
        self.at = at

    def __call__(self, _view: View) -> Bool[np.ndarray, "h w"]:
        inside = np.zeros((16, 16), bool)
        inside[self.at] = True
        return inside


def cue(name: str, *at: slice, present: torch.Tensor | None = None, label: int = 1) -> Cue:
    present = torch.arange(20) % 2 == 1 if present is None else present
    paste = Pasting(SCENERY, _Box(*at), False, tuple(present.nonzero().squeeze(1).tolist()), (0, 2))
    return Cue(name, "patch", name, label, present, 1.0, paste)


def test_only_the_first_of_two_cues_in_the_same_pictures_and_at_the_same_place_is_kept() -> None:
    tag = cue("tag", slice(2, 6), slice(2, 6))
    some = tag.present & (torch.arange(20) < 10)
    others = [
        cue("tag with its surroundings", slice(1, 7), slice(1, 7)),
        cue("elsewhere", slice(8, 12), slice(8, 12)),
        cue("snow", slice(0, 16), slice(0, 16)),
        cue("rare", slice(2, 6), slice(2, 6), present=some),
        cue("other class", slice(2, 6), slice(2, 6), label=0),
        replace(tag, name="everywhere", edit=lambda *_: None),
    ]
    assert [each.name for each in distinct([tag, *others])] == [
        "tag", "elsewhere", "snow", "rare", "other class", "everywhere",
    ]  # fmt: skip
    assert distinct([]) == []


def test_equal_ids_are_told_apart() -> None:
    box = cue("class-c", slice(2, 6), slice(2, 6))
    found = distinct([box, replace(box, label=0), replace(box, id="class-c-2", edit=lambda *_: None), box])
    assert [each.id for each in found] == ["class-c", "class-c-2", "class-c-2-2"]
