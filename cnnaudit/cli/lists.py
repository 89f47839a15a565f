"""`cnnaudit models`, `cnnaudit methods` and `cnnaudit datasets`: what there is, one line each."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import console

if TYPE_CHECKING:
    from cnnaudit.data.datasets import Source

_NUMERIC = ("parameters", "top-1", "classes", "train", "val", "test", "download")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.command()
@_JSON
def models(as_json: bool) -> None:
    """The models that --model takes by name."""
    from cnnaudit.loading import available_models

    entries = available_models()
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=1))
        return
    rows = [
        (
            e.name,
            e.kind,
            _count(e.parameters),
            f"{e.accuracy:.1f} %" if e.accuracy else "",
            "yes" if e.cached else "",
            e.summary,
        )
        for e in entries
    ]
    _print_table(("name", "kind", "parameters", "top-1", "here", "what it is"), rows)
    click.echo("\nAlso: timm:NAME (with the timm extra), package.module:factory, or a checkpoint file.")


@click.command()
@_JSON
def methods(as_json: bool) -> None:
    """The explanation methods, what each says, and its options."""
    from cnnaudit.attribution import METHODS
    from cnnaudit.options import defaults

    if as_json:
        cards: list[dict[str, Any]] = [
            asdict(method.card(name)) | {"options": defaults(method.function)} for name, method in METHODS.items()
        ]
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False))
        return
    rows = []
    for name, method in METHODS.items():
        choices = ", ".join(f"{key}={_value(value)}" for key, value in defaults(method.function).items())
        rows.append((name, "signed" if method.signed else "unsigned", method.says, choices))
    _print_table(("name", "map", "what it says", "options (--option NAME.KEY=VALUE)"), rows)


@click.command()
@click.option(
    "--data-root", type=click.Path(file_okay=False), metavar="DIR",
    help="The folder that holds datasets; by default the cache.",
)  # fmt: skip
@_JSON
def datasets(data_root: str | None, as_json: bool) -> None:
    """The datasets that --data takes by name, and whether they are here."""
    from cnnaudit.data.datasets import DATASETS, default_root

    root = Path(data_root).expanduser() if data_root else default_root()
    entries = [_entry(name, source, root) for name, source in DATASETS.items()]
    if as_json:
        click.echo(json.dumps(entries, indent=1))
        return
    header = ("name", "classes", "shape", "train", "val", "test", "here", "download", "what it is")
    _print_table(header, [_dataset_row(entry) for entry in entries])
    click.echo(
        "\nAlso: folder:PATH, one folder of pictures a class, or train/ and val/ with one folder a class each;\n"
        f"PATH may be a .tar or .tar.gz of such folders. Files are looked for in {root} (--data-root)."
    )


def _entry(name: str, source: "Source", root: Path) -> dict[str, Any]:
    """A dataset as JSON has it."""
    fields = ("summary", "classes", "size", "channels", "train", "validation", "test", "download_bytes")
    return {"name": name, "here": source.here(root)} | {field: getattr(source, field) for field in fields}


def _dataset_row(entry: dict[str, Any]) -> tuple[str, ...]:
    height, width = entry["size"]
    size = entry["download_bytes"]
    return (
        entry["name"],
        str(entry["classes"]),
        f"{entry['channels']}x{height}x{width}",
        *(f"{entry[part]:,}" for part in ("train", "validation", "test")),
        "yes" if entry["here"] else "",
        f"{size / 1e6:.0f} MB" if size else "" if entry["here"] else "by hand",
        entry["summary"],
    )


def _value(value: Any) -> str:
    return (
        ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower() if value is None else str(value)
    )


def _count(parameters: int | None) -> str:
    return "" if parameters is None else f"{parameters:,}"


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in header:
        table.add_column(
            title, justify="right" if title in _NUMERIC else "left", overflow="fold", no_wrap=title == "name"
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)
