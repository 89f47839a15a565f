"""Learning curves: loss, accuracy and learning rate over the epochs, as lines in per cent of the plot."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.results import Epoch, TrainingFacts

Column = Literal["loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"]
"""A field of `Epoch`."""

_ROLES: dict[Column, str] = {
    "loss": "training",
    "accuracy": "training",
    "validation_loss": "validation",
    "validation_accuracy": "validation",
    "learning_rate": "rate",
}

_WRITERS: dict[Column, Callable[[float], str]] = {
    "loss": numbers.number,
    "accuracy": numbers.share,
    "validation_loss": numbers.number,
    "validation_accuracy": numbers.share,
    "learning_rate": numbers.number,
}

_MOST_DOTS = 40  # with more epochs the dots would merge into a rope
_LABEL_HEIGHT = 7.5  # of a line of text, in per cent of the plot's height


@dataclass(frozen=True, slots=True)
class Line:
    """One column of the epochs, an (across, down) point each.

    Attributes:
        role: what it is of, for its name and colour: "training", "validation" or "rate".
        label_at: where its name stands beside its end, from the top.
        kept: its value at the kept epoch, in words; None where no such epoch was recorded.
        kept_at: the same, down.
    """

    column: Column
    role: str
    points: tuple[tuple[float, float], ...]
    label_at: float
    kept: str | None
    kept_at: float | None

    @property
    def path(self) -> str:
        """The points as SVG takes them."""
        return " ".join(f"{across:g},{down:g}" for across, down in self.points)


@dataclass(frozen=True, slots=True)
class Rule:
    """A value to compare with: a horizontal line, `at` per cent from the top."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot over the epochs.

    Attributes:
        start: the untrained network's point, down; None where it was not measured.
        kept: the kept epoch, across.
    """

    name: str
    title: str
    remark: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]
    rule: Rule | None
    start: float | None
    kept: float | None
    dotted: bool


@dataclass(frozen=True, slots=True)
class Row:
    """An epoch in words, for the table and the read-out."""

    epoch: int
    kept: bool
    values: dict[Column, str]


def charts_of(training: TrainingFacts) -> tuple[Chart, ...]:
    """Loss, accuracy and learning rate; none without epochs."""
    if not training.epochs:
        return ()
    return _loss(training), _accuracy(training), _learning_rate(training)


def rows(training: TrainingFacts) -> tuple[Row, ...]:
    """Every epoch in words."""
    return tuple(
        Row(epoch.epoch, epoch.epoch == training.best_epoch, {column: _text(epoch, column) for column in _WRITERS})
        for epoch in training.epochs
    )


def _loss(training: TrainingFacts) -> Chart:
    guess = math.log(max(1, len(training.labels)))
    values = [value for epoch in training.epochs for value in (epoch.loss, epoch.validation_loss)]
    up = charts.losses([*values, training.first_loss, guess])
    rule = Rule(up.fall(guess), f"knows nothing: ln {len(training.labels)} = {numbers.number(guess)}")
    remark = "nats a picture" + (", logarithmic" if up.log else "")
    return _chart(training, "Loss", remark, up, ("loss", "validation_loss"), rule=rule, start=training.first_loss)


def _accuracy(training: TrainingFacts) -> Chart:
    up = charts.shares([value for epoch in training.epochs for value in (epoch.accuracy, epoch.validation_accuracy)])
    columns = ("accuracy", "validation_accuracy")
    return _chart(training, "Accuracy", "share of right answers", up, columns, write=charts.per_cent)


def _learning_rate(training: TrainingFacts) -> Chart:
    up = charts.linear(0.0, max(epoch.learning_rate for epoch in training.epochs) or 1.0, most=3)
    return _chart(training, "Learning rate", "at the last step of each epoch", up, ("learning_rate",))


def _chart(
    training: TrainingFacts,
    title: str,
    remark: str,
    up: Axis,
    columns: Sequence[Column],
    *,
    write: charts.Writer = charts.power,
    rule: Rule | None = None,
    start: float | None = None,
) -> Chart:
    across = charts.counting(training.epochs[-1].epoch)
    kept = next((across.place(each.epoch) for each in training.epochs if each.epoch == training.best_epoch), None)
    return Chart(
        name=title.lower().replace(" ", "-"),
        title=title,
        remark=remark,
        across=across.ticks(lambda value: numbers.count(int(value))),
        up=up.ticks(write),
        lines=_lines(training, across, up, columns),
        rule=rule,
        start=None if start is None else up.fall(start),
        kept=kept,
        dotted=len(training.epochs) <= _MOST_DOTS,
    )


def _lines(training: TrainingFacts, across: Axis, up: Axis, columns: Sequence[Column]) -> tuple[Line, ...]:
    runs = [
        tuple((across.place(epoch.epoch), up.fall(getattr(epoch, column))) for epoch in training.epochs)
        for column in columns
    ]
    ends = [points[-1][1] for points in runs]
    labels = charts.apart(ends[0], ends[1], _LABEL_HEIGHT) if len(ends) == 2 else ends
    best = next((epoch for epoch in training.epochs if epoch.epoch == training.best_epoch), None)
    return tuple(
        Line(
            column,
            _ROLES[column],
            points,
            label,
            kept=best and _text(best, column),
            kept_at=best and up.fall(getattr(best, column)),
        )
        for column, points, label in zip(columns, runs, labels, strict=True)
    )


def _text(epoch: Epoch, column: Column) -> str:
    return _WRITERS[column](getattr(epoch, column))
