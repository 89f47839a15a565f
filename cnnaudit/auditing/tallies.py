"""What the one pass says by itself: which rows count, how many answers are right, and whether that settles much."""

from dataclasses import replace
from statistics import median

import torch

from cnnaudit.auditing.pictures import Pictures, chosen
from cnnaudit.auditing.surveys import Survey
from cnnaudit.classifier import Classifier
from cnnaudit.errors import DataError, ImageError, ModelError
from cnnaudit.numbers import count, percent
from cnnaudit.results import ClassFacts, ImageFailure, Share
from cnnaudit.training.metrics import share

_FEW = 20  # pictures of a class: the interval of its accuracy is then some 40 points wide
_NAMED = 5


def answered(
    classifier: Classifier, pictures: Pictures, rows: Survey
) -> tuple[Pictures, Survey, tuple[ImageFailure, ...]]:
    """The pictures that the network has an answer to, their rows, and what is wrong with the others.

    Raises:
        ModelError: it has none to any of them.
        DataError: none of them can be read any more.
    """
    good = rows.predicted >= 0
    if bool(good.all()) and len(good):
        return pictures, rows, ()
    failures = tuple(_failure(pictures, place) for place in (~good).nonzero().squeeze(1).tolist())
    if not good.any():
        unread = all(each.reason != _NOT_FINITE for each in failures)
        raise (DataError if unread else ModelError)(
            f"{classifier.name} answers none of the {len(pictures):,} pictures of {pictures.name}. "
            f"The first, {failures[0].name}: {failures[0].reason}."
        )
    kept = replace(
        rows,
        predicted=rows.predicted[good],
        confidence=rows.confidence[good],
        truthful=rows.truthful[good],
        embeddings=rows.embeddings[good],
        properties={name: values[good] for name, values in rows.properties.items()},
    )
    return chosen(pictures, good.nonzero().squeeze(1).tolist()), kept, failures


_NOT_FINITE = "the network's scores for it are not finite; are its weights damaged?"


def _failure(pictures: Pictures, place: int) -> ImageFailure:
    try:
        pictures.read([place])
    except (ImageError, DataError) as error:
        return ImageFailure(pictures.names[place], str(error))
    return ImageFailure(pictures.names[place], _NOT_FINITE)


def accuracy(pictures: Pictures, rows: Survey) -> Share:
    """How many of all answers are right."""
    return share(int((rows.predicted == pictures.truth).sum()), len(pictures))


def by_class(classifier: Classifier, pictures: Pictures, rows: Survey) -> tuple[ClassFacts, ...]:
    """The same by class, without those of which there is no picture."""
    counts = torch.bincount(pictures.truth, minlength=classifier.classes).tolist()
    right = torch.bincount(pictures.truth[rows.predicted == pictures.truth], minlength=classifier.classes).tolist()
    return tuple(
        ClassFacts(label, n, share(k, n)) for label, n, k in zip(classifier.labels, counts, right, strict=True) if n
    )


def few(classifier: Classifier, classes: tuple[ClassFacts, ...]) -> tuple[str, ...]:
    """A note where there are too few pictures of a class to settle much, of most classes or of some."""
    counts = [each.pictures for each in classes]
    middle = int(median(counts))
    if middle >= _FEW:
        return _few_of_some(classes)
    low = share(middle, middle).low
    return (
        f"There are {count(sum(counts))} pictures of {count(len(counts))} of the network's {count(classifier.classes)} "
        f"classes, {count(middle)} of the middle one: so few a class settle little. A class with {count(middle)} of "
        f"{count(middle)} answered rightly may be answered rightly as seldom as {percent(low)}, and what goes with a "
        "class may do so by chance.",
    )


def _few_of_some(classes: tuple[ClassFacts, ...]) -> tuple[str, ...]:
    small = sorted((each for each in classes if each.pictures < _FEW), key=lambda each: each.pictures)
    if not small:
        return ()
    named = ", ".join(f"{each.label} ({count(each.pictures)})" for each in small[:_NAMED])
    more = f" and {count(len(small) - _NAMED)} more" if len(small) > _NAMED else ""
    have, them = ("has", "it") if len(small) == 1 else ("have", "them")
    return (
        f"{count(len(small))} of {count(len(classes))} classes {have} fewer than {_FEW} pictures: {named}{more}. "
        f"What is said of {them} settles little.",
    )
