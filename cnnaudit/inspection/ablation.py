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
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.inspection.meanings import Meanings
from cnnaudit.inspection.paired import chance, difference, mean_change
from cnnaudit.inspection.photo_sets import Photos, PhotoSet, photo_set
from cnnaudit.inspection.silencing import Silenced, Survey, Surveyed, log_odds
from cnnaudit.inspection.units import unit_layers
from cnnaudit.inspection.watching import Progress, called
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
    r"""Accuracy, recall of each class, its logit and its log-odds without single units, with 95 % intervals.

    A unit is set to its mean over all positions and pictures, wherever the layer returns it. The units that matter
    are found to first order: with the activations $a_p$ of a unit, their mean $\bar a$ and the log-odds $\ell$ of
    class $k$, in pictures of it those with the lowest mean of $\sum_p (\bar a - a_p)\, \partial \ell / \partial a_p$
    among the units that are more active there than on average, one class after the other (the estimate is that of
    Molchanov et al., CVPR 2019, arXiv 1906.10771, equation 8, with the mean in the place of zero). What is reported
    of them is measured, on the same pictures.

    Args:
        photos: as in `exemplars`. Where the classes are not known, or not the network's own, what it answers with
            all its units counts as right.
        layer: a module that returns one tensor with channels; by default the last but one activation function
            behind a convolution. Behind the last, maps are often only averaged, and a unit's mean then shifts
            all classes alike.
        units: at most how many, or which channels.
        classes: the true class of each picture, where `photos` does not say.
        batch_size: pictures that the network is given at a time, at most.
        progress: told after each batch, of twice as many pictures as there are: each is looked at twice.

    Returns:
        The units, those first without which most changes. Intervals of shares are Newcombe's for paired samples, of
        logits and log-odds Student's.

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
    name = list(dict.fromkeys(unit_layers(classifier).values()))[-2:][0] if layer is None else layer
    _, shape = called(classifier, [name])[name]
    known = _known(name, shape[0], units)
    run = _Run(classifier, found, batch_size, progress)
    survey = Survey(classifier, name, shape[0], estimate=known is None)
    for pixels, truth in run.batches():
        with batch_errors(classifier, pixels):
            survey.add(pixels, truth)
    surveyed = survey.done()
    chosen = dict.fromkeys(known, 0.0) if known else surveyed.chosen(int(units) if isinstance(units, int) else 0)
    tally = _tally(run, name, list(chosen), surveyed, shape)
    meanings = _meanings(classifier, photos, name, list(chosen))
    losses = [tally.losses(place, surveyed.activity[:, unit]) for place, unit in enumerate(chosen)]
    comparisons = sum(len(each) - 1 for each in losses)
    made = [
        _unit(name, unit, surveyed, estimate, each, comparisons, meanings.get(unit), run.labelled)
        for (unit, estimate), each in zip(chosen.items(), losses, strict=True)
    ]
    made.sort(key=_effect, reverse=True)
    unread = tuple(dict.fromkeys(found.unread))
    return Ablation(name, shape[0], tally.pictures, run.labelled, known is None, tuple(made), unread)


def _effect(each: UnitAblation) -> tuple[float, float]:
    """How much recall, and the log-odds, of any class change."""
    odds = [abs(loss.odds.value) for loss in each.classes if loss.odds]
    return max(abs(loss.change.value) for loss in each.classes), max(odds, default=0.0)


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
        self._sums = torch.zeros(2, 2, units, classifier.classes, dtype=torch.float64)
        self._odds = torch.zeros(classifier.classes, dtype=torch.float64)

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
        odds = log_odds(logits, truth)
        changes = torch.stack([own[1:] - own[0], odds[1:] - odds[0]])
        self._pictures += torch.bincount(truth, minlength=len(self._pictures))
        self._right.index_add_(0, truth, right[0].long())
        self._lost.index_add_(1, truth, (right[0] & ~right[1:]).long())
        self._won.index_add_(1, truth, (~right[0] & right[1:]).long())
        self._sums.index_add_(3, truth, torch.stack([changes, changes.square()]))
        self._odds.index_add_(0, truth, odds[0])

    def losses(self, place: int, activity: Tensor) -> list[Loss]:
        """Of one unit, with its mean in pictures of each class: over all pictures, then of each class that has some."""
        present = self._pictures.nonzero().squeeze(1).tolist()
        mean = float((activity * self._pictures).sum()) / self.pictures
        whole = self._loss(place, None, list(range(len(self._labels))), mean)
        return [whole, *(self._loss(place, self._labels[k], [k], float(activity[k])) for k in present)]

    def _loss(self, place: int, label: str | None, classes: list[int], activity: float) -> Loss:
        counts = self._pictures, self._right, self._lost[place], self._won[place]
        n, right, lost, won = (int(each[classes].sum()) for each in counts)
        sums = self._sums[:, :, place, classes[0]].T.tolist()
        (logit, _), (odds, odds_p) = (mean_change(n if label is not None else 0, *each) for each in sums)
        return Loss(
            label=label,
            before=share(right, n),
            after=share(right - lost + won, n),
            change=difference(n, right, lost, won),
            lost=lost,
            won=won,
            p=chance(lost, won),
            activity=activity,
            logit=logit,
            odds=odds,
            odds_before=float(self._odds[classes].sum()) / n,
            odds_p=odds_p,
        )


def _tally(run: _Run, layer: str, units: Sequence[int], surveyed: Surveyed, shape: tuple[int, ...]) -> _Tally:
    classifier = run.classifier
    run.size = max(1, min(run.size, _ROOM // (4 * math.prod(shape) * (len(units) + 1))))
    silenced = Silenced(classifier, layer, units, surveyed.mean)
    tally = _Tally(classifier, len(units))
    for pixels, truth in run.batches():
        with batch_errors(classifier, pixels), hooks.borrowed(classifier.network), torch.inference_mode():
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
    doubted = _doubted(classes, comparisons)
    said = claim(layer, unit, classes, hurt, doubted, meaning, labelled=labelled)
    return UnitAblation(unit, float(surveyed.mean[unit]), estimate, whole, tuple(classes), hurt, doubted, meaning, said)


def _doubted(classes: Sequence[Loss], comparisons: int) -> int | None:
    falling = [
        place
        for place, loss in enumerate(classes)
        if loss.odds and loss.odds.value < 0 and loss.odds_p * comparisons <= _LEVEL
    ]
    return max(falling, key=lambda place: classes[place].activity, default=None)
