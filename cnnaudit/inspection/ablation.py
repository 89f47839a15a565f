"""What a unit is for: how the network's answers change when it is set to its mean."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ModelError, OptionError
from cnnaudit.inspection.claims import claim
from cnnaudit.inspection.exemplars import exemplars
from cnnaudit.inspection.meanings import Meanings
from cnnaudit.inspection.paired import chance, difference, mean_change
from cnnaudit.inspection.photo_sets import Photos, PhotoSet, photo_set
from cnnaudit.inspection.silencing import Silenced, Survey, Surveyed
from cnnaudit.inspection.units import some_layers
from cnnaudit.inspection.watching import Progress, called, running
from cnnaudit.results import Ablation, Loss, Meaning, UnitAblation
from cnnaudit.shapes import Pixels
from cnnaudit.training.metrics import share

_ROOM = 256 * 2**20  # bytes of the layer's maps at once
_LEVEL = 0.05


def ablation(
    classifier: Classifier,
    photos: Photos,
    *,
    layer: str | None = None,
    units: int | Sequence[int] = 8,
    classes: Sequence[str | int] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Ablation:
    r"""Accuracy, recall of each class and its logit without single units, with 95 % intervals.

    A unit is set to its mean over all positions and pictures, wherever the layer returns it. The units that matter
    are found to first order: with the activations $a$ of unit $c$, their mean $\bar a$ and the log-odds
    $\ell_y$ of a picture's class $y$, the largest of $|\operatorname{mean}_{x: y(x) = k} \sum_p (\bar a - a_p)\,
    \partial \ell_y / \partial a_p|$ over the classes $k$ (Molchanov et al., CVPR 2019, arXiv 1906.10771,
    equation 8, with the mean in the place of zero). What is reported of them is measured, on the same pictures.

    Args:
        photos: as in `exemplars`. Where the classes are not known, or not the network's own, what it answers with
            all its units counts as right.
        layer: a module that returns one tensor with channels; by default the last activation function behind a
            convolution.
        units: how many, or which channels.
        classes: the true class of each picture, where `photos` does not say.
        batch_size: pictures that the network is given at a time, at most.
        progress: told after each batch, of twice as many pictures as there are: each is looked at twice.

    Returns:
        The units, the one first with which most changes. Intervals of shares are Newcombe's for paired samples, of
        logits Student's.

    Raises:
        OptionError: an option is out of range, or `photos` is nothing that can be read.
        LayerError: no such layer, it does not run, it has no channels, or no gradient leads to it.
        NotApplicableError: no layer is named and there is no convolution, or the network cannot be watched.
        DataError: no picture can be read.
        ModelError: the network fails on the pictures, or a score is not finite.
    """
    if batch_size < 1 or (isinstance(units, int) and units < 1):
        raise OptionError(f"batch_size and units are at least 1; got {batch_size} and {units}.")
    found = photo_set(classifier, photos, classes)
    name = some_layers(classifier, most=1)[0] if layer is None else layer
    _, shape = called(classifier, [name])[name]
    known = _known(name, shape[0], units)
    run = _Run(classifier, found, batch_size, progress)
    survey = Survey(classifier, name, shape[0], estimate=known is None)
    for pixels, truth in run.batches():
        with running(classifier, pixels):
            survey.add(pixels, truth)
    surveyed = survey.done()
    estimates = surveyed.estimates.abs().amax(0)
    chosen = known or estimates.argsort(descending=True, stable=True)[: int(units)].tolist()
    tally = _tally(run, name, chosen, surveyed, shape)
    meanings = _meanings(classifier, photos, name, chosen)
    losses = [tally.losses(place) for place in range(len(chosen))]
    comparisons = sum(len(each) - 1 for each in losses)
    made = [
        _unit(name, unit, surveyed, float(estimates[unit]), each, comparisons, meanings.get(unit), run.labelled)
        for unit, each in zip(chosen, losses, strict=True)
    ]
    made.sort(key=lambda each: -max(abs(loss.change.value) for loss in each.classes))
    unread = tuple(dict.fromkeys(found.unread))
    return Ablation(name, shape[0], tally.pictures, run.labelled, known is None, tuple(made), unread)


def _known(layer: str, channels: int, units: int | Sequence[int]) -> list[int] | None:
    if isinstance(units, int):
        return None
    if not units or any(not 0 <= unit < channels for unit in units):
        raise OptionError(f"Units of {layer!r} are whole numbers from 0 to {channels - 1}; got {list(units)}.")
    return list(dict.fromkeys(units))


class _Run:
    """Goes through the pictures, with their classes among the network's.

    Attributes:
        labelled: whether these are known.
    """

    def __init__(self, classifier: Classifier, found: PhotoSet, size: int, progress: Progress | None) -> None:
        self.classifier, self._found, self._progress = classifier, found, progress
        self.size, self._done = size, 0
        self._truth = _truth(classifier, found)
        self.labelled = self._truth is not None

    def batches(self) -> Iterator[tuple[Pixels, Tensor | None]]:
        """The pictures on the network's device, and their classes.

        Raises:
            DataError: none can be read.
        """
        seen = 0
        for pixels, places in self._found.batches(torch.arange(len(self._found)), self.size):
            yield pixels.to(self.classifier.device), None if self._truth is None else self._truth[places]
            seen += len(places)
            self._done += len(places)
            if self._progress:
                self._progress(self._done, 2 * len(self._found))
        if not seen:
            raise DataError(f"None of {len(self._found)} pictures can be read. {' '.join(self._found.unread[:3])}")


def _truth(classifier: Classifier, found: PhotoSet) -> Tensor | None:
    if found.truth is None or not found.comparable:
        return None
    if found.labels == classifier.labels:
        return torch.tensor(list(found.truth), dtype=torch.long)
    if not set(found.labels) <= set(classifier.labels):
        return None
    places = torch.tensor([classifier.labels.index(label) for label in found.labels])
    return places[torch.tensor(list(found.truth), dtype=torch.long)]


class _Tally:
    """Counts, for each unit and class, the answers that are right, lost and won, and sums of logits' changes."""

    def __init__(self, classifier: Classifier, units: int) -> None:
        self._labels = classifier.labels
        self._pictures = torch.zeros(classifier.classes, dtype=torch.long)
        self._right = torch.zeros(classifier.classes, dtype=torch.long)
        self._lost, self._won = (torch.zeros(units, classifier.classes, dtype=torch.long) for _ in range(2))
        self._sums, self._squares = (torch.zeros(units, classifier.classes, dtype=torch.float64) for _ in range(2))

    @property
    def pictures(self) -> int:
        """How many were counted."""
        return int(self._pictures.sum())

    def add(self, logits: Tensor, truth: Tensor | None) -> None:
        """Scores `u n k`, the first row with all units; without classes the network's own answers are right."""
        logits = logits.double().cpu()
        answers = logits.argmax(2)
        truth = answers[0] if truth is None else truth
        right = answers == truth
        own = logits.gather(2, truth.expand(len(logits), -1)[..., None])[..., 0]
        changes = own[1:] - own[0]
        self._pictures += torch.bincount(truth, minlength=len(self._pictures))
        self._right.index_add_(0, truth, right[0].long())
        self._lost.index_add_(1, truth, (right[0] & ~right[1:]).long())
        self._won.index_add_(1, truth, (~right[0] & right[1:]).long())
        self._sums.index_add_(1, truth, changes)
        self._squares.index_add_(1, truth, changes.square())

    def losses(self, place: int) -> list[Loss]:
        """Of one unit: over all pictures, then of each class that has some."""
        lost, won = self._lost[place], self._won[place]
        found = [_loss(None, self.pictures, int(self._right.sum()), int(lost.sum()), int(won.sum()))]
        for k in self._pictures.nonzero().squeeze(1).tolist():
            sums = float(self._sums[place, k]), float(self._squares[place, k])
            counts = int(self._pictures[k]), int(self._right[k]), int(lost[k]), int(won[k])
            found.append(_loss(self._labels[k], *counts, sums))
        return found


