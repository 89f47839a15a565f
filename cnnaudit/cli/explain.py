"""`cnnaudit explain`: photos in, a page and tables out."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import MODEL, OUTPUT, RUN, common_options, console, errors_end_the_run, load_model

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cnnaudit.explaining import Progress, Step
    from cnnaudit.results import ImageResult, Report


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="A method (see `cnnaudit methods`), several with commas or by repeating; all; standard: without those that "
    "ask hundreds of questions more for what others answer too (rise, kernel_shap, shapley); or quick: those that "
    "share one pass. Default: standard for one photo, quick for several.",
)  # fmt: skip
@click.option(
    "--target", metavar="LABEL|INDEX|topK", help="The class to explain; by default the network's first choice."
)
@click.option(
    "--versus", metavar="LABEL|INDEX", help="Explain the target against this class: the difference of logits."
)
@click.option("--layer", metavar="NAME", help="The layer whose maps CAM methods use; by default it is found.")
@click.option(
    "--option", "settings", multiple=True, metavar="METHOD.KEY=VALUE",
    help="An option of a method, such as lime.fill=blur; may be repeated.",
)  # fmt: skip
@click.option(
    "--time-limit", type=float, metavar="SECONDS",
    help="For each explanation: a method that draws samples ends with those it has, and says so; one that needs all "
    "of its parts is listed as not done.",
)  # fmt: skip
@click.option("--save-maps", is_flag=True, help="Also write each map as .npy and its overlay as .png.")
@click.option("--strict", is_flag=True, help="Exit with 2 when any image could not be read.")
@common_options(MODEL, RUN, OUTPUT)
def explain(
    images: tuple[str, ...], methods: tuple[str, ...], target: str | None, versus: str | None, layer: str | None,
    settings: tuple[str, ...], time_limit: float | None, save_maps: bool, strict: bool, seed: int, out: str,
    as_json: bool, quiet: bool, verbose: bool, **model: Any,
) -> None:  # fmt: skip
    """Why a network says what it says about photos.

    IMAGE is a file, a folder or a glob; several may be given. Writes one self-contained HTML page and
    its JSON twin, and prints the predictions and the methods' figures.
    """
    with errors_end_the_run(verbose=verbose):
        from cnnaudit.data.finding import find_images
        from cnnaudit.errors import ImageError
        from cnnaudit.explaining import check_methods, explain_all

        paths = find_images(images)
        names, chosen = _method_names(methods, several=len(paths) > 1), _settings(settings)
        check_methods(names, chosen)
        if not any(path.exists() for path in paths):
            raise ImageError(f"{', '.join(map(str, paths[:3]))}: no such file; check the name and the folder.")
        classifier = load_model(quiet=quiet, **model)
        with _progress(len(paths) * len(names) * _targets(target), quiet) as progress:
            report = explain_all(
                classifier, paths, methods=names, target=target, versus=versus, layer=layer,
                options=chosen, seed=seed, command=shlex.join(["cnnaudit", *sys.argv[1:]]),
                time_limit=time_limit, progress=progress,
            )  # fmt: skip
        written = _write(report, Path(out), save_maps) if report.images else []
        _print(report, written, as_json=as_json, quiet=quiet, verbose=verbose)
    if not report.images or (strict and report.failures):
        sys.exit(2)


def _method_names(given: Sequence[str], *, several: bool) -> list[str]:
    from cnnaudit.attribution import METHODS

    presets = {
        "all": list(METHODS),
        "standard": [name for name, method in METHODS.items() if not method.thorough],
        "quick": [name for name, method in METHODS.items() if method.shares_gradient],
    }
    words = [word.strip() for item in given for word in item.split(",") if word.strip()]
    words = words or ["quick" if several else "standard"]
    return list(dict.fromkeys(name for word in words for name in presets.get(word, [word])))


def _settings(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    settings: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        method, dot, key = place.partition(".")
        if not (equals and dot and method and key):
            raise click.BadParameter(f"{text!r}; give METHOD.KEY=VALUE, such as lime.fill=blur.", param_hint="--option")
        settings.setdefault(method, {})[key] = value
    return settings


def _targets(target: str | None) -> int:
    """About how many targets each picture has."""
    count = (target or "").lower().removeprefix("top")
    return max(1, int(count)) if count != (target or "").lower() and count.isdecimal() else 1


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator["Progress"]:
    """A progress bar on standard error over all explanations; nothing where that is no terminal."""
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[rest]}"),
    )  # fmt: skip
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bar:
        task = bar.add_task("explaining", total=total, rest="")

        def show(step: "Step") -> None:
            part = step.asked / step.expected if step.expected else 0.0
            rest = f"{step.asked:,} of {step.expected:,} pictures" if step.expected else ""
            name = escape(f"{step.image}: {step.method}")
            bar.update(task, completed=min(step.finished + part, total), description=name, rest=rest)

        yield show


def _write(report: "Report", folder: Path, save_maps: bool) -> list[Path]:
    stem = Path(report.images[0].image.name).stem
    name = stem if len(report.images) == 1 else f"{stem}-and-{len(report.images) - 1}-more"
    written = [report.save(folder / f"{name}.html")]
    if save_maps:
        from cnnaudit.report.maps import save_maps as write_maps

        written += write_maps(report, folder / f"{name}-maps")
    return written


def _print(report: "Report", written: list[Path], *, as_json: bool, quiet: bool, verbose: bool) -> None:
    for failure in report.failures:
        click.echo(f"error: {failure.reason}", err=True)
    if report.failures:
        click.echo(f"{len(report.failures)} of {len(report.failures) + len(report.images)} images failed.", err=True)
    if as_json:
        click.echo(report.json())
        return
    if not quiet:
        _print_tables(console(), report.images, verbose)
    pages = written if verbose or quiet else written[:1]
    for path in pages:
        click.echo(str(path))
    if len(pages) < len(written):
        click.echo(f"and {len(written) - len(pages)} map files in {written[1].parent}")


def _print_tables(terminal: "Console", images: Sequence["ImageResult"], verbose: bool) -> None:
    from rich.text import Text

    for result in images:
        terminal.print(Text(result.image.name, style="bold"))
        terminal.print(_predictions(result))
        terminal.print(_methods(result, verbose))
        for note in _notes(result):
            terminal.print(Text(f"note: {note}", style="yellow"))
        for declined in result.declined:
            what = "does not apply" if declined.flag == "not_applicable" else "gave no map"
            terminal.print(Text(f"{declined.card.name} {what}: {declined.reason}", style="dim"))
        terminal.print()


def _notes(result: "ImageResult") -> list[str]:
    of_methods = [f"{e.method}: {note}" for e in result.explanations for note in e.notes]
    return [*result.image.notes, *dict.fromkeys(of_methods)]


def _predictions(result: "ImageResult") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from cnnaudit.numbers import percent

    table = Table(box=None, pad_edge=False, show_header=False)
    for prediction in result.predictions:
        bar = "█" * round(20 * prediction.probability)
        table.add_row(Text(prediction.label), percent(prediction.probability), Text(bar, style="cyan"))
    return table


def _methods(result: "ImageResult", verbose: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from cnnaudit.numbers import fact

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("method", "target", "seconds", "in top tenth", *(("found",) if verbose else ())):
        numeric = title in ("seconds", "in top tenth")
        table.add_column(title, justify="right" if numeric else "left", overflow="fold", no_wrap=title == "method")
    for e in result.explanations:
        share = "no evidence" if e.is_empty else f"{e.concentration:.0%}"
        facts = (", ".join(f"{key} {fact(value)}" for key, value in e.facts.items()),) if verbose else ()
        table.add_row(e.method, Text(e.target.name), f"{e.seconds:.2f}", share, *(Text(fact) for fact in facts))
    return table
