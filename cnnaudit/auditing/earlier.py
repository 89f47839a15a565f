"""An earlier audit, read back from its JSON twin, and what of an audit two of them are compared by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from cnnaudit.errors import DataError, OptionError
from cnnaudit.report.auditing import twin
from cnnaudit.report.json import SCHEMA_VERSION
from cnnaudit.report.plain import plain
from cnnaudit.results import AuditFacts, Change, Operation, Share


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A cue in one audit.

    Attributes:
        name: what it is called.
        described: what it looks like, whatever the user calls it.
        effects: the difference to the placebo, by operation.
        concerned: names of pictures that have it.
    """

    id: str
    kind: str
    name: str
    described: str
    label: str
    concerned: frozenset[str]
    claim: str = ""
    verdict: str = ""
    effects: Mapping[Operation, Change] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an audit found, as far as two are compared.

    Attributes:
        pictures: the name of the set, how many there are, and the seed.
        worst: the name of the worst group and its accuracy.
    """

    pictures: tuple[str, int, int]
    accuracy: Share
    worst: tuple[str, Share] | None
    findings: tuple[Seen, ...]


def outcome(facts: AuditFacts, seed: int) -> Outcome:
    """Of an audit that was made just now."""
    return _outcome(plain(twin.record(facts)), seed)


def earlier(path: Path) -> Outcome:
    """Of the audit whose JSON twin this is.

    Raises:
        OptionError: there is no such file, or it is no twin of an audit that this version knows.
        DataError: it is damaged.
    """
    record = _json(path)
    kind = record.get("kind") if isinstance(record, dict) else None
    if kind != "audit":
        what = f"is the twin of a report of the kind {kind!r}" if isinstance(kind, str) else "is no twin of a report"
        raise OptionError(f"{path} {what}; an audit is compared with the JSON file that an earlier audit wrote.")
    version = record.get("schema_version")
    if not isinstance(version, int):
        raise _damaged(path, "schema_version")
    if version > SCHEMA_VERSION:
        raise OptionError(
            f"{path} was written by a newer cnnaudit (schema_version {version}; this one knows up to "
            f"{SCHEMA_VERSION}). Update cnnaudit, or make the earlier audit again with this one."
        )
    try:
        return _outcome(record["audit"], int(record["run"]["seed"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(path, str(error)) from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"{path} cannot be read ({error.strerror}); an audit is compared with the JSON file of an earlier one."
        ) from error
    except ValueError as error:  # no UTF-8, or no JSON
        if path.suffix.lower() in (".html", ".htm"):
            raise OptionError(
                f"{path} is a page; give the JSON file beside it, {path.with_suffix('.json')}."
            ) from error
        raise DataError(f"{path} is not valid JSON ({error}). Give the JSON file that an audit wrote.") from error


def _damaged(path: Path, where: str) -> DataError:
    return DataError(f"{path} is damaged: something is wrong or missing ({where}). Make the earlier audit again.")


def _outcome(record: Mapping[str, Any], seed: int) -> Outcome:
    worst = record["hurt"]["worst"]
    return Outcome(
        (str(record["dataset"]), int(record["pictures"]), seed),
        _share(record["accuracy"]),
        None if worst is None else (str(worst["name"]), _share(worst["right"])),
        tuple(map(_seen, record["findings"])),
    )


def _seen(row: Mapping[str, Any]) -> Seen:
    id_, kind, name, label, claim, verdict = (
        str(row[key]) for key in ("id", "kind", "name", "label", "claim", "verdict")
    )
    return Seen(
        id_,
        kind,
        name,
        str(row.get("described") or name),
        label,
        frozenset(map(str, row["concerned"])),
        claim,
        verdict,
        {_operation(each["operation"]): _change(each["difference"]) for each in row["effects"]},
    )


def _operation(name: Any) -> Operation:
    if name not in get_args(Operation):
        raise ValueError(f"the operation {name!r}")
    return name


def _change(row: Mapping[str, Any]) -> Change:
    return Change(float(row["value"]), float(row["low"]), float(row["high"]))


def _share(row: Mapping[str, Any]) -> Share:
    return Share(int(row["right"]), int(row["n"]), float(row["value"]), float(row["low"]), float(row["high"]))