def _loss(label: str | None, n: int, right: int, lost: int, won: int, sums: tuple[float, float] | None = None) -> Loss:
    return Loss(
        label=label,
        before=share(right, n),
        after=share(right - lost + won, n),
        change=difference(n, right, lost, won),
        lost=lost,
        won=won,
        p=chance(lost, won),
        logit=mean_change(n, *sums) if sums else None,
    )


def _tally(run: _Run, layer: str, units: Sequence[int], surveyed: Surveyed, shape: tuple[int, ...]) -> _Tally:
    classifier = run.classifier
    run.size = max(1, min(run.size, _ROOM // (4 * math.prod(shape) * (len(units) + 1))))
    silenced = Silenced(classifier, layer, units, surveyed.mean)
    tally = _Tally(classifier, len(units))
    for pixels, truth in run.batches():
        with running(classifier, pixels), hooks.borrowed(classifier.network), torch.inference_mode():
            logits = silenced.logits(pixels)
        if not bool(logits.isfinite().all()):
            raise ModelError(f"{classifier.name} gives scores that are not finite. Are its weights damaged?")
        tally.add(logits, truth)
    return tally


def _meanings(classifier: Classifier, photos: Photos, layer: str, units: Sequence[int]) -> dict[int, Meaning | None]:
    """What the units' best patches show, where parts are marked in the pictures."""
    if Meanings.of(photos, classifier.input_size) is None:
        return {}
    found = exemplars(classifier, photos, layers=[layer], units=units)
    return {each.unit: each.meaning for each in found.layers[0].units}


def _unit(
    layer: str,
    unit: int,
    surveyed: Surveyed,
    estimate: float,
    losses: Sequence[Loss],
    comparisons: int,
    meaning: Meaning | None,
    labelled: bool,
) -> UnitAblation:
    whole, *classes = losses
    largest = max(range(len(classes)), key=lambda place: abs(classes[place].change.value))
    hurt = largest if classes[largest].p * comparisons <= _LEVEL else None
    said = claim(layer, unit, None if hurt is None else classes[hurt], meaning, labelled=labelled)
    return UnitAblation(unit, float(surveyed.mean[unit]), estimate, whole, tuple(classes), hurt, meaning, said)
