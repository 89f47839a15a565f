"""All that the training page shows, worked out before the template runs."""

import math
from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.plain import plain
from cnnaudit.report.training import classes, curves, kernels, layers, matrices, mistakes, reliability, summaries
from cnnaudit.results import Epoch, TestFacts, TrainingFacts


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """One test of the trained network.

    Attributes:
        accuracy: on an axis from 0 to 1.
        guessing: the share of the most frequent class, on the same axis, and in words.
    """

    facts: TestFacts
    accuracy: classes.Whisker
    guessing: charts.Tick
    confusions: tuple[summaries.Confusion, ...]
    matrix: matrices.Matrix | None
    classes: classes.Classes | None
    reliability: reliability.Reliability | None
    mistakes: tuple[mistakes.Picture, ...]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The page of a training.

    Attributes:
        kept: the epoch whose weights were kept; None when no such epoch was recorded.
        learned: True when the network is surely better than one that always answers the same.
        guessing_loss: of answers that know nothing, ln(classes).
    """

    facts: TrainingFacts
    kept: Epoch | None
    learned: bool
    guessing_loss: float
    charts: tuple[curves.Chart, ...]
    epochs: tuple[curves.Row, ...]
    tests: tuple[Test, ...]
    kernels: kernels.Kernels | None
    layers: layers.Table | None


def view(training: TrainingFacts) -> View:
    """The page of a training, the same for the same record.

    Raises:
        CnnAuditError: a number is not finite; the message names it.
    """
    plain(training, "report.training")
    kept = next((epoch for epoch in training.epochs if epoch.epoch == training.best_epoch), None)
    return View(
        training,
        kept,
        learned=_learned(training, kept),
        guessing_loss=math.log(max(1, len(training.labels))),
        charts=curves.charts_of(training),
        epochs=curves.rows(training),
        tests=tuple(_test(test, training.labels) for test in training.tests),
        kernels=kernels.view(training.filters) if training.filters else None,
        layers=layers.table(training.architecture) if training.architecture else None,
    )


def _test(test: TestFacts, labels: tuple[str, ...]) -> Test:
    whole, guess = charts.linear(0.0, 1.0), summaries.guessing(test)
    return Test(
        test,
        classes.whisker(test.accuracy, whole),
        charts.Tick(whole.place(guess), numbers.share(guess)),
        summaries.confusions(test, labels),
        matrices.matrix(test, labels),
        classes.classes(test, labels),
        reliability.reliability(test),
        tuple(map(mistakes.picture, test.mistakes)),
    )


def _learned(training: TrainingFacts, kept: Epoch | None) -> bool:
    if training.tests:
        return training.tests[0].accuracy.low > summaries.guessing(training.tests[0])
    return kept is not None and kept.validation_accuracy > 1 / max(1, len(training.labels))
