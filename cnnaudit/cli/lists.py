"""`cnnaudit models` and `cnnaudit methods`: what there is, one line each."""

import json
from dataclasses import asdict
from typing import Any

import click

from cnnaudit.cli.common import console

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
        numeric = title in ("parameters", "top-1")
        table.add_column(title, justify="right" if numeric else "left", overflow="fold", no_wrap=title == "name")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)
