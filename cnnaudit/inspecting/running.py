"""All sections, one after the other."""

import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from cnnaudit import memory
from cnnaudit.classifier import Classifier
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import CnnAuditError, LayerError, NotApplicableError, OptionError
from cnnaudit.inspecting.material import material
from cnnaudit.inspecting.sections import SECTIONS, Asked
from cnnaudit.inspection import summarize
from cnnaudit.inspection.convolutions import chosen_convolutions, convolutions
from cnnaudit.inspection.failing import arose_in
from cnnaudit.inspection.points import find_point
from cnnaudit.inspection.watching import called
from cnnaudit.memory import is_out_of_memory
from cnnaudit.pictures import Picture
from cnnaudit.provenance import run_facts
from cnnaudit.results import InspectionFacts, Report

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a section's name, how much of it is done, and of how much (0 where that is not known)."""


@memory.kept()
def inspect_model(
    classifier: Classifier,
    *,
    data: str | Path | Dataset | Split | Files | None = None,
    data_root: str | Path | None = None,
    photo: Picture | None = None,
    layers: Sequence[str] | None = None,
    walk: str | None = None,
    seed: int = 0,
    command: str = "cnnaudit.inspect_model()",
    progress: Progress | None = None,
) -> Report:
    """What a network has learned, section by section.

    Args:
        classifier: the network.
        data: pictures to run it on: the name of a dataset, `folder:PATH` or a folder, a dataset or a part of one
            (at the network's input size, with its classes). Of a dataset its test is used; the class of a picture in
            a folder is told by the name of its folder or its own. Without pictures, some sections are left out.
        data_root: the folder that holds datasets; by default the cache.
        photo: the picture that is followed through the network; by default the first of `data`.
        layers: names of the layers that sections show; by default each chooses a few.
        walk: the convolution to walk through; by default one is chosen.
        seed: of everything random.
        command: how the reader can make the report again.
        progress: told of each section.

    Returns:
        A report of the kind "inspect"; what could not be made is in `inspection.skipped` with its reason. Of a fault of
        our own a RuntimeWarning gives the traceback; the other sections are made all the same.

    Raises:
        ModelError: the network fails on a grey picture.
        OptionError, DataError, ImageError: there is no such dataset or photo, or it cannot be read.
        LayerError: there is no such layer, it does not run, it has no channels, or the walk's is no convolution.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    tell = progress or (lambda _section, _done, _total: None)
    named = _suitable(classifier, layers, walk)
    found = material(classifier, data, photo, data_root=data_root, seed=seed, drawn=partial(tell, "pictures"))
    if walk is not None and found.photo is None:
        raise OptionError(f"There is no photo to walk through {walk!r} with. Give one with --photo, or --data.")
    tell("layers", 0, 0)
    architecture = summarize(classifier)
    made: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for section, make in SECTIONS.items():
        tell(section, 0, 0)
        asked = Asked(classifier, found, architecture, named, walk, seed, partial(tell, section), made)
        try:
            made[section] = make(asked)
        except OptionError:
            raise
        except Exception as error:  # a user's forward may raise anything; the reason goes on the page
            skipped[section] = _reason(error, classifier)
    facts = InspectionFacts(
        architecture,
        dataset=found.name,
        pictures=0 if found.part is None else len(found.part),
        photo=found.image,
        notes=found.notes,
        skipped=skipped,
        **made,
    )
    run = run_facts(classifier, seed=seed, started=started, command=command)
    return Report("inspect", replace(run, seconds=time.perf_counter() - clock), classifier.facts(), inspection=facts)


def _suitable(classifier: Classifier, layers: Sequence[str] | None, walk: str | None) -> tuple[str, ...] | None:
    """The named layers, each once; what no section could show is refused before anything is computed.

    Raises:
        LayerError: there is no such layer, it does not run, it has no channels, or the walk's is no convolution.
        ModelError: the network fails on a grey picture.
    """
    named = None if layers is None else tuple(dict.fromkeys(layers))
    if named:
        for name in named:
            find_point(classifier, name)
        with suppress(NotApplicableError):  # it cannot be watched: that is said section by section
            called(classifier, named)
    if walk is not None:
        chosen_convolutions(classifier, [walk])
        if walk not in convolutions(classifier):
            raise LayerError(f"{classifier.name} does not run {walk!r} when it is evaluated. Name a layer that runs.")
    return named


def _reason(error: Exception, classifier: Classifier) -> str:
    """Why a section is left out; what is nobody's fault but ours is said to be, and warned of with its traceback."""
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, CnnAuditError):
        return first
    if is_out_of_memory(error):
        return f"Memory on {classifier.device} did not suffice: {first}"
    what = f"{type(error).__name__}: {first}"
    if arose_in(classifier.network, error):
        return f"{classifier.name} failed: {what}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"This is a fault of cnnaudit, not of the network ({what}, {Path(last.filename).name}:{last.lineno})."
    warnings.warn(f"{reason}\n{''.join(traceback.format_exception(error))}", RuntimeWarning, stacklevel=3)
    return f"{reason} Please report it."
