"""What follows from a test's counts: the page says it, the twin holds it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cnnaudit.results import TestFacts

MOST_CONFUSIONS = 20


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pictures of class `label` that were called `predicted`; `share` is of all pictures of that class."""

    label: str
    predicted: str
    count: int
    share: float


def confusions(test: TestFacts, labels: Sequence[str]) -> tuple[Confusion, ...]:
    """The most frequent ones, first the worst; of equals, the one with the larger share."""
    totals = _totals(test)
    found = [
        Confusion(labels[truth], labels[answer], count, count / totals[truth])
        for truth, answer, count in test.answers
        if truth != answer
    ]
    return tuple(sorted(found, key=lambda each: (-each.count, -each.share))[:MOST_CONFUSIONS])


def confidence(test: TestFacts) -> float:
    """The mean probability that the network gives its answers; 0 without any."""
    total = sum(each.right.n for each in test.reliability)
    return sum(each.confidence * each.right.n for each in test.reliability) / total if total else 0.0


def guessing(test: TestFacts) -> float:
    """The share that the most frequent class would get as the answer to everything."""
    totals = _totals(test)
    return max(totals.values()) / totals.total() if totals else 0.0


def _totals(test: TestFacts) -> Counter[int]:
    """Pictures of each true class."""
    totals: Counter[int] = Counter()
    for truth, _, count in test.answers:
        totals[truth] += count
    return totals
