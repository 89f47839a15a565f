"""What becomes of the answers when pictures are changed a little."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.changes import Changed, changes
from cnnaudit.classifier import Classifier
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.perturbation.loop import BatchSize, Loop
from cnnaudit.results import Robustness
from cnnaudit.shapes import Pixels
from cnnaudit.training.metrics import share

SAMPLE = 300
"""How many pictures are changed at most, drawn at random: a share is then known to 5.6 points."""
_BATCH = 32
_UNCHANGED = Changed("unchanged", lambda pictures, _: pictures)


def robustness(asked: Asked) -> tuple[Robustness, ...]:
    """A row a change, the first for the same pictures as they are; the same seed gives the same rows.

    Azulay and Weiss (JMLR 20, 2019, arXiv 1805.12177) for shifts; Hendrycks and Dietterich (ICLR 2019, arXiv
    1903.12261) for noise, blur, compression and brightness, at strengths of their levels 1 to 3.

    Raises:
        ModelError: the network fails.
        MethodError: memory does not even suffice for one picture.
    """
    places = _sample(asked)
    if not len(places):
        return ()
    shape = asked.pictures.read(places[:1].tolist()).shape
    asked_for = (_UNCHANGED, *changes((shape[1], shape[2], shape[3])))
    answers = torch.cat(list(_answers(asked, places, asked_for)), 1)
    truth = asked.pictures.truth[places]
    return tuple(_row(each, found, truth, answers[0]) for each, found in zip(asked_for, answers, strict=True))


def _sample(asked: Asked) -> Int64[Tensor, " m"]:
    """Of the pictures that were answered, in ascending order, so that files are read in theirs."""
    answered = (asked.survey.predicted >= 0).nonzero()[:, 0]
    chance = torch.Generator().manual_seed(asked.seed)
    return answered[torch.randperm(len(answered), generator=chance)[:SAMPLE]].sort().values


def _answers(asked: Asked, places: Int64[Tensor, " m"], wanted: tuple[Changed, ...]) -> Iterator[Int64[Tensor, "c n"]]:
    """Batch by batch, a row a change; each change has its own chance, whatever the others are."""
    chances = [torch.Generator().manual_seed(asked.seed + number) for number in range(len(wanted))]
    batch_size = BatchSize(_BATCH, _BATCH, settled=True)
    for start in range(0, len(places), _BATCH):
        pictures = asked.pictures.read(places[start : start + _BATCH].tolist()).to(asked.classifier.device)
        changed = (each.apply(pictures, chance) for each, chance in zip(wanted, chances, strict=True))
        yield torch.stack([_answered(asked.classifier, batch, batch_size) for batch in changed])
        asked.told(min(start + _BATCH, len(places)), len(places))


def _answered(classifier: Classifier, pictures: Pixels, batch_size: BatchSize) -> Int64[Tensor, " n"]:
    loop = Loop(batch_size, classifier.device, expected=len(pictures))
    with batch_errors(classifier, pictures):
        return loop.run(len(pictures), lambda start, stop: classifier.scores(pictures[start:stop])).argmax(1).cpu()


def _row(
    change: Changed, answers: Int64[Tensor, " n"], truth: Int64[Tensor, " n"], before: Int64[Tensor, " n"]
) -> Robustness:
    n = len(answers)
    right, same = int((answers == truth).sum()), int((answers == before).sum())
    return Robustness(change.name, share(right, n), share(same, n), n)
