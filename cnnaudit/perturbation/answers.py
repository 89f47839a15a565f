"""Answers about copies of one picture, kept for the next class that is explained there.

Copies do not depend on which class is explained, and the network gives the scores of all classes at once.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from cnnaudit.shapes import Logits

_ROOM = 64 * 2**20  # bytes of scores


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the network said of one block of copies.

    Attributes:
        logits: not to be written into.
        types: the numbers in which the network has been run up to here, such as `float32`.
        notes: what the reader was told up to here.
        randomness: the state of torch's generator afterwards, for networks that draw by themselves.
    """

    logits: Logits
    types: tuple[str, ...]
    notes: tuple[str, ...]
    randomness: Tensor


class Answers:
    """Blocks of copies and what the network said of them; what comes when there is no more room is not kept.

    Args:
        room: bytes that the scores may take.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._known: dict[str, Answer] = {}

    def recall(self, key: str) -> Answer | None:
        """What is known of these copies."""
        return self._known.get(key)

    def keep(self, key: str, answer: Answer) -> None:
        """Remember it, if there is room."""
        size = answer.logits.nbytes
        if size <= self._room:
            self._room -= size
            self._known[key] = answer


def digest(*values: object) -> str:
    """A hash of all that the values hold: tensors, dataclasses of them, and what has a text."""
    found = hashlib.sha256()
    for value in values:
        for part in _parts(value):
            found.update(len(part).to_bytes(8, "little"))
            found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    else:
        yield repr(value).encode()
