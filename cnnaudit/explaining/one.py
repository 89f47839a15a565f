"""One picture, one method."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from cnnaudit import hooks, memory
from cnnaudit.attribution import METHODS, MethodFunction
from cnnaudit.attribution.layers import find_module
from cnnaudit.attribution.query import Query, finished
from cnnaudit.classifier import Classifier
from cnnaudit.errors import OptionError, near_matches
from cnnaudit.options import checked
from cnnaudit.perturbation import Budget
from cnnaudit.pictures import Picture, opened
from cnnaudit.provenance import run_facts
from cnnaudit.results import Explanation, Image, MethodCard, ModelFacts, Prediction, RunFacts

OptionMap = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """How far explaining is.

    Attributes:
        image, method, target: what is explained now.
        finished: explanations made or declined before this one.
        asked: altered pictures that this one has asked the network about.
        expected: about how many it will be; 0 before the first, and for a method that asks about none.
    """

    image: str
    method: str
    target: str
    finished: int
    asked: int = 0
    expected: int = 0


Progress = Callable[[Step], None]


@memory.kept()
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
    time_limit: float | None = None,
    progress: Progress | None = None,
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
        time_limit: seconds after which a method that draws samples ends with those it has, and says so; its
            intervals are then as wide as so few make them. One that needs all of its parts, such as occlusion,
            raises. One that takes a pass or two is not cut short, and says when it took longer.
        progress: called with a `Step` when the method begins, and after each batch of altered pictures.

    Returns:
        The explanation; the network is as it was. Where the limit was not met, it does not change the result.

    Raises:
        ImageError: the picture cannot be read.
        OptionError: a wrong method, target or option; the message names near matches.
        LayerError: no such layer, or one without maps.
        NotApplicableError: the method does not apply to this network.
        NotFiniteError: the network's scores are not finite for an altered picture.
        OutOfTimeError: the time limit left too little to say anything.
    """
    started, budget = datetime.now(UTC), Budget(time_limit)
    if layer is not None:
        find_module(classifier, layer)
    picture, pixels = opened(classifier, image)
    predictions = tuple(classifier.predict(pixels))
    chosen = classifier.target(predictions[0].index if target is None else target, versus)
    query = Query(classifier, pixels, chosen, layer=layer, seed=seed, image_id=picture.sha256)
    name, function = method_of(method)
    run = run_facts(classifier, seed=seed, started=started, command=f"cnnaudit.explain(method={name!r})")
    query.budget = told(budget, progress, Step(picture.name, name, chosen.name, 0))
    return explained(query, picture, predictions[:5], name, function, options or {}, (run, classifier.facts()))


def told(budget: Budget, progress: Progress | None, step: Step) -> Budget:
    """The budget with someone who is told, from now on, how far this step is."""
    if progress:
        progress(step)
        budget.progress = lambda asked, expected: progress(replace(step, asked=asked, expected=expected))
    return budget


def explained(
    query: Query,
    picture: Image,
    predictions: tuple[Prediction, ...],
    name: str,
    function: MethodFunction,
    given: OptionMap,
    about: tuple[RunFacts, ModelFacts],
) -> Explanation:
    """What the method answers within the query's budget, with all that a reader must know."""
    complete = checked(name, function, given)
    clock = time.perf_counter()
    with hooks.borrowed(query.classifier.network):
        torch.set_rng_state(query.generator(name).get_state())  # a network that draws by itself repeats itself
        found = function(query, **complete)
    attribution = finished(name, found, query.pixels)
    seconds, late = time.perf_counter() - clock, query.budget.late
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
        facts={**attribution.facts, **({"stopped_by_time_limit": True} if late else {})},
        notes=(*attribution.notes, *(() if late else _overrun(query.budget))),
        layer=attribution.layer,
        parts=attribution.parts,
        seconds=seconds,
        forward_passes=attribution.forward_passes,
        model=about[1],
        run=replace(about[0], seconds=seconds),
        unsettled=attribution.unsettled,
        regions=attribution.regions,
    )


def _overrun(budget: Budget) -> Iterator[str]:
    """What is said of a method that took longer than it should, and left nothing out."""
    if budget.is_up():
        yield f"This took longer than the time limit of {budget.seconds:g} s: nothing of it could be left out."


def _plain_card(name: str) -> MethodCard:
    says = "What the function that was given computes."
    return MethodCard(name, name, says, "It was not checked against anything.", "score", True, False, "")


def method_of(method: str | MethodFunction) -> tuple[str, MethodFunction]:
    """A method's name and function.

    Raises:
        OptionError: there is no such method.
    """
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
        checked(name, method_of(name)[1], chosen.get(name, {}))
    for name in chosen:
        method_of(name)
        if name not in names:
            raise OptionError(f"An option is given for {name}, which is not among the methods: {', '.join(names)}.")
