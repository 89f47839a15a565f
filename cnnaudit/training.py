"""Training a classifier: one loop, short enough to read, the same result for the same seed."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import cnnaudit
from cnnaudit import checkpoints, loading
from cnnaudit.classifier import Classifier
from cnnaudit.data.augmentation import augmented
from cnnaudit.data.datasets import Dataset, Split, dataset
from cnnaudit.errors import OptionError, TrainingError
from cnnaudit.models import ARCHITECTURES
from cnnaudit.recipe import Recipe, check

Progress = Callable[[int, int, int, int, float, float], None]
"""Called with epoch, epochs, step, steps, loss and accuracy so far in the epoch.

Epoch 0 is the making of the pictures: its steps are pictures, its loss and accuracy are NaN.
"""

_MEAN, _STD = 0.5, 0.25
_WARM_UP = 0.1
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training pictures: `loss` in nats, accuracies as shares, `seconds` of it."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A trained network, where it lies, and how it came about.

    Attributes:
        history: a record for each epoch.
        best_epoch: the one whose weights were kept: the most accurate in validation, of equals the one with the
            lowest loss.
        test_accuracy: share of right answers on each of the dataset's tests.
        path: of the checkpoint.
    """

    classifier: Classifier
    history: tuple[Epoch, ...]
    best_epoch: int
    test_accuracy: Mapping[str, float]
    path: Path


def train(
    arch: str = "husky-wolf",
    *,
    data: str | None = None,
    correlation: float = 0.95,
    samples: int = 2000,
    test_samples: int = 2000,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 7,
    out: str | Path = "checkpoints",
    name: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train an architecture on a dataset and write the checkpoint `out/name.safetensors`.

    AdamW (Loshchilov and Hutter, arXiv 1711.05101) on cross-entropy, in float32; the learning rate
    rises over the first tenth of the steps and falls along a cosine to zero. Pictures are changed by
    `cnnaudit.data.augmentation.augmented`. The weights of the epoch that is most accurate in validation
    are kept. The same arguments on the same machine give the same weights; the global random state is
    as before afterwards.

    Args:
        arch: a name of `cnnaudit.models.ARCHITECTURES`.
        data: a name of `cnnaudit.data.datasets.DATASETS`; by default the one called like `arch`.
        correlation: of background and class in training and validation, from 0 to 1.
        test_samples: fresh pictures in each test.
        learning_rate: its peak.
        name: of the checkpoint; by default `arch`.
        device: "cpu", "cuda", "cuda:N", "mps", or "auto" for the accelerator where there is one.

    Raises:
        UnknownModelError: there is no such architecture.
        OptionError: another argument is wrong, or `out` cannot be written to.
        TrainingError: the loss is no longer finite, or the checkpoint cannot be written.
    """
    recipe = Recipe(
        arch=arch,
        data=data or arch,
        correlation=correlation,
        samples=samples,
        test_samples=test_samples,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        name=name or arch,
    )
    check(recipe)
    path = _writable(Path(out)) / f"{recipe.name}.safetensors"
    place = loading.resolve_device(device)
    pictures = dataset(recipe.data)(
        correlation=correlation,
        samples=samples,
        test_samples=test_samples,
        seed=seed,
        drawn=_as_progress(progress, epochs),
    )
    with _own_randomness(seed, place):
        network = ARCHITECTURES[arch](labels=len(pictures.labels)).to(place)
        history, best = _fit(network, pictures, recipe, place, progress)
        network.load_state_dict(best)
        tests = {key: _measure(network, split, place)[1] for key, split in pictures.tests.items()}
        _write(path, network, _card(pictures, recipe, history, tests, place))
        classifier = loading.load(path, device=place)
    return TrainingResult(classifier, history, _best_epoch(history), tests, path)


def _writable(folder: Path) -> Path:
    """`folder`, made if missing: better to learn before the training than after it that it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OptionError(f"Nothing can be written to {folder} ({error.strerror}). Give another folder.") from error
    return folder


def _as_progress(progress: Progress | None, epochs: int) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(0, epochs, done, total, math.nan, math.nan)


@contextmanager
def _own_randomness(seed: int, place: torch.device) -> Iterator[None]:
    """First weights and dropout draw from `seed`; afterwards the global random state is as before."""
    accelerator = None if place.type == "cpu" else torch.get_device_module(place)
    before = torch.get_rng_state()
    there = accelerator.get_rng_state() if accelerator else None
    try:
        torch.default_generator.manual_seed(seed)
        if accelerator:
            accelerator.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(before)
        if accelerator:
            accelerator.set_rng_state(there)


def _fit(
    network: nn.Module, pictures: Dataset, recipe: Recipe, device: torch.device, progress: Progress | None
) -> tuple[tuple[Epoch, ...], dict[str, Tensor]]:
    """All epochs; returns their records and the best weights."""
    data = Split(pictures.train.images.to(device), pictures.train.labels.to(device))
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=_WEIGHT_DECAY)
    rng = torch.Generator().manual_seed(recipe.seed)
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    for epoch in range(1, recipe.epochs + 1):
        began = time.perf_counter()
        loss, accuracy = _epoch(network, data, optimizer, recipe, epoch, rng, progress)
        checked = _measure(network, pictures.validation, device)
        rate = optimizer.param_groups[0]["lr"]
        history.append(Epoch(epoch, loss, accuracy, *checked, rate, time.perf_counter() - began))
        if _best_epoch(history) == epoch:
            best = {key: value.detach().clone() for key, value in network.state_dict().items()}
    return tuple(history), best


