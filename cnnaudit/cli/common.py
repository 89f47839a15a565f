"""What every verb shares: the common options, the console, and how errors end a run."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from cnnaudit.classifier import Classifier

Command = TypeVar("Command", bound=Callable[..., Any])

MODEL = (
    click.option(
        "--model", default="auto", show_default=True,
        help="A name (see `cnnaudit models`), a checkpoint file, timm:NAME or package.module:factory. "
        "auto: resnet50 if its weights can be had, else the bundled husky-wolf.",
    ),
    click.option(
        "--weights",
        help="A weights file (.safetensors, .pth, .pt, .th), the name of one of torchvision's, or none: random ones.",
    ),
    click.option(
        "--labels", type=click.Path(exists=True, dir_okay=False),
        help="A file with the classes' names: one a line, or JSON.",
    ),
    click.option("--input-size", metavar="H[xW]", help="Pixels the network is given."),
    click.option("--mean", metavar="M[,M,M]", help="Mean of the normalisation, a channel."),
    click.option("--std", metavar="S[,S,S]", help="Deviation of the normalisation, a channel."),
    click.option(
        "--trust-model", is_flag=True,
        help="Load a file that runs code of its own (TorchScript, .pt2, a pickled module).",
    ),
    click.option(
        "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."
    ),
)  # fmt: skip
RUN = (
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random."),
    click.option(
        "--out", type=click.Path(file_okay=False), default="reports", show_default=True,
        help="Folder that the page and its JSON twin are written to.",
    ),
)  # fmt: skip
OUTPUT = (
    click.option("--json", "as_json", is_flag=True, help="Print the JSON twin on standard output instead of tables."),
    click.option("-q", "--quiet", is_flag=True, help="No tables, progress or warnings; only paths and errors."),
    click.option("-v", "--verbose", is_flag=True, help="More about each step, and a traceback with an error."),
)


def common_options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[Command], Command]:
    """Put groups of shared options behind a verb's own."""

    def decorate(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


def console(*, stderr: bool = False) -> "Console":
    """Standard output or standard error; plain where it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else 100
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


@contextmanager
def part_progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, told a part, how much of it is done and of how much; nothing without a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    terminal = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(part: str, done: int, total: int) -> None:
            bars.update(task, description=part.replace("_", " "), completed=done, total=total or None)

        yield show


def file_stem(verb: str, *names: str) -> str:
    """The name of a verb's files, from names or paths of what it was asked about."""
    stems = (re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem or name).strip("._") for name in names)
    return "-".join([verb, *(stem or "network" for stem in stems)])


@contextmanager
def errors_end_the_run(*, verbose: bool, stopped: str = "stopped") -> Iterator[None]:
    """A `CnnAuditError` becomes one message on standard error and exit code 2, Ctrl-C (`stopped`) exit code 130."""
    from cnnaudit.errors import CnnAuditError

    try:
        yield
    except CnnAuditError as error:
        if verbose:
            import traceback

            click.echo(traceback.format_exc(), err=True)
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of standard output has gone, as with `| head`
        raise
    except OSError as error:
        click.echo(f"error: {error}. Check the path, the permissions and the space left.", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo(stopped, err=True)
        sys.exit(130)


def load_model(
    *, model: str, weights: str | None, labels: str | None, input_size: str | None, mean: str | None, std: str | None,
    trust_model: bool, device: str, quiet: bool,
) -> "Classifier":  # fmt: skip
    """`cnnaudit.load` with a progress bar for downloads; what the reader must know goes to standard error."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from cnnaudit.loading import load

    terminal = console(stderr=True)
    columns = (TextColumn("weights"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bar:
        task = bar.add_task("weights", total=None, visible=False)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        classifier = load(
            model, weights=weights, labels=labels, device=device, trust_model=trust_model,
            input_size=size_of(input_size), mean=_numbers("--mean", mean), std=_numbers("--std", std),
            progress=progress,
        )  # fmt: skip
    if not quiet:
        for note in classifier.notes:
            terminal.print(f"[bold yellow]note[/]: {_plain(note)}")
    return classifier


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def size_of(text: str | None) -> tuple[int, int] | None:
    """Height and width from "224" or "224x320"."""
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise click.BadParameter(
            f"{text!r} is no size; give 224 or 224x320 (height x width).", param_hint="--input-size"
        )
    return sides[0], sides[-1]


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r}; give a number a channel, separated by commas.", param_hint=option
        ) from None
