"""Records in the types that JSON knows, and no number among them that is not finite."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from cnnaudit.errors import CnnAuditError
from cnnaudit.numbers import array


def plain(value: Any, path: str = "report") -> Any:
    """`value` with mappings and records as dicts and sequences as lists, arrays by their size; `path` names
    the place in an error.

    Raises:
        CnnAuditError: a number is infinite or not a number.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{path}.{key}") for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), f"{path}.{field.name}") for field in fields(value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item, f"{path}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise CnnAuditError(f"{path} is {value}: every number of a report must be finite.")
    return array(value) if hasattr(value, "shape") else value
