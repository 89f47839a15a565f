"""The history of a training as CSV for a spreadsheet and JSON for a program, rewritten whole after each epoch."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cnnaudit.files import write_text
from cnnaudit.results import Epoch


def write(csv_path: Path, json_path: Path, history: Sequence[Epoch], about: Mapping[str, Any]) -> None:
    """Write both files, each all or nothing; `about` says in the JSON which training it is, and how it ended."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_text(csv_path, table.getvalue())
    record = dict(about) | {"history": [asdict(epoch) for epoch in history]}
    write_text(json_path, json.dumps(record, indent=1, allow_nan=False) + "\n")
