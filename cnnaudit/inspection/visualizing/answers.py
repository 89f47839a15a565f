"""What a network takes the pictures for that were made for its units."""

from collections.abc import Sequence

import numpy as np
import torch

from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError
from cnnaudit.inspection.failing import forward_errors
from cnnaudit.results import Answer

_AT_ONCE = 16


def answers(classifier: Classifier, pictures: Sequence[np.ndarray]) -> list[Answer | None]:
    """For each picture `c h w` in [0, 1] the most probable class; None where it cannot be asked.

    Pictures are made at sizes at which the network runs as far as its unit; behind it, it may take its own alone.
    """
    found: list[Answer | None] = []
    for begin in range(0, len(pictures), _AT_ONCE):
        pixels = torch.from_numpy(np.stack(pictures[begin : begin + _AT_ONCE]))
        try:
            with forward_errors(classifier, f"pictures of shape {tuple(pixels.shape)}"):
                scores = classifier.scores(pixels).cpu().double()
        except ModelError:
            return [None] * len(pictures)
        found += [
            Answer(classifier.labels[place], probability) if np.isfinite(probability) else None
            for probability, place in zip(*(each.tolist() for each in scores.softmax(1).max(1)), strict=True)
        ]
    return found
