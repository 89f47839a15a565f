"""What is wrong with the pictures or their labels: the same picture twice, and labels that the network disbelieves."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from cnnaudit.auditing.alike import Prints, identical, nearly, prints
from cnnaudit.auditing.asked import Asked
from cnnaudit.report.numbers import count
from cnnaudit.results.audits import Problem
from cnnaudit.shapes import Photo, Pixels

_BATCH = 64
_LISTED = 200  # of a kind; where there are more, the first sentence says how many
_OF_A_GROUP = 50  # names
_PICTURED = 12  # of a kind
_FEWEST = 5  # pictures of a class before it is said how sure the network usually is of it

Kind: TypeAlias = Literal["duplicate", "near duplicate", "mislabelled"]


def problems(asked: Asked) -> tuple[Problem, ...]:
    """Exact and near duplicates, those across classes first, and pictures that may have the wrong label.

    A label is doubted where the network gives another class at least the probability that it gives on average to the
    pictures of that class (confident learning: Northcutt, Jiang and Chuang, Journal of Artificial Intelligence
    Research 70, 2021, equations 1 and 2; of the other classes only the one that is answered is looked at). That is no
    proof: the network's own mistakes look the same, those made for a shortcut first of all, and a network that was
    trained on these labels may have learned wrong ones by heart. The surest come first.
    """
    places = (asked.survey.predicted >= 0).nonzero()[:, 0].tolist()
    found = _prints(asked, places)
    return (
        *_listed(asked, "duplicate", [[places[k] for k in group] for group in identical(found)]),
        *_listed(asked, "near duplicate", [[places[k] for k in group] for group in nearly(found)]),
        *_mislabelled(asked),
    )


def _prints(asked: Asked, places: Sequence[int]) -> Prints:
    def batches() -> Iterator[Pixels]:
        for start in range(0, len(places), _BATCH):
            yield asked.pictures.read(places[start : start + _BATCH])
            asked.told(min(start + _BATCH, len(places)), len(places))

    return prints(batches(), len(places))


def _listed(asked: Asked, kind: Kind, groups: Sequence[Sequence[int]]) -> Iterator[Problem]:
    truth = asked.pictures.truth.tolist()
    across = [len({truth[place] for place in group}) > 1 for group in groups]
    order = sorted(range(len(groups)), key=lambda k: (not across[k], groups[k][0]))
    same = "the same pixel by pixel" if kind == "duplicate" else "nearly the same"
    if len(groups) > _LISTED:
        found = f"{count(len(groups))} groups of pictures are {same}, {count(sum(across))} of them across classes"
        yield _rest(kind, found)
    for rank, group in enumerate(groups[k] for k in order[:_LISTED]):
        labels = list(dict.fromkeys(asked.classifier.labels[truth[place]] for place in group))
        where = f"in {len(labels)} classes, {_and(labels)}" if len(labels) > 1 else f"all {labels[0]}"
        yield _problem(asked, kind, f"{len(group)} pictures are {same}, {where}.", group, rank)


def _mislabelled(asked: Asked) -> Iterator[Problem]:
    survey, labels = asked.survey, asked.classifier.labels
    truth, said = asked.pictures.truth.numpy(), survey.predicted.numpy()
    sure = survey.confidence.numpy()
    usual = _usual(truth, survey.truthful.numpy(), len(labels))
    doubted = np.flatnonzero((said >= 0) & (said != truth) & (sure >= usual[said]))
    margin = sure - survey.truthful.numpy()
    order = doubted[np.argsort(-margin[doubted], kind="stable")]
    if len(order) > _LISTED:
        yield _rest("mislabelled", f"{count(len(order))} pictures have a label that the network disbelieves")
    for rank, place in enumerate(order[:_LISTED].tolist()):
        answer, label = labels[said[place]], labels[truth[place]]
        sentence = (
            f"Labelled {label}; the network answers {answer} with {sure[place]:.2f}, and gives pictures of {answer} "
            f"{usual[said[place]]:.2f} on average. The label or the network is wrong."
        )
        yield _problem(asked, "mislabelled", sentence, [place], rank)


def _usual(truth: np.ndarray, truthful: np.ndarray, classes: int) -> np.ndarray:
    """The mean probability of each class in its pictures; above 1 where there are too few to tell."""
    known = np.isfinite(truthful)
    counts = np.bincount(truth[known], minlength=classes)
    sums = np.bincount(truth[known], weights=truthful[known], minlength=classes)
    return np.where(counts >= _FEWEST, sums / counts.clip(min=1), 2.0)


def _problem(asked: Asked, kind: Kind, sentence: str, group: Sequence[int], rank: int) -> Problem:
    pictures = asked.pictures
    named = group[:_OF_A_GROUP]
    labels = tuple(asked.classifier.labels[int(pictures.truth[place])] for place in named)
    samples = _samples(asked, group[:2]) if rank < _PICTURED else ()
    return Problem(kind, sentence, tuple(pictures.names[place] for place in named), labels, samples)


def _rest(kind: Kind, found: str) -> Problem:
    return Problem(kind, f"{found}; {_LISTED} follow.", (), ())


def _samples(asked: Asked, places: Sequence[int]) -> tuple[Photo, ...]:
    return tuple(asked.pictures.read(places).permute(0, 2, 3, 1).mul(255).round().clamp(0, 255).byte().numpy())


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
