"""`inspect_model`: what a network has learned, as a report."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from cnnaudit.classifier import Classifier
from cnnaudit.inspection import summarize
from cnnaudit.provenance import run_facts
from cnnaudit.results import InspectionFacts, Report

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a section's name, how much of it is done, and of how much (0 where that is not known)."""


def inspect_model(
    classifier: Classifier,
    *,
    seed: int = 0,
    command: str = "cnnaudit.inspect_model()",
    progress: Progress | None = None,
) -> Report:
    """What a network has learned, section by section.

    Args:
        classifier: the network.
        seed: of everything random.
        command: how the reader can make the report again.
        progress: told of each section.

    Returns:
        A report of the kind "inspect"; the network is as it was.

    Raises:
        ModelError: the network fails on a grey picture.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    if progress:
        progress("layers", 0, 0)
    found = InspectionFacts(summarize(classifier))
    run = run_facts(classifier, seed=seed, started=started, command=command)
    return Report("inspect", replace(run, seconds=time.perf_counter() - clock), classifier.facts(), inspection=found)
