"""A table of pictures: a CSV file with a column of paths, one of labels, and whatever else is known of them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnaudit.errors import DataError, near_matches

_PATH = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path")
_LABEL = ("label", "class", "class_name", "target")
_SEPARATORS = ",;\t"


@dataclass(frozen=True, slots=True)
class Listing:
    """A row for each picture.

    Attributes:
        lines: of the file that each row begins on, for errors.
        names: of the files as they are written.
        paths: relative ones lie below the table's folder.
        labels: as they are written.
        columns: the others, by name.
    """

    lines: tuple[int, ...]
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]


def listing(path: Path) -> Listing:
    """The table in a CSV file, UTF-8, its columns set apart by commas, semicolons or tabs.

    The first line names the columns, in upper or lower case: `path` (or `file`, `filename`, `image`, …) and
    `label` (or `class`, `target`, …); blank lines are passed over.

    Raises:
        DataError: it cannot be read, a column is missing or there twice, or a row has too few or too many values.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = _separator(file.readline())
            file.seek(0)
            rows = list(_rows(path, csv.reader(file, delimiter=separator, strict=True)))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}). Save the table as CSV in UTF-8.") from error
    if len(rows) < 2:
        raise DataError(f"{path} has no row below its header. Expected: a line of column names, then one a picture.")
    header = [name.strip() for name in rows[0][1]]
    where, what = _columns(path, header)
    body = rows[1:]
    others = [place for place, name in enumerate(header) if place not in (where, what) and name]
    names = tuple(values[where].strip() for _, values in body)
    return Listing(
        lines=tuple(line for line, _ in body),
        names=names,
        paths=tuple(path.parent / Path(name).expanduser() for name in names),
        labels=tuple(values[what].strip() for _, values in body),
        columns={header[place]: tuple(values[place].strip() for _, values in body) for place in others},
    )


def _separator(header: str) -> str:
    """The one that is in the header most often; the comma where none is."""
    return max(_SEPARATORS, key=header.count)


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, and the line that it begins on."""
    width, line = 0, 1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: {error}. Write the table anew as CSV.") from error
        if values and any(value.strip() for value in values):
            width = width or len(values)
            if len(values) != width:
                raise DataError(
                    f"{path}, line {line}: {len(values)} values, where the header names {width} columns. "
                    "Put a value that holds the separator into double quotes."
                )
            yield line, values
        line = getattr(reader, "line_num", line) + 1


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int]:
    """The places of paths and labels."""
    folded = [name.casefold() for name in header]
    twice = sorted({name for name in folded if name and folded.count(name) > 1})
    if twice:
        raise DataError(f"{path} has two columns named {twice[0]!r}. Give each a name of its own.")
    return _column(path, folded, "path", _PATH), _column(path, folded, "label", _LABEL)


def _column(path: Path, header: Sequence[str], meaning: str, names: Sequence[str]) -> int:
    found = next((name for name in names if name in header), None)
    if found is None:
        raise DataError(
            f"{path} has the columns {', '.join(map(repr, header))}, and none of them is named {meaning!r} "
            f"({', '.join(names[1:])} would do).{near_matches(meaning, header)}"
        )
    return header.index(found)