def _best_epoch(history: "tuple[Epoch, ...] | list[Epoch]") -> int:
    return max(history, key=lambda e: (e.validation_accuracy, -e.validation_loss)).epoch


def _epoch(
    network: nn.Module,
    data: Split,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
    rng: torch.Generator,
    progress: Progress | None,
) -> tuple[float, float]:
    """One pass in a fresh order; returns mean loss and accuracy. Changes `network` and `optimizer`."""
    network.train()
    batches = torch.randperm(len(data), generator=rng).split(recipe.batch_size)
    total, right, seen = 0.0, 0, 0
    for step, chosen in enumerate(batches, 1):
        done = (epoch - 1) * len(batches) + step
        rate = learning_rate(done, recipe.epochs * len(batches), recipe.learning_rate)
        optimizer.param_groups[0]["lr"] = rate
        chosen = chosen.to(data.labels.device)
        labels = data.labels[chosen]
        logits = network(_normalised(augmented(data.images[chosen], rng)))
        loss = nn.functional.cross_entropy(logits, labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} in epoch {epoch}, step {step} of {len(batches)}, at learning rate "
                f"{rate:.3g}. Try a lower learning rate than {recipe.learning_rate:g}."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += value * len(labels)
        right += int((logits.argmax(1) == labels).sum())
        seen += len(labels)
        if progress:
            progress(epoch, recipe.epochs, step, len(batches), total / seen, right / seen)
    return total / seen, right / seen


def learning_rate(step: int, steps: int, peak: float) -> float:
    """The rate in `step` (from 1) of `steps`: a linear rise to `peak`, then half a cosine down to 0."""
    rise = max(1, round(_WARM_UP * steps))
    if step <= rise:
        return peak * step / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _normalised(pixels: Tensor) -> Tensor:
    """What the network takes, from pixels in [0, 1]."""
    return (pixels - _MEAN) / _STD


def _measure(network: nn.Module, split: Split, device: torch.device) -> tuple[float, float]:
    """Mean loss and accuracy on pictures as they are."""
    network.eval()
    total, right = 0.0, 0
    with torch.inference_mode():
        for images, labels in zip(split.images.split(250), split.labels.split(250), strict=True):
            labels = labels.to(device)
            logits = network(_normalised(images.to(device).float() / 255))
            total += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
    return total / len(split), right / len(split)


def _card(
    pictures: Dataset, recipe: Recipe, history: tuple[Epoch, ...], tests: Mapping[str, float], place: torch.device
) -> checkpoints.Card:
    height, width = pictures.train.images.shape[-2:]
    channels = pictures.train.images.shape[1]
    record: dict[str, Any] = {"command": recipe.command, **asdict(recipe)}
    record |= {"kept_epoch": _best_epoch(history), "test_accuracy": dict(tests)}
    record |= {"torch": torch.__version__, "device": str(place), "threads": torch.get_num_threads()}
    record["history"] = [{key: value for key, value in asdict(epoch).items() if key != "seconds"} for epoch in history]
    return checkpoints.Card(
        architecture=recipe.arch,
        labels=pictures.labels,
        input_size=(height, width),
        mean=(_MEAN,) * channels,
        std=(_STD,) * channels,
        channels=channels,
        arguments={"labels": len(pictures.labels)},
        dataset=recipe.data,
        training=record,
        tool_version=cnnaudit.__version__,
    )


def _write(path: Path, network: nn.Module, card: checkpoints.Card) -> None:
    try:
        checkpoints.write(path, network.state_dict(), card)
    except OSError as error:
        raise TrainingError(
            f"The trained network cannot be written to {path} ({error.strerror}); what was there is untouched."
        ) from error
