"""`cnnaudit train`: an architecture and a dataset in, a checkpoint and a training report out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import OUTPUT, common_options, console, errors_end_the_run, size_of

if TYPE_CHECKING:
    from cnnaudit.training import Epoch, Progress, Step, TrainingResult

_GO_ON = "it was stopped before its end; go on with the same command and --resume"
_TESTS = {"holds": "cue holds", "reversed": "cue reversed"}
_LOOP = (
    click.option("--epochs", type=click.IntRange(1), help="Passes over the training pictures."),
    click.option("--batch-size", type=click.IntRange(1), help="Pictures a step."),
    click.option("--optimizer", metavar="NAME", help="sgd, adam, adamw or muon."),
    click.option("--lr", type=float, help="Peak learning rate."),
    click.option("--momentum", type=float, help="Of sgd and muon (Nesterov's); 0.9 if not given."),
    click.option("--weight-decay", type=float, help="Pull of the weights towards 0."),
    click.option("--schedule", metavar="NAME", help="cosine, linear, step or constant."),
    click.option("--warm-up", type=float, metavar="SHARE", help="Share of the steps in which the rate rises."),
    click.option("--label-smoothing", type=float, metavar="SHARE", help="Share of a target spread over all classes."),
    click.option("--early-part", type=float, metavar="SHARE", help="Share of each side that is learned from at first."),
    click.option("--augment", metavar="NAMES", help="crop,flip,colour; scene; or none. By default as suits the data."),
    click.option("--precision", metavar="NAME", help="auto, float32, bfloat16 or float16."),
    click.option("--patience", type=click.IntRange(1), metavar="N", help="End after N epochs without a better one."),
    click.option("--time-limit", type=float, metavar="SECONDS", help="End after so long, and keep the best."),
    click.option("--deterministic", is_flag=True, help="Repeat to the bit on an accelerator too; may be slower."),
    click.option("--half", is_flag=True, help="Keep the weights in float16: half the file."),
    click.option("--resume", is_flag=True, help="Go on where the same training was stopped."),
)  # fmt: skip
_NETWORK = (
    click.option("--pool", metavar="NAME", help="max, average, stride or blur, instead of the architecture's own."),
    click.option("--dropout", type=float, metavar="SHARE", help="Before the last layers."),
    click.option("--input-size", metavar="H[xW]", help="Resize the pictures to this."),
    click.option("--pretrained", is_flag=True, help="Start from torchvision's weights, with a new last layer."),
    click.option("--weights", metavar="FILE", help="Pretrained weights of your own, or the name of torchvision's."),
    click.option("--freeze", metavar="PART", default="none", help="backbone: train the last layer only."),
    click.option("--unfreeze-after", type=click.IntRange(1), metavar="N", help="Train all of it after N epochs."),
)  # fmt: skip
_SCENES = (
    click.option("--correlation", type=click.FloatRange(0, 1),
                 help="husky-wolf: share of scenes whose background agrees with the class (0.95); 0.5 is no relation."),
    click.option("--samples", type=click.IntRange(2), help="husky-wolf: training scenes (2000)."),
    click.option("--test-samples", type=click.IntRange(2), help="husky-wolf: scenes of each test (2000)."),
)  # fmt: skip


@click.command()
@click.argument("arch", metavar="ARCH")
@click.option("--data", metavar="DATA", help="A dataset's name or folder:PATH; by default the one called like ARCH.")
@click.option(
    "--data-root",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Folder that holds datasets (see `cnnaudit datasets`).",
)
@common_options(_LOOP, _NETWORK, _SCENES)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    default="reports",
    show_default=True,
    help="Folder for the checkpoint, its log and its report.",
)
@click.option("--name", metavar="NAME", help="Of the files; by default ARCH-DATA.")
@common_options(OUTPUT)
def train(
    arch: str, input_size: str | None, augment: str | None, lr: float | None, out: str,
    as_json: bool, quiet: bool, verbose: bool, **options: Any,
) -> None:  # fmt: skip
    """Train ARCH and write OUT/NAME.safetensors, its log (CSV and JSON) and its report (HTML and JSON).

    ARCH is one of our architectures or a torchvision classifier (see `cnnaudit models`), or a pattern.
    Whatever is not given comes from the architecture's preset, and is in the report.

    \b
    cnnaudit train cnn2 --data digits                      seconds, offline
    cnnaudit train conv10-20 --data mnist --epochs 3
    cnnaudit train "[[c32 r]*2 p]*2 [f128 r] f10" --data mnist
    cnnaudit train resnet18 --data folder:photos --pretrained --freeze backbone --unfreeze-after 2
    cnnaudit train husky-wolf --correlation 0.5            has to look at the animal
    """
    with errors_end_the_run(verbose=verbose):
        from cnnaudit import training

        with _progress(quiet) as progress:
            result = training.train(
                arch, input_size=size_of(input_size), augmentation=_names(augment), learning_rate=lr, out=out,
                progress=progress, **options,
            )  # fmt: skip
        page = result.report().save(result.path.with_suffix(".html"))
        _show(result, str(page), as_json=as_json, quiet=quiet, verbose=verbose)
    if result.interrupted:
        sys.exit(130)


def _show(result: "TrainingResult", page: str, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    notes = result.notes if result.finished else (*result.notes, _GO_ON)
    for note in () if quiet else notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(result.report().json(), nl=False)
        return
    if not quiet:
        _print(result, verbose)
    click.echo(str(result.path))
    click.echo(page)


def _names(text: str | None) -> Sequence[str] | None:
    if text is None:
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


def _print(result: "TrainingResult", verbose: bool) -> None:
    for epoch in result.history if verbose else ():
        click.echo(_line(epoch))
    kept = result.history[result.best_epoch - 1]
    rows = [("ended", result.ended), ("epoch kept", f"{result.best_epoch} of {len(result.history)}")]
    rows.append(("accuracy in validation", f"{kept.validation_accuracy:.2%}"))
    for test in result.tests:
        share = test.accuracy
        name = "test accuracy" if len(result.tests) == 1 else f"accuracy, {_TESTS.get(test.name, test.name)}"
        rows.append((name, f"{share.value:.2%}  (95% interval {share.low:.2%} to {share.high:.2%}, n = {share.n})"))
    for name, value in rows:
        click.echo(f"{name:<24}{value}")


def _line(epoch: "Epoch") -> str:
    return (
        f"epoch {epoch.epoch:3d}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:7.2%}  "
        f"validation {epoch.validation_accuracy:7.2%}  {epoch.seconds:.1f} s  {epoch.images_per_second:,.0f} pictures/s"
    )


@contextmanager
def _progress(quiet: bool) -> Iterator["Progress"]:
    """A progress bar on standard error; nothing where that is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[rest]}"))
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bars:
        task = bars.add_task("", total=None, rest="")

        def show(step: "Step") -> None:
            total = step.steps or None
            bars.update(task, description=_description(step), rest=_rest(step), total=total, completed=step.step)

        yield show


def _description(step: "Step") -> str:
    if not step.epoch:
        return "getting the pictures"
    return f"epoch {step.epoch}/{step.epochs}  loss {step.loss:.3f}  accuracy {step.accuracy:.1%}"


def _rest(step: "Step") -> str:
    if not step.epoch:
        return ""
    minutes, seconds = divmod(round(step.seconds_left), 60)
    return f"{step.images_per_second:,.0f} pictures/s  {minutes}:{seconds:02d} left"
