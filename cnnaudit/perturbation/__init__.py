"""Masks times picture to scores, in batches: the one hot loop."""

from cnnaudit.perturbation.answers import Answers
from cnnaudit.perturbation.budget import Budget, Progress
from cnnaudit.perturbation.copies import Copies, Precision
from cnnaudit.perturbation.loop import BatchSize, Loop
from cnnaudit.perturbation.masks import Grid, Masks, Segments, Windows, cell_side

__all__ = [
    "Answers",
    "BatchSize",
    "Budget",
    "Copies",
    "Grid",
    "Loop",
    "Masks",
    "Precision",
    "Progress",
    "Segments",
    "Windows",
    "cell_side",
]
