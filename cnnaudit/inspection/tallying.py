"""How often a network is right with all units of a layer and without some, class by class."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ModelError
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.inspection.paired import chance, difference, mean_change
from cnnaudit.inspection.photo_sets import PhotoSet, own_classes
from cnnaudit.inspection.silencing import Silenced, Survey, Surveyed, log_odds
from cnnaudit.inspection.watching import Progress
from cnnaudit.results import Loss
from cnnaudit.shapes import Pixels
from cnnaudit.training.metrics import share

_ROOM = 256 * 2**20  # bytes of the layer's maps at once


class Run:
    """Goes through the pictures, with their classes among the network's.

    Args:
        passes: how often at most, which is for `progress` alone.

    Attributes:
        labelled: whether the classes are known.
    """

    def __init__(
        self, classifier: Classifier, found: PhotoSet, size: int, progress: Progress | None, passes: int
    ) -> None:
        self.classifier, self._found, self._size = classifier, found, size
        self._progress, self._done, self._total = progress, 0, passes * len(found)
        self._truth = _truth(classifier, found)
        self.labelled = self._truth is not None

    def survey(self, layer: str, channels: int, *, estimate: bool) -> Surveyed:
        """What one pass tells of a layer's units; see `Survey`."""
        survey = Survey(self.classifier, layer, channels, estimate=estimate)
        for pixels, truth in self._batches(self._size):
            with batch_errors(self.classifier, pixels):
                survey.add(pixels, truth)
        return survey.done()

    def without(self, layer: str, shape: Sequence[int], sets: Sequence[Sequence[int]], surveyed: Surveyed) -> "Tally":
        """What becomes of the answers when one set of a layer's units after the other is at its means.

        Args:
            shape: of what the layer returns for a picture.

        Raises:
            ModelError: the network fails on the pictures, or a score is not finite.
        """
        classifier = self.classifier
        fitting = _ROOM // (4 * math.prod(shape) * (len(sets) + 1))
        silenced = Silenced(classifier, layer, sets, surveyed.mean)
        tally = Tally(classifier, len(sets))
        for pixels, truth in self._batches(max(1, min(self._size, fitting))):
            with batch_errors(classifier, pixels), hooks.borrowed(classifier.network), torch.inference_mode():
                logits = silenced.logits(pixels)
            if not bool(logits.isfinite().all()):
                raise ModelError(f"{classifier.name} gives scores that are not finite. Are its weights damaged?")
            tally.add(logits, truth)
        return tally

    def finish(self) -> None:
        """Tell that all passes are done, as some are not always needed."""
        if self._progress:
            self._progress(self._total, self._total)

    def _batches(self, size: int) -> Iterator[tuple[Pixels, Tensor | None]]:
        """The pictures on the network's device, and their classes.

        Raises:
            DataError: none can be read.
        """
        seen = 0
        for pixels, places in self._found.batches(torch.arange(len(self._found)), size):
            yield pixels.to(self.classifier.device), None if self._truth is None else self._truth[places]
            seen += len(places)
            self._done += len(places)
            if self._progress:
                self._progress(self._done, self._total)
        if not seen:
            raise DataError(f"None of {len(self._found)} pictures can be read. {' '.join(self._found.unread[:3])}")


def _truth(classifier: Classifier, found: PhotoSet) -> Tensor | None:
    if found.truth is None or not found.comparable:
        return None
    if (places := own_classes(classifier, found.labels)) is None:
        return None
    return torch.tensor(places)[torch.tensor(list(found.truth), dtype=torch.long)]


class Tally:
    """Counts, for each set of units and class, the answers that are right, lost and won, and sums of changes."""

    def __init__(self, classifier: Classifier, sets: int) -> None:
        self._labels = classifier.labels
        self._pictures = torch.zeros(classifier.classes, dtype=torch.long)
        self._right = torch.zeros(classifier.classes, dtype=torch.long)
        self._lost, self._won = (torch.zeros(sets, classifier.classes, dtype=torch.long) for _ in range(2))
        self._sums = torch.zeros(2, 2, sets, classifier.classes, dtype=torch.float64)
        self._odds = torch.zeros(classifier.classes, dtype=torch.float64)

    @property
    def pictures(self) -> int:
        """How many were counted."""
        return int(self._pictures.sum())

    @property
    def classes(self) -> int:
        """How many have a picture."""
        return int(self._pictures.count_nonzero())

    def add(self, logits: Tensor, truth: Tensor | None) -> None:
        """Scores `1+sets n k`, the first row with all units; without classes the network's own answers are right."""
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
        """Of one set, with its mean in pictures of each class: over all pictures, then of each class that has some."""
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
