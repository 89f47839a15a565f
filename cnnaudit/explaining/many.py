"""Many pictures, many methods, as a report."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cnnaudit import memory
from cnnaudit.attribution import METHODS
from cnnaudit.attribution.layers import find_module
from cnnaudit.attribution.query import Query
from cnnaudit.classifier import Classifier
from cnnaudit.errors import (
    CnnAuditError,
    ImageError,
    LayerError,
    MethodError,
    ModelError,
    NotApplicableError,
    NotFiniteError,
    OptionError,
    OutOfTimeError,
)
from cnnaudit.explaining.one import OptionMap, Progress, Step, check_methods, explained, told
from cnnaudit.perturbation import Answers, Budget
from cnnaudit.pictures import Picture, opened
from cnnaudit.provenance import run_facts
from cnnaudit.results import (
    Declined,
    Explanation,
    Image,
    ImageFailure,
    ImageResult,
    ModelFacts,
    Prediction,
    Report,
    RunFacts,
    Target,
)
from cnnaudit.results.explanations import Flag

_FLAGS: dict[type[Exception], Flag] = {
    NotFiniteError: "not_finite",
    OutOfTimeError: "out_of_time",
    NotApplicableError: "not_applicable",
    LayerError: "not_applicable",
}


@memory.kept()
def explain_all(
    classifier: Classifier,
    images: Picture | Iterable[Picture],
    *,
    methods: Sequence[str] | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    layer: str | None = None,
    options: Mapping[str, OptionMap] | None = None,
    seed: int = 0,
    command: str = "cnnaudit.explain_all()",
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Explain several pictures by several methods; a bad picture is a row of its own, and the rest go on.

    Args:
        classifier: the network.
        images: files, `Image`s, arrays or pixels, or one of them.
        methods: names in `METHODS`; by default all of them.
        target: a label, an index, or `"top3"` for the first three choices, each explained; altered pictures
            that are the same for all are asked about once.
        versus, layer, seed: as in `explain`.
        options: the options of each method, by its name.
        command: how the reader can make the report again.
        time_limit: seconds for each explanation, as in `explain`.
        progress: called with a `Step` before each explanation, and after each batch of altered pictures.

    Returns:
        A report. A method that does not apply, or whose time was up too soon, is listed with its reason.

    Raises:
        OptionError, LayerError: a wrong method, target, layer or option. It is raised before any
            picture is read where it can be.
    """
    names = list(METHODS) if methods is None else list(methods)
    chosen = options or {}
    check_methods(names, chosen)
    Budget(time_limit)  # a limit that makes no sense is found before anything is read
    images = [images] if isinstance(images, Picture) else images
    if layer is not None:
        find_module(classifier, layer)
    started, clock = datetime.now(UTC), time.perf_counter()
    run = run_facts(classifier, seed=seed, started=started, command=command)
    task = _Task(classifier, names, (target, versus), layer, chosen, (run, classifier.facts()), time_limit, progress)
    results, failures = [], []
    for image in images:
        try:
            results.append(task.explained(image))
        except (ImageError, ModelError, MethodError) as error:
            failures.append(ImageFailure(_name(image), str(error)))
    run = replace(run, seconds=time.perf_counter() - clock)
    return Report("explain", run, task.about[1], images=tuple(results), failures=tuple(failures))


@dataclass(slots=True, eq=False)
class _Task:
    """What is asked about every picture; `finished` counts explanations, made or declined."""

    classifier: Classifier
    names: Sequence[str]
    wanted: tuple[str | int | None, str | int | None]
    layer: str | None
    options: Mapping[str, OptionMap]
    about: tuple[RunFacts, ModelFacts]
    time_limit: float | None
    progress: Progress | None
    finished: int = 0

    def explained(self, image: Picture) -> ImageResult:
        """All methods' answers for one picture and each target."""
        picture, pixels = opened(self.classifier, image)
        predictions = tuple(self.classifier.predict(pixels))
        shared = sum(METHODS[name].shares_gradient for name in self.names) > 1
        found: list[Explanation | Declined] = []
        goals = _targets(self.classifier, predictions, *self.wanted)
        answers = Answers() if len(goals) > 1 else None
        for goal in goals:
            query = Query(
                self.classifier, pixels, goal, layer=self.layer, seed=self.about[0].seed, image_id=picture.sha256,
                shared=shared, answers=answers,
            )  # fmt: skip
            found += [self._answer(query, picture, predictions[:5], name) for name in self.names]
        made = tuple(answer for answer in found if isinstance(answer, Explanation))
        declined = tuple(answer for answer in found if isinstance(answer, Declined))
        return ImageResult(picture.facts, pixels.cpu(), predictions[:5], made, declined)

    def _answer(
        self, query: Query, picture: Image, predictions: tuple[Prediction, ...], name: str
    ) -> Explanation | Declined:
        step = Step(picture.name, name, query.target.name, self.finished)
        query.budget = told(Budget(self.time_limit), self.progress, step)
        self.finished += 1
        try:
            function, given = METHODS[name].function, self.options.get(name, {})
            return explained(query, picture, predictions, name, function, given, self.about)
        except OptionError:
            raise
        except Exception as error:  # a user's forward may raise anything; the reason goes on the page
            return Declined(METHODS[name].card(name), query.target, _reason(error), _flag(error))


def _targets(
    classifier: Classifier,
    predictions: Sequence[Prediction],
    target: str | int | None,
    versus: str | int | None,
) -> list[Target]:
    text = str(target).lower()
    if text.startswith("top") and text[3:].isdigit() and text not in {label.lower() for label in classifier.labels}:
        count = int(text[3:])
        if not 1 <= count <= classifier.classes:
            raise OptionError(f"--target top1 to top{classifier.classes} are possible; got {target}.")
        return _chosen(classifier, predictions[:count], versus)
    if target is None:
        return _chosen(classifier, predictions[:1], versus)
    return [classifier.target(target, versus)]


def _chosen(classifier: Classifier, choices: Sequence[Prediction], versus: str | int | None) -> list[Target]:
    """The network's own choices as targets, without the class they are held against."""
    other = None if versus is None else classifier.index(versus)
    targets = [classifier.target(choice.index, versus) for choice in choices if choice.index != other]
    if not targets:
        raise MethodError(f"The target and its contrast are the same class, {choices[0].label!r}. Name a target.")
    return targets


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = text[0] if text else type(error).__name__
    return first if isinstance(error, CnnAuditError) else f"failed in the network: {type(error).__name__}: {first}"


def _flag(error: Exception) -> Flag:
    for kind, flag in _FLAGS.items():
        if isinstance(error, kind):
            return flag
    return "failed"


def _name(image: Picture) -> str:
    return str(image) if isinstance(image, str | Path) else getattr(image, "name", None) or "pixels"
