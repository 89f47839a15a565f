"""`explain`: one picture, one method; `explain_all`: many of both, as a report."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from cnnaudit import hooks
from cnnaudit.attribution import METHODS, MethodFunction
from cnnaudit.attribution.layers import find_module
from cnnaudit.attribution.query import Query, finished
from cnnaudit.classifier import Classifier
from cnnaudit.errors import CnnAuditError, ImageError, MethodError, ModelError, OptionError, near_matches
from cnnaudit.options import checked
from cnnaudit.pictures import Picture, opened
from cnnaudit.provenance import run_facts
from cnnaudit.results import (
    Declined,
    Explanation,
    Image,
    ImageFailure,
    ImageResult,
    MethodCard,
    ModelFacts,
    Prediction,
    Report,
    RunFacts,
    Target,
)

OptionMap = Mapping[str, Any]


def explain(
    classifier: Classifier,
    image: Picture,
    *,
    method: str | MethodFunction = "grad_cam",
    target: str | int | None = None,
    versus: str | int | None = None,
    layer: str | None = None,
    options: OptionMap | None = None,
    seed: int = 0,
) -> Explanation:
    """Why the network gives this picture this score, by one method.

    Args:
        classifier: the network.
        image: a file, an `Image`, or pixels `1 c h w` in [0, 1].
        method: a name in `cnnaudit.attribution.METHODS`, or a function `f(query, *, …)` that returns
            an `Attribution` or a tensor `h w`.
        target: a label or an index; by default the network's first choice.
        versus: a second class; the difference of the two logits is explained.
        layer: the module whose maps CAM methods use; by default it is found.
        options: the method's own keywords.
        seed: of everything random.

    Returns:
        The explanation; the network is as it was.

    Raises:
        ImageError: the picture cannot be read.
        OptionError: a wrong method, target or option; the message names near matches.
        LayerError: no such layer, or one without maps.
        NotApplicableError: the method does not apply to this network.
    """
    started = datetime.now(UTC)
    if layer is not None:
        find_module(classifier, layer)
    picture, pixels = opened(classifier, image)
    predictions = tuple(classifier.predict(pixels))
    chosen = classifier.target(predictions[0].index if target is None else target, versus)
    query = Query(classifier, pixels, chosen, layer=layer, seed=seed, image_id=picture.sha256)
    name, function = _method(method)
    run = run_facts(classifier, seed=seed, started=started, command=f"cnnaudit.explain(method={name!r})")
    return _explain(query, picture, predictions[:5], name, function, options or {}, (run, classifier.facts()))


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
    progress: Callable[[str, str], None] | None = None,
) -> Report:
    """Explain several pictures by several methods; a bad picture is a row of its own, and the rest go on.

    Args:
        classifier: the network.
        images: files, `Image`s, arrays or pixels, or one of them.
        methods: names in `METHODS`; by default all of them.
        target: a label, an index, or `"top3"` for the first three choices, each explained.
        versus, layer, seed: as in `explain`.
        options: the options of each method, by its name.
        command: how the reader can make the report again.
        progress: called with the picture's and the method's name before each explanation.

    Returns:
        A report. A method that does not apply is listed with its reason.

    Raises:
        OptionError, LayerError: a wrong method, target, layer or option. It is raised before any
            picture is read where it can be.
    """
    names = list(METHODS) if methods is None else list(methods)
    chosen = options or {}
    check_methods(names, chosen)
    images = [images] if isinstance(images, Picture) else images
    if layer is not None:
        find_module(classifier, layer)
    started, clock = datetime.now(UTC), time.perf_counter()
    run = run_facts(classifier, seed=seed, started=started, command=command)
    about = (run, classifier.facts())
    results, failures = [], []
    for image in images:
        try:
            results.append(_explain_picture(classifier, image, names, (target, versus), layer, chosen, about, progress))
        except (ImageError, ModelError, MethodError) as error:
            failures.append(ImageFailure(_name(image), str(error)))
    run = replace(run, seconds=time.perf_counter() - clock)
    return Report("explain", run, about[1], images=tuple(results), failures=tuple(failures))


def _explain_picture(
    classifier: Classifier,
    image: Picture,
    names: Sequence[str],
    wanted: tuple[str | int | None, str | int | None],
    layer: str | None,
    chosen: Mapping[str, OptionMap],
    about: tuple[RunFacts, ModelFacts],
    progress: Callable[[str, str], None] | None,
) -> ImageResult:
    picture, pixels = opened(classifier, image)
    predictions = tuple(classifier.predict(pixels))
    made: list[Explanation] = []
    declined: list[Declined] = []
    shared = sum(METHODS[name].shares_gradient for name in names) > 1
    for goal in _targets(classifier, predictions, *wanted):
        query = Query(classifier, pixels, goal, layer=layer, seed=about[0].seed, image_id=picture.sha256, shared=shared)
        for name in names:
            if progress:
                progress(picture.name, name)
            try:
                function = METHODS[name].function
                made.append(_explain(query, picture, predictions[:5], name, function, chosen.get(name, {}), about))
            except OptionError:
                raise
            except Exception as error:  # a user's forward may raise anything; the reason goes on the page
                declined.append(Declined(METHODS[name].card(name), goal, _reason(error)))
    return ImageResult(picture.facts, pixels.cpu(), predictions[:5], tuple(made), tuple(declined))


def _explain(
    query: Query,
    picture: Image,
    predictions: tuple[Prediction, ...],
    name: str,
    function: MethodFunction,
    given: OptionMap,
    about: tuple[RunFacts, ModelFacts],
) -> Explanation:
    complete = checked(name, function, given)
    clock = time.perf_counter()
    with hooks.borrowed(query.classifier.network):
        torch.set_rng_state(query.generator(name).get_state())  # a network that draws by itself repeats itself
        found = function(query, **complete)
    attribution = finished(name, found, query.pixels)
    seconds = time.perf_counter() - clock
    card = METHODS[name].card(name) if name in METHODS and METHODS[name].function is function else _plain_card(name)
    negative = bool((attribution.heatmap < 0).any())
    return Explanation(
        image=picture.facts,
        pixels=query.pixels.cpu(),
        predictions=predictions,
        target=query.target,
        card=replace(card, signed=card.signed or negative),
        heatmap=attribution.heatmap,
        options=complete,
        facts=attribution.facts,
        notes=attribution.notes,
        layer=attribution.layer,
        parts=attribution.parts,
        seconds=seconds,
        forward_passes=attribution.forward_passes,
        model=about[1],
        run=replace(about[0], seconds=seconds),
    )


def _plain_card(name: str) -> MethodCard:
    says = "What the function that was given computes."
    return MethodCard(name, name, says, "It was not checked against anything.", "score", True, False, "")


def _method(method: str | MethodFunction) -> tuple[str, MethodFunction]:
    if callable(method):
        return getattr(method, "__name__", type(method).__name__), method
    if not isinstance(method, str) or method not in METHODS:
        raise OptionError(
            f"There is no method {method!r}.{near_matches(str(method), METHODS)} There are: {', '.join(METHODS)}."
        )
    return method, METHODS[method].function


def check_methods(names: Sequence[str], chosen: Mapping[str, OptionMap]) -> None:
    """Check methods' names and options without a model or a picture.

    Raises:
        OptionError: there is no such method or option, or a value does not fit.
    """
    for name in names:
        if not isinstance(name, str):
            raise OptionError("explain_all takes methods by their names in METHODS; explain takes a function too.")
        checked(name, _method(name)[1], chosen.get(name, {}))
    for name in chosen:
        _method(name)
        if name not in names:
            raise OptionError(f"An option is given for {name}, which is not among the methods: {', '.join(names)}.")


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


def _name(image: Picture) -> str:
    return str(image) if isinstance(image, str | Path) else getattr(image, "name", None) or "pixels"
