"""How a network was trained, and how good it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from cnnaudit.results.networks import ArchitectureFacts
from cnnaudit.results.runs import Fact
from cnnaudit.shapes import Photo


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training pictures: `loss` in nats, accuracies as shares.

    Attributes:
        learning_rate: at its last step.
        seconds: of training, without validation.
        images_per_second: of training.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class Share:
    """`right` of `n`, with the 95 % interval of Wilson (1927); `value` is 0 where `n` is."""

    right: int
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers whose confidence lies from `low` to `high`: how confident they are on average, and how often right."""

    low: float
    high: float
    confidence: float
    right: Share


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """A picture that the network calls something else; `index` is its place in the test."""

    index: int
    picture: Photo
    label: str
    predicted: str
    probability: float
    probability_of_label: float


@dataclass(frozen=True, slots=True, eq=False)
class TestFacts:
    """What one test of the trained network found.

    Attributes:
        name: of the test ("test"; the scenes have "holds" and "reversed").
        loss: mean cross-entropy in nats.
        confusion: counts, row: the true class, column: the answer; empty where there are too many classes for it.
        classes: the accuracy of each class, in the order of the labels.
        calibration_error: expected calibration error over `reliability` (Guo et al., ICML 2017, eq. 3).
        mistakes: the most confident ones, first the worst.
        confused: what `confusion` would hold without its zeros, where it is empty: (true class, answer, count).
    """

    __test__ = False  # no test case, whatever pytest makes of the name

    name: str
    accuracy: Share
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[Share, ...]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float
    mistakes: tuple[Mistake, ...]
    confused: tuple[tuple[int, int, int], ...] = ()

    @property
    def answers(self) -> tuple[tuple[int, int, int], ...]:
        """The true class, the answer and the count of each pair that occurred."""
        return self.confused or tuple(
            (truth, answer, count)
            for truth, row in enumerate(self.confusion)
            for answer, count in enumerate(row)
            if count
        )


@dataclass(frozen=True, slots=True, eq=False)
class FilterFacts:
    """The kernels of the first convolution (or the rows of the first linear layer, as pictures).

    Attributes:
        start, end: before the first step and in the weights that were kept, on one scale.
    """

    layer: str
    start: Float32[np.ndarray, "n c h w"]
    end: Float32[np.ndarray, "n c h w"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFacts:
    """All that the training report shows.

    Attributes:
        recipe: every choice that makes the weights what they are.
        pictures: how many there are in "train", "validation" and each test.
        best_epoch: the one whose weights were kept.
        ended: why it stopped, in words ("after all 10 epochs").
        first_loss: of the untrained network in validation; ln(classes) is the answer of one that knows nothing.
    """

    recipe: Mapping[str, Fact]
    dataset: str
    labels: tuple[str, ...]
    pictures: Mapping[str, int]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    ended: str
    first_loss: float
    seconds: float
    tests: tuple[TestFacts, ...]
    architecture: ArchitectureFacts | None
    filters: FilterFacts | None
