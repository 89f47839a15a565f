"""`cnnaudit inspect`: a network in, a page of what it has learned out."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import MODEL, OUTPUT, RUN, common_options, console, errors_end_the_run, load_model

if TYPE_CHECKING:
    from cnnaudit.results import Report


@click.command()
@common_options(MODEL, RUN, OUTPUT)
def inspect(seed: int, out: str, as_json: bool, quiet: bool, verbose: bool, **model: Any) -> None:
    """What a network has learned.

    Writes one self-contained HTML page and its JSON twin, OUT/inspect-MODEL.html and .json.
    """
    with errors_end_the_run(verbose=verbose):
        from cnnaudit.inspecting import inspect_model

        classifier = load_model(quiet=quiet, **model)
        with _progress(quiet) as progress:
            report = inspect_model(
                classifier, seed=seed, command=shlex.join(["cnnaudit", *sys.argv[1:]]), progress=progress
            )
        page = report.save(Path(out) / f"{_stem(classifier.name)}.html")
        if as_json:
            click.echo(report.json(), nl=False)
            return
        if not quiet:
            _print(report)
        click.echo(str(page))


def _stem(name: str) -> str:
    """The file's name for a network of this name."""
    return f"inspect-{re.sub(r'[^A-Za-z0-9._-]+', '_', Path(name).stem or name).strip('._') or 'network'}"


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error; nothing where that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(section: str, done: int, total: int) -> None:
            bars.update(task, description=section.replace("_", " "), completed=done, total=total or None)

        yield show


def _print(report: "Report") -> None:
    found = report.inspection
    assert found is not None
    whole = found.architecture
    rows = [("layers", f"{len(whole.layers):,}"), ("parameters", f"{whole.parameters:,}")]
    rows.append(("multiply-adds a picture", f"{whole.multiply_adds:,}"))
    for name, value in rows:
        click.echo(f"{name:<24}{value}")
