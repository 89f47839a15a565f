"""Climbing many objectives at once: one forward pass a step for a batch of pictures, each with its own objective."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotFiniteError
from cnnaudit.inspection.visualizing.diversity import likeness
from cnnaudit.inspection.visualizing.objectives import Objective
from cnnaudit.inspection.visualizing.parametrisation import Parametrisation
from cnnaudit.inspection.visualizing.rectifiers import passable
from cnnaudit.inspection.visualizing.transformations import Shaking, calmed, shaken
from cnnaudit.inspection.visualizing.watching import Form, Watcher
from cnnaudit.shapes import Pixels

_REDIRECTED = 16  # steps in which a picture's gradient gets through dead ReLUs, once it has had none at all


@dataclass(frozen=True, slots=True)
class Plan:
    """How pictures are searched for.

    Attributes:
        size: of the pictures, rows and columns.
        steps: of Adam.
        rate: its step size, in the unit of the spectrum.
        copies: pictures for each objective.
        diversity: how much likeness to the other copies costs, as a share of what was reached.
        shaking: before every step of the first half; then ever less.
        seed: of everything random.
    """

    size: tuple[int, int]
    steps: int
    rate: float
    copies: int
    diversity: float
    shaking: Shaking
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Pictures `n c h w` on the CPU, and what each reached of its objective, at the start and at the end.

    Attributes:
        given: what an activation function with an upper limit was given for it at the end; None for others.
    """

    pixels: Pixels
    start: tuple[float, ...]
    reached: tuple[float, ...]
    given: tuple[float | None, ...]


def search(
    classifier: Classifier,
    objectives: Sequence[Objective],
    plan: Plan,
    form: Form,
    style: str | None,
    stepped: Callable[[int], None],
) -> Found:
    """Pictures for objectives that look at the same layers, `plan.copies` of each, those of one beside each other.

    Args:
        classifier: borrowed.
        objectives: all with the same layers.
        plan: how.
        form: of the network, for the search; what was reached is asked of the classifier's own.
        style: the layer by which copies are kept apart; None for the logits.
        stepped: told after each step how many pictures took it.

    Raises:
        NotFiniteError: what a picture reaches is not finite.
    """
    device = classifier.device
    space = Parametrisation(classifier.channels, plan.size, classifier.mean, device)
    wanted = [objective for objective in objectives for _ in range(plan.copies)]
    spectra, moves = _drawn(space, objectives, plan)
    spectra = spectra.to(device).requires_grad_()
    layers = objectives[0].layers
    own = Watcher(classifier, layers)
    watcher = Watcher(classifier, layers | {style} if plan.copies > 1 else layers, form)
    start, _ = _reached(classifier, own, wanted, space.pixels(spectra))
    optimizer = torch.optim.Adam([spectra], lr=plan.rate)
    redirected = torch.zeros(len(wanted), dtype=torch.long, device=device)
    for step in range(plan.steps):
        optimizer.zero_grad()
        with passable(redirected > 0) if bool(redirected.any()) else nullcontext():
            pixels = shaken(space.pixels(spectra), moves[step])
            loss = _loss(watcher.outputs(pixels), wanted, plan, style)
            loss.backward()
        redirected = _counted_down(redirected, spectra.grad)
        optimizer.step()
        stepped(len(wanted))
    with torch.no_grad():
        pixels = space.pixels(spectra)
    return Found(pixels.cpu(), start, *_reached(classifier, own, wanted, pixels))


def _counted_down(redirected: Tensor, gradient: Tensor | None) -> Tensor:
    """For how many more steps gradients of each picture get through dead ReLUs."""
    if gradient is None:
        return torch.full_like(redirected, _REDIRECTED)
    alive = gradient.flatten(1).any(1)
    return torch.where(alive, (redirected - 1).clamp(min=0), _REDIRECTED)


def _drawn(space: Parametrisation, objectives: Sequence[Objective], plan: Plan) -> tuple[Tensor, Tensor]:
    """Where each picture begins, `n c h w/2+1 2`, and how it is shaken, `steps n 2 3`, whatever is beside it."""
    starts, moves = [], []
    for objective in objectives:
        for copy in range(plan.copies):
            digest = hashlib.sha256(f"{plan.seed}/{objective.name}/{copy}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
            starts.append(space.drawn(generator))
            moves.append(plan.shaking.drawn(plan.steps, plan.size, generator))
    return torch.stack(starts), calmed(torch.stack(moves, dim=1))


def _loss(outputs: dict[str | None, Tensor], wanted: Sequence[Objective], plan: Plan, style: str | None) -> Tensor:
    """Minus what each picture climbs, the pictures independent of each other but for the copies of one objective."""
    single = {layer: output.unbind() for layer, output in outputs.items()}
    rows = [{layer: each[place] for layer, each in single.items()} for place in range(len(wanted))]
    climbed = torch.stack([each.climbed(row) for each, row in zip(wanted, rows, strict=True)])
    if plan.copies == 1 or not plan.diversity:
        return -climbed.sum()
    alike = torch.cat([likeness(copies) for copies in outputs[style].split(plan.copies)])
    return -climbed.sum() + plan.diversity * (climbed.detach().abs() * alike).sum()


def _reached(
    classifier: Classifier, watcher: Watcher, wanted: Sequence[Objective], pixels: Pixels
) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
    with torch.no_grad():
        outputs = watcher.outputs(pixels)
        rows = [{layer: each[place] for layer, each in outputs.items()} for place in range(len(wanted))]
        values = [float(each.reached(row)) for each, row in zip(wanted, rows, strict=True)]
        given = [each.given(row) for each, row in zip(wanted, rows, strict=True)]
    if not torch.tensor(values).isfinite().all():
        raise NotFiniteError(
            f"{classifier.name} gives values that are not finite for a picture of its unit. Are its weights damaged?"
        )
    return tuple(values), tuple(given)
