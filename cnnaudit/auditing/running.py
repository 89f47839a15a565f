"""The whole audit: pictures, one pass over them, cues, interventions, verdicts, and whom they hurt."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from cnnaudit import hooks, memory
from cnnaudit.auditing.beside import printed, remarks
from cnnaudit.auditing.columns import passed_over
from cnnaudit.auditing.comparing import compared, unlike
from cnnaudit.auditing.cues import Cue
from cnnaudit.auditing.distinct import distinct
from cnnaudit.auditing.earlier import Outcome, earlier, outcome
from cnnaudit.auditing.hurting import hurt
from cnnaudit.auditing.interventions import tested
from cnnaudit.auditing.judging import judged
from cnnaudit.auditing.material import pictures_of
from cnnaudit.auditing.naming import called, described, unknown
from cnnaudit.auditing.parts import Parts
from cnnaudit.auditing.problems import problems
from cnnaudit.auditing.robustness import robustness
from cnnaudit.auditing.shelf import Shelf
from cnnaudit.auditing.slices import slices
from cnnaudit.auditing.sources import SOURCES
from cnnaudit.auditing.survey import survey
from cnnaudit.auditing.tallies import accuracy, answered, by_class, few
from cnnaudit.classifier import Classifier
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.provenance import run_facts
from cnnaudit.report.auditing import twin
from cnnaudit.results import AuditFacts, AuditFinding, Hurt, Report

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a part's name, how much of it is done, and of how much (0 where that is not known)."""


@memory.kept()
@hooks.preserved_randomness()  # the first import of scikit-learn draws random numbers
def audit(
    classifier: Classifier,
    data: str | Path | Dataset | Split | Files,
    *,
    data_root: str | Path | None = None,
    masks: str | Path | None = None,
    baseline: str | Path | None = None,
    cache: str | Path | None = None,
    names: Mapping[str, str] | None = None,
    seed: int = 0,
    command: str = "cnnaudit.audit()",
    progress: Progress | None = None,
) -> Report:
    """Which cues a classifier leans on, each tested by intervention against a placebo, and whom they hurt.

    Args:
        classifier: the network.
        data: labelled pictures: a folder a class, a CSV file (`path`, `label`, and whatever else is known of each),
            the name of a dataset (its first test), a dataset or a part of one at the network's input size.
        data_root: the folder that holds datasets; by default the cache.
        masks: a folder with a mask a picture that shows where the object is; never needed.
        baseline: the JSON twin of an earlier audit: what is new, gone, worse or better is said, and the names that
            cues were given there stay.
        cache: a folder that keeps what the network answers, 256 pictures at a time, and, until the audit is done,
            what testing each cue found: an interrupted one goes on where it was and ends in the same bytes. None:
            nothing is kept.
        names: what cues are to be called, by their ids in an earlier audit of these pictures ("patch-3": "snow").
        seed: of everything random.
        command: how the reader can make the report again.
        progress: told of each part.

    Returns:
        A report of the kind "audit"; what the network or the pictures did not allow is in `audit.skipped` with its
        reason, and pictures that cannot be read or answered are in `audit.unread`.

    Raises:
        OptionError: there is no such dataset, folder or picture, the pictures are not of the network's size, or the
            earlier audit is none.
        DataError: a label is none of the network's, a table or the earlier audit is malformed, or no picture can be
            read.
        ModelError: the network fails on the pictures.
        MethodError: memory does not even suffice for one picture.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    tell = progress or (lambda _part, _done, _total: None)
    before = None if baseline is None else earlier(Path(baseline).expanduser())
    pictures, unread, notes = pictures_of(
        classifier, data, data_root=data_root, masks=masks, seed=seed, drawn=partial(tell, "pictures")
    )
    tell("survey", 0, len(pictures))
    folder = None if cache is None else Path(cache).expanduser()
    rows = survey(classifier, pictures, cache=folder, progress=partial(tell, "survey"))
    pictures, rows, failures = answered(classifier, pictures, rows)
    shelf = Shelf(folder, rows.digest, seed)
    parts = Parts(classifier, pictures, rows, seed, tell, shelf)
    beside = parts.made("other splits", printed, ()) if pictures.others else ()
    judgements, nameless = _judgements(parts, names or {}, before)
    classes = by_class(classifier, pictures, rows)
    facts = AuditFacts(
        dataset=pictures.name,
        pictures=len(pictures),
        accuracy=accuracy(pictures, rows),
        classes=classes,
        findings=tuple(finding for _, finding in judgements),
        hurt=parts.made("groups", lambda asked: hurt(asked, judgements), Hurt((), None, None)),
        slices=parts.made("slices", lambda asked: slices(asked, judgements), ()),
        problems=parts.made("problems", lambda asked: problems(asked, beside), ()),
        robustness=parts.made("robustness", robustness, ()),
        unread=(*unread, *failures),
        notes=(
            *few(classifier, classes),
            *notes,
            *passed_over(pictures.columns),
            *remarks(pictures.others, beside),
            *nameless,
        ),
        skipped=parts.skipped,
    )
    facts = facts if before is None else _compared(facts, before, seed)
    shelf.clear()
    run = run_facts(classifier, seed=seed, started=started, command=command)
    return Report(
        "audit",
        replace(run, seconds=time.perf_counter() - clock),
        classifier.facts(),
        failures=facts.unread,
        findings=twin.findings(facts),
        audit=facts,
    )


def _judgements(
    parts: Parts, names: Mapping[str, str], before: Outcome | None
) -> tuple[list[tuple[Cue, AuditFinding]], tuple[str, ...]]:
    """Every cue that was found, tested and judged, and a note on names for cues that were not."""
    cues: list[Cue] = []
    for source, find in SOURCES.items():
        cues += parts.made(source, find, [])
    once = parts.made("distinct cues", lambda _asked: distinct(cues), cues)
    named = parts.made("names", lambda asked: called(asked, once, names, before), once)
    results = parts.made("interventions", lambda asked: tested(asked, named), [])
    found = parts.made("verdicts", lambda asked: judged(asked, results), [])
    return [(cue, described(each, once)) for cue, each in found], unknown(names, [cue.id for cue in once])


def _compared(facts: AuditFacts, before: Outcome, seed: int) -> AuditFacts:
    now = outcome(facts, seed)
    notes = (*facts.notes, *unlike(before, now, facts.skipped))
    return replace(facts, compared=compared(before, now), notes=notes)
