"""Colour casts: for each class, the direction of the mean colour that tells it best from the others."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int64

from cnnaudit.auditing.association import Link, links
from cnnaudit.auditing.wording import called
from cnnaudit.data.resizing import LUMA

CAST = "colour cast"
CHANNELS = ("red cast", "green cast", "blue cast")
"""What is measured of it: the mean of each channel less mean luma."""
_FOLDS = 5
_FEWEST = 10  # pictures of a class, and of the others
_FAINT = 1e-6  # a variance, of 1


def cast_links(
    casts: Float[np.ndarray, "n 3"], truth: Int64[np.ndarray, " n"], predicted: Int64[np.ndarray, " n"]
) -> list[Link]:
    """The classes that go with a cast: no channel alone tells an orange tint as well as its own direction does."""
    classes = np.unique(truth)
    found: list[Link] = []
    for label in classes.tolist():
        own, said = truth == label, predicted == label
        if min(own.sum(), (~own).sum()) < _FEWEST:
            continue
        column = {CAST: held_out(casts, own)}
        told = links(column, own.astype(np.int64), said.astype(np.int64), questions=len(classes))
        found += [replace(link, label=label) for link in told if link.label == 1 and link.sign > 0]
    return found


def held_out(casts: Float[np.ndarray, "n 3"], own: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How far each picture's mean colour lies along the class's direction, as other pictures tell it; NaN if unknown.

    Every fifth picture of the class and of the others is held out in turn.
    """
    fold = np.empty(len(own), np.int64)
    for side in (own, ~own):
        fold[side] = np.arange(side.sum()) % _FOLDS
    column = np.empty(len(own))
    for held in range(_FOLDS):
        here = fold == held
        column[here] = casts[here] @ direction(casts[~here], own[~here])
    return column


def direction(casts: Float[np.ndarray, "n 3"], own: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
    """Of length 1 and without luma: that of Fisher's linear discriminant (Annals of Eugenics 7, 1936)."""
    known = np.isfinite(casts).all(1)
    plane = np.linalg.svd(np.array(LUMA)[None])[2][1:]
    here, other = (casts[known & side] @ plane.T for side in (own, ~own))
    spread = (np.cov(here.T, bias=True) * len(here) + np.cov(other.T, bias=True) * len(other)) / known.sum()
    away = np.linalg.solve(spread + _FAINT * np.eye(2), here.mean(0) - other.mean(0)) @ plane
    return away / max(float(np.linalg.norm(away)), _FAINT)


def named(away: Float[np.ndarray, " 3"]) -> str:
    """The cast of a colour that is away from grey, by the channel or its opponent that it is most."""
    most = int(np.abs(away).argmax())
    return called(CHANNELS[most], 1 if away[most] > 0 else -1)


def casts_of(values: Mapping[str, Float[np.ndarray, " n"]]) -> Float[np.ndarray, "n 3"]:
    """The three columns beside each other; grey pictures have none."""
    return np.stack([values[name] for name in CHANNELS], 1)
