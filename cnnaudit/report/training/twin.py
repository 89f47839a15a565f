"""A training in the JSON twin."""

import base64
import math
from collections.abc import Sequence
from typing import Any

from cnnaudit.report import figures
from cnnaudit.report.encoding import encode_heatmap
from cnnaudit.report.training import kernels, summaries
from cnnaudit.results import FilterFacts, Mistake, TestFacts, TrainingFacts

_LONGEST_PICTURE = 64
"""Larger pictures of mistakes stay out of the twin; `index` finds them in the test."""


def record(training: TrainingFacts) -> dict[str, Any]:
    """What the page shows, and the times that it leaves out."""
    return {
        "dataset": training.dataset,
        "labels": training.labels,
        "pictures": training.pictures,
        "recipe": training.recipe,
        "ended": training.ended,
        "best_epoch": training.best_epoch,
        "seconds": training.seconds,
        "first_loss": training.first_loss,
        "guessing_loss": math.log(max(1, len(training.labels))),
        "epochs": training.epochs,
        "tests": [_test(test, training.labels) for test in training.tests],
        "filters": training.filters and _filters(training.filters),
        "architecture": training.architecture,
    }


def _test(test: TestFacts, labels: Sequence[str]) -> dict[str, Any]:
    """A test; of many classes "confusion" is empty, and "confused" has (true class, answer, count)."""
    return {
        "name": test.name,
        "accuracy": test.accuracy,
        "loss": test.loss,
        "calibration_error": test.calibration_error,
        "mean_confidence": summaries.confidence(test),
        "most_frequent_class": summaries.guessing(test),
        "confusions": summaries.confusions(test, labels),
        "classes": [{"label": label, "right": share} for label, share in zip(labels, test.classes, strict=True)],
        "reliability": test.reliability,
        "mistakes": [_mistake(each) for each in test.mistakes],
        "confusion": test.confusion,
    } | ({"confused": test.confused} if test.confused else {})


def _mistake(mistake: Mistake) -> dict[str, Any]:
    small = max(mistake.picture.shape[:2]) <= _LONGEST_PICTURE
    return {
        "index": mistake.index,
        "label": mistake.label,
        "predicted": mistake.predicted,
        "probability": mistake.probability,
        "probability_of_label": mistake.probability_of_label,
        "shape": mistake.picture.shape,
        "png": base64.b64encode(figures.encoded(figures.flat(mistake.picture), "PNG")).decode() if small else None,
    }


def _filters(filters: FilterFacts) -> dict[str, Any]:
    """Those that the page shows; `cnnaudit.report.decode_heatmap` reads both arrays, `n c h w`."""
    start, end = kernels.shown(filters)
    return {
        "layer": filters.layer,
        "count": len(filters.start),
        "display_limit": kernels.limit(filters),
        "change": kernels.change(filters),
        "start": encode_heatmap(start),
        "end": encode_heatmap(end),
    }
