"""What a network answers to a part of a dataset, and what that says of it."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from cnnaudit.data.augmentation import as_pixels
from cnnaudit.data.splits import Files, Split
from cnnaudit.errors import TrainingError
from cnnaudit.memory import is_out_of_memory
from cnnaudit.results import Mistake, TestFacts
from cnnaudit.shapes import Photo
from cnnaudit.training.batches import Feed
from cnnaudit.training.metrics import LARGEST_MATRIX, calibration_error, confused, confusion, reliability, share

Normalise = Callable[[Tensor], Tensor]

_MISTAKES = 24


def answers(
    network: nn.Module, feed: Feed, normalise: Normalise, size: int
) -> tuple[Float32[Tensor, "n k"], Int64[Tensor, " n"]]:
    """Logits and true classes of all pictures as they are, on the CPU; `size` pictures at a time, or what fits."""
    network.eval()
    while True:
        try:
            with torch.inference_mode():
                return _answers(network, feed, normalise, size)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if size == 1:
            raise TrainingError("Memory does not suffice to look at one picture. Give a smaller --input-size.")
        size = (size + 1) // 2


def _answers(network: nn.Module, feed: Feed, normalise: Normalise, size: int) -> tuple[Tensor, Tensor]:
    logits, labels = [], []
    for images, known in feed.batches(torch.arange(len(feed)), size):
        logits.append(network(normalise(as_pixels(images))).float())
        labels.append(known)
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


def loss_and_accuracy(logits: Float32[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> tuple[float, float]:
    """Mean cross-entropy in nats, and the share of right answers."""
    loss = nn.functional.cross_entropy(logits.double(), labels)
    return float(loss), float((logits.argmax(1) == labels).double().mean())


def examined(
    name: str, part: Split | Files, logits: Float32[Tensor, "n k"], truth: Int64[Tensor, " n"], labels: tuple[str, ...]
) -> TestFacts:
    """All that a test says, from the answers to it."""
    probabilities = logits.softmax(1)
    chosen = logits.argmax(1)
    right = chosen == truth
    bins = reliability(probabilities, truth)
    many = len(labels) > LARGEST_MATRIX
    return TestFacts(
        name=name,
        accuracy=share(int(right.sum()), len(truth)),
        loss=loss_and_accuracy(logits, truth)[0],
        confusion=() if many else confusion(chosen, truth, len(labels)),
        classes=tuple(share(int(right[truth == k].sum()), int((truth == k).sum())) for k in range(len(labels))),
        reliability=bins,
        calibration_error=calibration_error(bins),
        mistakes=_mistakes(part, probabilities, truth, labels),
        confused=confused(chosen, truth) if many else (),
    )


def _mistakes(
    part: Split | Files, probabilities: Tensor, truth: Tensor, labels: tuple[str, ...]
) -> tuple[Mistake, ...]:
    """The most confident wrong answers, the worst first."""
    confidence, chosen = probabilities.max(1)
    wrong = (chosen != truth).nonzero().squeeze(1)
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:_MISTAKES]
    return tuple(
        Mistake(
            index=k,
            picture=_picture(part.images[k] if isinstance(part, Split) else part[k]),
            label=labels[int(truth[k])],
            predicted=labels[int(chosen[k])],
            probability=float(confidence[k]),
            probability_of_label=float(probabilities[k, truth[k]]),
        )
        for k in worst.tolist()
    )


def _picture(image: Tensor) -> Photo:
    """uint8, `h w c`."""
    whole = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    return np.ascontiguousarray(whole.cpu().permute(1, 2, 0).numpy())
