"""`cnnaudit inspect`: a network in, a page of what it has learned out."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import (
    MODEL,
    OUTPUT,
    RUN,
    common_options,
    errors_end_the_run,
    file_stem,
    load_model,
    part_progress,
)

if TYPE_CHECKING:
    from cnnaudit.results import InspectionFacts


@click.command()
@click.option("--data", metavar="DATA", help="Pictures to run it on: a dataset's name, folder:PATH or a folder.")
@click.option(
    "--data-root", type=click.Path(file_okay=False), metavar="DIR",
    help="Folder that holds datasets (see `cnnaudit datasets`).",
)  # fmt: skip
@click.option(
    "--photo", type=click.Path(), metavar="IMAGE",
    help="The picture that is followed through the network; by default the first of DATA.",
)  # fmt: skip
@click.option(
    "--layers", multiple=True, metavar="NAME",
    help="Layers to show, several with commas or by repeating; by default each section chooses a few.",
)  # fmt: skip
@click.option("--walk", metavar="LAYER", help="The convolution to walk through, number by number.")
@common_options(MODEL, RUN, OUTPUT)
def inspect(
    data: str | None, data_root: str | None, photo: str | None, layers: tuple[str, ...], walk: str | None, seed: int,
    out: str, as_json: bool, quiet: bool, verbose: bool, **model: Any,
) -> None:  # fmt: skip
    """What a network has learned.

    Writes one self-contained HTML page and its JSON twin, OUT/inspect-MODEL.html and .json. Without DATA, what
    needs pictures is left out; the page says what, and why.

    \b
    cnnaudit inspect --model husky-wolf --data husky-wolf
    cnnaudit inspect --model resnet18 --weights mine.pth --data photos --walk layer2.0.conv1
    cnnaudit inspect --model vgg16 --weights none --photo dog.jpg
    """
    with errors_end_the_run(verbose=verbose):
        from cnnaudit.inspecting import inspect_model

        classifier = load_model(quiet=quiet, **model)
        with part_progress(quiet) as progress:
            report = inspect_model(
                classifier, data=data, data_root=data_root, photo=photo, layers=_names(layers), walk=walk, seed=seed,
                command=shlex.join(["cnnaudit", *sys.argv[1:]]), progress=progress,
            )  # fmt: skip
        page = report.save(Path(out) / f"{file_stem('inspect', classifier.name)}.html")
        if as_json:
            click.echo(report.json(), nl=False)
            return
        if not quiet and report.inspection:
            _print(report.inspection)
        click.echo(str(page))


def _names(given: Sequence[str]) -> list[str] | None:
    return [name.strip() for text in given for name in text.split(",") if name.strip()] or None


def _print(found: "InspectionFacts") -> None:
    whole = found.architecture
    rows = [("layers", f"{len(whole.layers):,}"), ("parameters", f"{whole.parameters:,}")]
    rows.append(("multiply-adds a picture", f"{whole.multiply_adds:,}"))
    rows += [(f"no {name.replace('_', ' ')}", reason) for name, reason in found.skipped.items()]
    for name, value in rows:
        click.echo(f"{name:<24}{value}")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
