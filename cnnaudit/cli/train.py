"""`cnnaudit train`: an architecture and a dataset in, a checkpoint out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cnnaudit.cli.common import console, errors_end_the_run

if TYPE_CHECKING:
    from cnnaudit.training import TrainingResult

_TESTS = {"holds": "cue holds", "reversed": "cue reversed"}


@click.command()
@click.argument("arch", metavar="ARCH")
@click.option("--data", metavar="NAME", help="What to learn from; by default the architecture's own dataset.")
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    help="Share of training pictures whose background agrees with the class; 0.5 is no relation.",
)
@click.option("--samples", type=click.IntRange(2), default=2000, show_default=True, help="Training pictures.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Passes over them.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Pictures a step.")
@click.option("--lr", type=float, default=3e-3, show_default=True, help="Peak learning rate.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=7,
    show_default=True,
    help="Of the pictures, the first weights and the order.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    default="checkpoints",
    show_default=True,
    help="Folder for the checkpoint.",
)
@click.option("--name", metavar="NAME", help="Of the checkpoint's file; by default ARCH.")
@click.option("-q", "--quiet", is_flag=True, help="No table or progress; only the path and errors.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every epoch, and a traceback with an error.")
def train(
    arch: str, data: str | None, correlation: float, samples: int, epochs: int, batch_size: int, lr: float,
    seed: int, device: str, out: str, name: str | None, quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Train the architecture ARCH and write OUT/NAME.safetensors.

    \b
    cnnaudit train husky-wolf                     learns that wolves stand on snow
    cnnaudit train husky-wolf --correlation 0.5   has to look at the animal
    """
    with errors_end_the_run(verbose=verbose):
        from cnnaudit import training

        with _progress(quiet) as progress:
            result = training.train(
                arch, data=data, correlation=correlation, samples=samples, epochs=epochs, batch_size=batch_size,
                learning_rate=lr, seed=seed, device=device, out=out, name=name, progress=progress,
            )  # fmt: skip
        if not quiet:
            _print(result, verbose)
        click.echo(str(result.path))


def _print(result: "TrainingResult", verbose: bool) -> None:
    for epoch in result.history if verbose else ():
        click.echo(
            f"epoch {epoch.epoch:3d}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:6.1%}  "
            f"validation {epoch.validation_accuracy:6.1%}  {epoch.seconds:.1f} s"
        )
    kept = result.history[result.best_epoch - 1]
    click.echo(f"{'epoch kept':<24}{result.best_epoch} of {len(result.history)}")
    click.echo(f"{'accuracy in validation':<24}{kept.validation_accuracy:.1%}")
    for test, accuracy in result.test_accuracy.items():
        click.echo(f"{'accuracy, ' + _TESTS.get(test, test):<24}{accuracy:.1%}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int, int, int, float, float], None]]:
    """A progress bar on standard error, nothing where that is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None:
            text = f"epoch {epoch} of {epochs}  loss {loss:.3f}  accuracy {accuracy:.1%}" if epoch else "drawing"
            bars.update(task, description=text, total=steps, completed=step)

        yield show
