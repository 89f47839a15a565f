"""What the user calls cues: `--name-clusters`."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from cnnaudit.errors import OptionError
from cnnaudit.results import CueKind

_HOW = "Give ID=NAME, such as patch-3-wolf=snow, or a JSON or TOML file of such pairs"


def cluster_names(given: Sequence[str]) -> Mapping[str, str]:
    """Names by the ids of cues; of several for one cue, the last.

    Args:
        given: pairs ID=NAME (or NAME=ID), and files of JSON or TOML that hold such pairs.

    Raises:
        OptionError: a file cannot be read or holds something else, or a pair is none.
    """
    names: dict[str, str] = {}
    for text in given:
        names |= _pair(text) if "=" in text else _file(Path(text).expanduser())
    return names


def _pair(text: str) -> dict[str, str]:
    one, _, other = (part.strip() for part in text.partition("="))
    if not (one and other):
        raise OptionError(f"{text!r} names no cue. {_HOW}.")
    return {other: one} if _is_id(other) and not _is_id(one) else {one: other}


def _is_id(text: str) -> bool:
    return text.split("-")[0] in get_args(CueKind) and "-" in text


def _file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise OptionError(f"{path} is no pair and no file that can be read ({error.strerror}). {_HOW}.") from error
    except ValueError as error:  # no UTF-8, JSON or TOML
        raise OptionError(f"{path} cannot be understood ({error}). {_HOW}.") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) and name for name in found.values()):
        raise OptionError(f"{path} holds something else than ids of cues, each with a name. {_HOW}.")
    return found
