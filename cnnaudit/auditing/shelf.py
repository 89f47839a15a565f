"""What testing each cue found, kept on disk until the audit is done, so that an interrupted one can go on."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.shards import Columns, read_columns, write_columns
from cnnaudit.results import Change, Edit, Effect, Exchange, Share

Outcome: TypeAlias = tuple[tuple[Effect, ...], tuple[Edit, ...]]
"""The effects of one cue, p not yet adjusted, and pictures of them."""

_PHOTOS = ("before", "after", "placebo")
_CHANGES = ("effect", "placebo", "difference")


class Shelf:
    """Outcomes by cue. Without a folder nothing is kept.

    Args:
        folder: where they lie.
        digest: of the network and all pictures (`Survey.digest`).
        seed: of the audit.
    """

    def __init__(self, folder: Path | None = None, digest: str = "", seed: int = 0) -> None:
        self._folder, self._given = folder, f"{digest} {seed}"
        self._kept: list[Path] = []

    def outcome(self, cue: Cue, find: Callable[[], Outcome]) -> Outcome:
        """What is kept of the cue, else what `find` finds.

        Raises:
            OptionError: the folder cannot be written to.
        """
        if self._folder is None:
            return find()
        path = self._folder / f"test-{self._digest(cue)}.npz"
        self._kept.append(path)
        if (columns := read_columns(path)) is not None:
            with suppress(KeyError, ValueError, TypeError):  # damaged, or of another version: it is found anew
                return _from_columns(columns)
        found = find()
        write_columns(path, _columns(found))
        return found

    def clear(self) -> None:
        """The audit is done: throw the outcomes away."""
        for path in self._kept:
            with suppress(OSError):  # which another process may hold open
                path.unlink(missing_ok=True)

    def _digest(self, cue: Cue) -> str:
        facts = (cue.id, cue.kind, cue.label, cue.operations, cue.association, cue.object_share, cue.area, cue.copied)
        digest = hashlib.sha256(f"{self._given} {facts}".encode())
        digest.update(cue.present.cpu().numpy().tobytes())
        return digest.hexdigest()[:40]


def _columns(found: Outcome) -> Columns:
    effects, edits = found
    written = [{each.name: getattr(edit, each.name) for each in fields(edit)} for edit in edits]
    photos = {name: np.stack([row.pop(name) for row in written]) for name in _PHOTOS if written}
    facts = json.dumps({"effects": [asdict(effect) for effect in effects], "edits": written})
    return {"facts": np.array([facts]), **photos}


def _from_columns(columns: Columns) -> Outcome:
    facts = json.loads(str(columns["facts"][0]))
    return tuple(map(_effect, facts["effects"])), tuple(_edits(facts["edits"], columns))


def _effect(row: dict[str, Any]) -> Effect:
    found: dict[str, Any] = row | {name: Change(**row[name]) for name in _CHANGES}
    if found["exchange"] is not None:
        found["exchange"] = Exchange(**{name: Share(**counted) for name, counted in found["exchange"].items()})
    return Effect(**found)


def _edits(rows: Sequence[dict[str, Any]], columns: Columns) -> list[Edit]:
    return [Edit(**row, **{name: columns[name][k] for name in _PHOTOS}) for k, row in enumerate(rows)]
