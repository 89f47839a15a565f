"""`cnnaudit audit`: a network and labelled pictures in; what it leans on, a page and a pass or fail out."""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnaudit.cli.common import (
    MODEL,
    OUTPUT,
    RUN,
    common_options,
    console,
    errors_end_the_run,
    file_stem,
    load_model,
    part_progress,
)

if TYPE_CHECKING:
    from rich.table import Table

    from cnnaudit.auditing.gates import Gate
    from cnnaudit.results import AuditFacts, AuditFinding, Compared

_STOPPED = "stopped; what the network has answered so far is kept for the same command"
_TWICE = "To compare with the same earlier one again, keep it elsewhere, or name another folder with --out."
_UNREAD = 5


class _Several(click.ParamType):
    """Text that may hold blanks, so that a variable's parts are told by commas."""

    name = "text"
    envvar_list_splitter = ","


class _Data(click.ParamType):
    """Text; where it is missing, what is expected is said."""

    name = "text"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return "Give a folder a class, a CSV file (path, label, …) or a dataset's name, such as husky-wolf."


@click.command()
@click.argument("data", metavar="DATA", type=_Data())
@click.option(
    "--data-root", type=click.Path(file_okay=False), metavar="DIR",
    help="Folder that holds datasets (see `cnnaudit datasets`).",
)  # fmt: skip
@click.option(
    "--masks", type=click.Path(file_okay=False), metavar="DIR",
    help="Folder with a mask a picture that shows where the object is; never needed.",
)  # fmt: skip
@click.option(
    "--fail-on", type=_Several(), multiple=True, metavar="CONDITION",
    help="Exit with 1 if a shortcut is confirmed (confirmed, or low, medium, high: of this severity or above), if a "
    "share is too low ('worst-group<0.8', 'accuracy<0.9', in quotes for the shell), or if something is new or worse "
    "than in --baseline. Several with commas or by repeating.",
)  # fmt: skip
@click.option(
    "--baseline", type=click.Path(), metavar="OLD.json",
    help="The JSON twin of an earlier audit: what is new, gone, worse or better; names given to its cues stay.",
)  # fmt: skip
@click.option(
    "--name-clusters", "names", type=_Several(), multiple=True, metavar="ID=NAME|FILE",
    help="What to call a cue, by its id (patch-3-wolf=snow), or a JSON or TOML file of such pairs; may be repeated.",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(file_okay=False), metavar="DIR",
    help="Folder that keeps what the network answers, so that an interrupted audit goes on where it was; by default "
    "cnnaudit/audits in the user's cache.",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Keep nothing, and use nothing that was kept.")
@common_options(MODEL, RUN, OUTPUT)
def audit(
    data: str, data_root: str | None, masks: str | None, fail_on: tuple[str, ...], baseline: str | None,
    names: tuple[str, ...], cache: str | None, no_cache: bool, seed: int, out: str, as_json: bool, quiet: bool,
    verbose: bool, **model: Any,
) -> None:  # fmt: skip
    """Which cues a network leans on, and whom they hurt.

    DATA is a folder a class, a CSV file (path, label, and whatever else is known of each picture) or a dataset's name.
    Each cue is put into pictures and taken out of them, and is confirmed only if that does more than a placebo.
    Writes one self-contained HTML page and its JSON twin, OUT/audit-DATA-MODEL.html and .json.

    Exit code: 0 done; 1 a condition of --fail-on is met; 2 could not run, or could not tell whether one is met.

    \b
    cnnaudit audit husky-wolf --model husky-wolf
    cnnaudit audit photos/test --model resnet18 --weights mine.pth --fail-on 'medium,worst-group<0.8'
    cnnaudit audit photos.csv --model mine.safetensors --baseline old.json --fail-on new,worse
    """
    with errors_end_the_run(verbose=verbose, stopped="stopped" if no_cache else _STOPPED):
        from cnnaudit.auditing import audit as audited
        from cnnaudit.auditing.earlier import earlier
        from cnnaudit.auditing.gates import gates
        from cnnaudit.cli.cluster_names import cluster_names

        conditions, called = gates(fail_on, comparing=baseline is not None), cluster_names(names)
        if baseline is not None:
            earlier(Path(baseline).expanduser())  # a mistake is told before a minute's work
        classifier = load_model(quiet=quiet, **model)
        with part_progress(quiet) as progress:
            report = audited(
                classifier, data, data_root=data_root, masks=masks, baseline=baseline, names=called, seed=seed,
                cache=None if no_cache else cache or _default_cache(),
                command=shlex.join(["cnnaudit", *sys.argv[1:]]), progress=progress,
            )  # fmt: skip
        page = report.save(Path(out) / f"{_stem(data, classifier.name)}.html")
        if as_json:
            click.echo(report.json(), nl=False)
        if baseline is not None and not quiet and _same(page.with_suffix(".json"), baseline):
            click.echo(f"note: {baseline} is this audit now. {_TWICE}", err=True)
        if report.audit:
            _tell(report.audit, quiet=quiet, tables=not (quiet or as_json))
        if not as_json:
            click.echo(str(page))
        code = _judged(conditions, report.audit) if report.audit else 0
    sys.exit(code)


def _default_cache() -> Path | None:
    """None where the user's cache cannot be written to: what is kept there helps, and is never needed."""
    from cnnaudit.data.places import cache_folder

    folder = cache_folder() / "audits"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _stem(data: str, model: str) -> str:
    return file_stem("audit", str(Path(data.removeprefix("folder:")).absolute()), model)


def _same(written: Path, other: str) -> bool:
    return written.resolve() == Path(other).expanduser().resolve()


def _judged(conditions: Sequence["Gate"], facts: "AuditFacts") -> int:
    """The exit code; each condition that is met, or of which this audit cannot say, on standard error."""
    results = [(each, *each.judge(facts)) for each in conditions]
    for each, met, why in results:
        if met is not False:
            click.echo(f"{'failed' if met else 'cannot tell'}: --fail-on {each.text}: {why}", err=True)
    return 1 if any(met for _, met, _ in results) else 2 if any(met is None for _, met, _ in results) else 0


def _tell(facts: "AuditFacts", *, quiet: bool, tables: bool) -> None:
    """Errors and notes on standard error, and the answer and its tables on standard output."""
    for failure in facts.unread[:_UNREAD]:
        where = "" if failure.name in failure.reason else f"{failure.name}: "
        click.echo(f"error: {where}{failure.reason}", err=True)
    if facts.unread:
        total = facts.pictures + len(facts.unread)
        click.echo(f"{len(facts.unread):,} of {total:,} pictures could not be used.", err=True)
    for note in () if quiet else facts.notes:
        click.echo(f"note: {note}", err=True)
    if tables:
        _print(facts)


def _print(facts: "AuditFacts") -> None:
    from cnnaudit.report.auditing import words
    from cnnaudit.report.auditing.opening import opening

    click.echo(f"{opening(facts).claim}.\n")
    shown = (*words.confirmed(facts), *words.for_a_person(facts))
    if shown:
        console().print(_table(shown))
        click.echo()
    for name, value in _rows(facts, len(shown)):
        click.echo(f"{name:<24}{value}")


def _table(findings: Sequence["AuditFinding"]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("verdict", "severity", "id", "claim"):
        table.add_column(title, no_wrap=title != "claim")  # of columns, those that could be wrapped are cut first
    for each in findings:
        verdict = "confirmed" if each.verdict == "confirmed" else "undecided"
        table.add_row(verdict, each.severity, Text(each.id), Text(each.claim, no_wrap=True, overflow="ellipsis"))
    return table


def _rows(facts: "AuditFacts", shown: int) -> Iterator[tuple[str, str]]:
    """Numbers, one a line."""
    from cnnaudit import numbers
    from cnnaudit.report.auditing import words

    def right(share: Any) -> str:
        return f"{numbers.share(share.value)}  (95% interval {words.interval(share)}, n = {share.n:,})"

    yield "cues tested", f"{len(facts.findings):,}, of which {shown:,} {'is' if shown == 1 else 'are'} above"
    yield "accuracy", right(facts.accuracy)
    if facts.hurt.worst:
        yield "worst group", f"{right(facts.hurt.worst.right)}  {facts.hurt.worst.name}"
    if facts.hurt.unlinked:
        yield "without the link", right(facts.hurt.unlinked)
    problems = Counter(each.kind for each in facts.problems)
    yield "data problems", ", ".join(f"{kind}: {n:,}" for kind, n in problems.items()) or "none"
    yield from _changes(facts.compared) if facts.compared else ()
    for name, reason in facts.skipped.items():
        yield f"no {name}", reason


def _changes(since: "Compared") -> Iterator[tuple[str, str]]:
    found = [(what, sentence) for what in ("new", "worse", "better", "gone") for sentence in getattr(since, what)]
    yield from ((f"{what} since baseline", sentence) for what, sentence in found)
    if not found:
        yield "since baseline", "nothing is new, worse, better or gone"
