"""What is wrong with the pictures or their labels: the same picture twice, and labels that the network disbelieves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

from cnnaudit.auditing.alike import Prints, identical, joined, nearly, prints
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.beside import Printed
from cnnaudit.auditing.pictures import Others
from cnnaudit.data.augmentation import as_pixels
from cnnaudit.numbers import count
from cnnaudit.results.audits import Problem
from cnnaudit.shapes import Photo, Pixels

_BATCH = 64
_LISTED = 200  # of a kind; where there are more, the first sentence says how many
_OF_A_GROUP = 50  # names
_PICTURED = 12  # of a kind
_FEWEST = 5  # pictures of a class before it is said how sure the network usually is of it

Kind: TypeAlias = Literal["duplicate", "near duplicate", "mislabelled"]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A picture in words, its class empty where that is not known, and how to get its pixels."""

    name: str
    label: str
    split: str
    read: Callable[[], Tensor]


def problems(asked: Asked, others: Sequence[Printed] = ()) -> tuple[Problem, ...]:
    """Exact and near duplicates, those across splits and classes first, and pictures that may have the wrong label.

    Duplicates are of audited pictures, among themselves or with pictures of the other splits.

    A label is doubted where the network gives another class at least the probability that it gives on average to the
    pictures of that class (confident learning: Northcutt, Jiang and Chuang, Journal of Artificial Intelligence
    Research 70, 2021, equations 1 and 2; of the other classes only the one that is answered is looked at). That is no
    proof: the network's own mistakes look the same, those made for a shortcut first of all, and a network that was
    trained on these labels may have learned wrong ones by heart. The surest come first.
    """
    places = (asked.survey.predicted >= 0).nonzero()[:, 0].tolist()
    found = joined([_prints(asked, places), *(each.prints for each in others)])

    def groups(rows: list[list[int]]) -> list[list[_Seen]]:
        return [[_seen(asked, places, others, k) for k in group] for group in rows if min(group) < len(places)]

    return (
        *_listed(asked, "duplicate", groups(identical(found))),
        *_listed(asked, "near duplicate", groups(nearly(found))),
        *_mislabelled(asked),
    )


def _seen(asked: Asked, places: Sequence[int], others: Sequence[Printed], k: int) -> _Seen:
    """The picture of print `k`: prints of audited pictures come first, and then those of each other split."""
    if k < len(places):
        return _audited(asked, places[k])
    k -= len(places)
    for each in others:
        if k < len(each.places):
            return _beside(asked, each.others, each.places[k])
        k -= len(each.places)
    raise IndexError(k)


def _audited(asked: Asked, place: int) -> _Seen:
    pictures = asked.pictures
    named = next((values for name, values in pictures.columns.items() if name.casefold() == "split"), None)
    split = pictures.split if named is None else named[place]
    return _Seen(
        pictures.names[place],
        asked.classifier.labels[int(pictures.truth[place])],
        split,
        lambda: pictures.read([place])[0],
    )


def _beside(asked: Asked, others: Others, place: int) -> _Seen:
    truth = int(others.truth[place])
    label = asked.classifier.labels[truth] if truth >= 0 else ""
    return _Seen(others.names[place], label, others.split, lambda: as_pixels(others.read(place)[None])[0].float())


def _prints(asked: Asked, places: Sequence[int]) -> Prints:
    def batches() -> Iterator[Pixels]:
        for start in range(0, len(places), _BATCH):
            yield asked.pictures.read(places[start : start + _BATCH])
            asked.told(min(start + _BATCH, len(places)), len(places))

    return prints(batches(), len(places))


def _listed(asked: Asked, kind: Kind, groups: Sequence[Sequence[_Seen]]) -> Iterator[Problem]:
    splits, across = ([len({of(each) for each in group}) > 1 for group in groups] for of in (_split, _label))
    order = sorted(range(len(groups)), key=lambda k: (not splits[k], not across[k], k))
    same = "the same pixel by pixel" if kind == "duplicate" else "nearly the same"
    if len(groups) > _LISTED:
        found = f"{count(len(groups))} groups of pictures are {same}, {count(sum(across))} of them across classes"
        yield _rest(kind, found + (f" and {count(sum(splits))} across splits" if any(splits) else ""))
    for rank, group in enumerate(_one_of_each_split_first(groups[k]) for k in order[:_LISTED]):
        labels = [label for label in dict.fromkeys(map(_label, group)) if label]
        where = f"in {len(labels)} classes, {_and(labels)}" if len(labels) > 1 else f"all {labels[0]}"
        apart = f", in {_and(list(dict.fromkeys(map(_split, group))))}" if splits[order[rank]] else ""
        yield _problem(kind, f"{len(group)} pictures are {same}{apart}, {where}.", group, rank)


def _split(seen: _Seen) -> str:
    return seen.split


def _label(seen: _Seen) -> str:
    return seen.label


def _one_of_each_split_first(group: Sequence[_Seen]) -> list[_Seen]:
    """So that a long group's first names, and its two pictures, are of more than one."""
    first = {each.split: each for each in reversed(group)}
    return sorted(group, key=lambda each: first[each.split] is not each)


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
        yield _problem("mislabelled", sentence, [_audited(asked, place)], rank)


def _usual(truth: np.ndarray, truthful: np.ndarray, classes: int) -> np.ndarray:
    """The mean probability of each class in its pictures; above 1 where there are too few to tell."""
    known = np.isfinite(truthful)
    counts = np.bincount(truth[known], minlength=classes)
    sums = np.bincount(truth[known], weights=truthful[known], minlength=classes)
    return np.where(counts >= _FEWEST, sums / counts.clip(min=1), 2.0)


def _problem(kind: Kind, sentence: str, group: Sequence[_Seen], rank: int) -> Problem:
    named = group[:_OF_A_GROUP]
    samples = tuple(_photo(each.read()) for each in group[:2]) if rank < _PICTURED else ()
    return Problem(kind, sentence, tuple(each.name for each in named), tuple(map(_label, named)), samples)


def _rest(kind: Kind, found: str) -> Problem:
    return Problem(kind, f"{found}; {_LISTED} follow.", (), ())


def _photo(pixels: Tensor) -> Photo:
    return pixels.permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().cpu().numpy()


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
