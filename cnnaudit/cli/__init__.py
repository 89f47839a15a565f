"""The command line: parse, call the library, print, exit code. torch is imported inside commands only.

Results go to standard output; progress, warnings and errors to standard error. Exit code: 0 done,
1 findings at or above `--fail-on`, 2 could not run.
"""

import importlib

import click

from cnnaudit import __version__
from cnnaudit.cli.config import read_config

_COMMANDS: dict[str, tuple[str, str]] = {
    "explain": ("cnnaudit.cli.explain", "Why a network says what it says about photos, as a page."),
    "inspect": ("cnnaudit.cli.inspect", "What a network has learned, from its layers to what a unit means."),
    "audit": ("cnnaudit.cli.audit", "Which cues a network leans on, each tested by intervention; whom they hurt."),
    "train": ("cnnaudit.cli.train", "Train a network; the checkpoint carries its labels and preprocessing."),
    "models": ("cnnaudit.cli.lists", "The models that --model takes by name."),
    "methods": ("cnnaudit.cli.lists", "The explanation methods and their options."),
    "datasets": ("cnnaudit.cli.lists", "The datasets that --data takes by name."),
}
"""Where each verb lives, and what `--help` says of it without importing it."""


class _Verbs(click.Group):
    """Imports a verb's file only when the verb is used, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in _COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from cnnaudit.errors import near_matches

            near = near_matches(args[0], _COMMANDS)
            raise click.UsageError(f"There is no verb {args[0]!r}.{near} Verbs: {', '.join(_COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)


def _command(name: str) -> click.Command:
    """The verb; each of its long options also has a variable, CNNAUDIT_ and its name."""
    command: click.Command = getattr(importlib.import_module(_COMMANDS[name][0]), name)
    for option in command.params:
        flags = [flag for flag in option.opts if flag.startswith("--")]
        if isinstance(option, click.Option) and flags:
            option.envvar = "CNNAUDIT_" + flags[0].removeprefix("--").replace("-", "_").upper()
    return command


@click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="An option's value comes from the flag, else the environment (CNNAUDIT_MODEL, …), else "
    "[tool.cnnaudit] in pyproject.toml or cnnaudit.toml, else the default.",
)
@click.version_option(__version__, prog_name="cnnaudit")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Is this CNN right for the right reasons?

    Begin with: cnnaudit explain photo.jpg
    """
    ctx.default_map = read_config({name: _command(name) for name in _COMMANDS})
