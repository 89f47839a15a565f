"""How well the properties of pictures, all together, tell their classes apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy import stats

_FOLDS = 5
_MOST = 2000  # pictures: a small model learns little from more
_CLASSES = 20  # those with the most pictures: a model's time grows with their number
_USEFUL = 0.02  # of balanced accuracy that is lost without a property: twice what shuffling alone may do


@dataclass(frozen=True, slots=True)
class Together:
    """What all properties together tell of the class.

    Attributes:
        accuracy: the mean recall of `classes` classes in pictures that the model was not fitted to; chance is
            1 / `classes`.
        useful: properties without which it would be lower, the most useful first.
    """

    accuracy: float
    classes: int
    useful: tuple[str, ...]


def together(
    values: Mapping[str, Float[np.ndarray, " n"]], truth: Int64[np.ndarray, " n"], seed: int
) -> Together | None:
    """What a small model makes of all properties; None where there are too few pictures of a class for it.

    Logistic regression, on five folds, of the properties' normal scores and their squares (so that the middle can be
    told from both ends). A property is useful if less is right in the held-out pictures once its values are shuffled
    among them (Breiman, Machine Learning 45, 2001, section 10).
    """
    draw = np.random.default_rng(seed)
    rows = _rows(truth, draw)
    known = {name: column[rows] for name, column in values.items()}
    known = {name: column for name, column in known.items() if len(np.unique(column[np.isfinite(column)])) > 1}
    classes = len(np.unique(truth[rows]))
    if classes < 2 or not known:
        return None
    scores = np.stack([_normal_scores(column) for column in known.values()], 1)
    right, without = _held_out(scores, truth[rows], draw)
    falls = dict(zip(known, right - without, strict=True))
    useful = sorted((name for name in known if falls[name] > _USEFUL), key=lambda name: -falls[name])
    return Together(right, classes, tuple(useful) if right > 1 / classes + _margin(classes, len(rows)) else ())


def _margin(classes: int, n: int) -> float:
    """Three standard errors of the accuracy of guessing."""
    return 3 * math.sqrt((1 - 1 / classes) / classes / n)


def _rows(truth: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Some pictures of classes that have at least twice as many as there are folds, and not too many of either."""
    classes, counts = np.unique(truth, return_counts=True)
    largest = classes[np.argsort(-counts, kind="stable")[:_CLASSES]]
    rows = np.flatnonzero(np.isin(truth, largest))
    drawn = rows if len(rows) <= _MOST else np.sort(draw.choice(rows, _MOST, replace=False))
    classes, counts = np.unique(truth[drawn], return_counts=True)
    return drawn[np.isin(truth[drawn], classes[counts >= 2 * _FOLDS])]


def _normal_scores(column: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Where each value stands among the others, as a quantile of the normal distribution; 0 where there is none."""
    finite, scores = np.isfinite(column), np.zeros(len(column))
    scores[finite] = stats.norm.ppf(stats.rankdata(column[finite]) / (finite.sum() + 1))
    return scores


def _held_out(scores: np.ndarray, truth: np.ndarray, draw: np.random.Generator) -> tuple[float, np.ndarray]:
    """Balanced accuracy, and the same with each property shuffled."""
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.model_selection import StratifiedKFold

    answers = np.empty((scores.shape[1] + 1, len(truth)), truth.dtype)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=int(draw.integers(1 << 31)))
    for fitted, held in folds.split(scores, truth):
        model = LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000, tol=1e-3)
        model.fit(_squared(scores[fitted]), truth[fitted])
        for k in range(len(answers)):
            shown = scores[held].copy()
            if k:
                shown[:, k - 1] = draw.permutation(shown[:, k - 1])
            answers[k, held] = model.predict(_squared(shown))
    recalls = np.stack([(answers[:, truth == label] == label).mean(1) for label in np.unique(truth)]).mean(0)
    return float(recalls[0]), recalls[1:]


def _squared(scores: np.ndarray) -> np.ndarray:
    return np.concatenate([scores, scores**2], 1)
