"""What testing a cue found, kept until the audit is done."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.shelf import Outcome, Shelf
from cnnaudit.results import Change, Edit, Effect, Exchange, Share

RANDOM = np.random.default_rng(0)
CHANGE = Change(0.1 + 0.2, 1 / 3, 2e-17)
EFFECT = Effect("remove", 5, CHANGE, CHANGE, CHANGE, 2, 1, 1 / 7, 1.0)
CUE = Cue("snow", "patch", "snow", 1, torch.tensor([True, False]), 0.9, lambda *_: None)


def photo() -> np.ndarray:
    return RANDOM.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def edit(name: str) -> Edit:
    return Edit(name, "remove", photo(), photo(), photo(), 0.1, 1 / 3, 0.7)


SWAPS = Exchange(*(Share(right, 7, right / 7, 1 / 9, 8 / 9) for right in (6, 5, 1)))
OUTCOMES: tuple[Outcome, ...] = (
    ((EFFECT, replace(EFFECT, operation="insert", exchange=SWAPS)), (edit("a.png"), edit("b ü.png"))),
    ((EFFECT,), ()),
    ((), ()),
)


def alike(a: Outcome, b: Outcome) -> None:
    assert a[0] == b[0]
    assert len(a[1]) == len(b[1])
    for one, two in zip(a[1], b[1], strict=True):
        np.testing.assert_equal(asdict(one), asdict(two))


def never() -> Outcome:
    raise AssertionError("it is kept already")


@pytest.mark.parametrize("found", OUTCOMES, ids=["edits", "no edits", "nothing"])
def test_what_is_kept_comes_back_to_the_bit(found: Outcome, tmp_path: Path) -> None:
    alike(Shelf(tmp_path, "net", 0).outcome(CUE, lambda: found), found)
    again = Shelf(tmp_path, "net", 0)
    alike(again.outcome(CUE, never), found)
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_another_network_seed_or_cue_is_tested_anew(tmp_path: Path) -> None:
    Shelf(tmp_path, "net", 0).outcome(CUE, lambda: OUTCOMES[0])
    elsewhere = replace(CUE, present=torch.tensor([True, True]))
    for shelf, cue in (
        (Shelf(tmp_path, "other net", 0), CUE),
        (Shelf(tmp_path, "net", 1), CUE),
        (Shelf(tmp_path, "net", 0), elsewhere),
        (Shelf(tmp_path, "net", 0), replace(CUE, label=0)),
    ):
        alike(shelf.outcome(cue, lambda: OUTCOMES[2]), OUTCOMES[2])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off"])
def test_what_is_damaged_is_found_anew(damage: bytes, tmp_path: Path) -> None:
    Shelf(tmp_path, "net", 0).outcome(CUE, lambda: OUTCOMES[0])
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    alike(Shelf(tmp_path, "net", 0).outcome(CUE, lambda: OUTCOMES[1]), OUTCOMES[1])


def test_without_a_folder_nothing_is_kept() -> None:
    shelf = Shelf()
    alike(shelf.outcome(CUE, lambda: OUTCOMES[0]), OUTCOMES[0])
    alike(shelf.outcome(CUE, lambda: OUTCOMES[1]), OUTCOMES[1])
    shelf.clear()
