"""`train`: from its arguments to a network."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cnnaudit import loading, memory
from cnnaudit.data.datasets import DATASETS, Drawn
from cnnaudit.errors import OptionError, TrainingError
from cnnaudit.training import snapshots
from cnnaudit.training.interrupts import ending
from cnnaudit.training.loop import Progress, Step
from cnnaudit.training.paths import Paths
from cnnaudit.training.preparing import prepare
from cnnaudit.training.randomness import determinism, own_randomness
from cnnaudit.training.recipe import Recipe, complete
from cnnaudit.training.session import Session, TrainingResult

_NOTHING = "there was nothing to resume: trained from the first epoch"


@memory.kept()
def train(
    arch: str,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path = "reports",
    name: str | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: str | None = None,
    warm_up: float | None = None,
    label_smoothing: float | None = None,
    dropout: float | None = None,
    pool: str | None = None,
    early_part: float | None = None,
    augmentation: Sequence[str] | None = None,
    precision: str | None = None,
    patience: int | None = None,
    time_limit: float | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    freeze: str = "none",
    unfreeze_after: int | None = None,
    input_size: int | tuple[int, int] | None = None,
    deterministic: bool = False,
    half: bool = False,
    resume: bool = False,
    correlation: float | None = None,
    samples: int | None = None,
    test_samples: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train an architecture on a dataset and write the checkpoint `out/name.safetensors`.

    What is None comes from the architecture's preset, and from what suits the data. The weights of the
    epoch that is most accurate in validation are kept, and measured on the test at the end. After each
    epoch the best weights so far, a log (CSV and JSON) and all that is needed to go on are on disk,
    whatever may happen to the process then. Ctrl-C ends the training after the step, and keeps the best
    weights. The same arguments on the same machine give the same weights (where half precision may be
    faster, the format is measured: the recorded command names it); the global random state is as before
    afterwards.

    Args:
        arch: a name of `cnnaudit.models.ARCHITECTURES`, a pattern such as "[[c32 r]*2 p]*2 [f128 r] f10", or
            a torchvision classifier.
        data: a name of `cnnaudit.data.datasets.DATASETS`, or "folder:PATH"; by default the one called like
            `arch`.
        data_root: the folder that holds datasets.
        name: of the checkpoint; by default made of `arch` and `data`.
        optimizer: "sgd" (with Nesterov momentum), "adam", "adamw", or "muon" (orthogonalised steps for the weights
            between the first and the last layer, "sgd" for the others).
        learning_rate: its peak, in a linear rise over the share `warm_up` of all steps, then along `schedule`.
        schedule: "cosine", "linear", "step" or "constant".
        label_smoothing: share of the target that is spread over all classes.
        dropout: before the last layers; None: as the architecture has it.
        pool: "max", "average", "stride" or "blur".
        early_part: in the first half of the steps, learn from random parts of the pictures, this share of them high
            and wide (but no fewer than 16 pixels): such steps cost less. 1 is the whole; less is for networks that
            take any size.
        augmentation: of `cnnaudit.data.augmentation.AUGMENTATIONS`; () for none, None for what suits the data.
        precision: "auto" (float32, or half precision where it is measured to be faster), "float32",
            "bfloat16" or "float16".
        patience: epochs without a better validation after which the training ends.
        time_limit: seconds after which it ends, the epoch under way included.
        pretrained: start from torchvision's weights, with a new last layer.
        weights: a file to take them from (ours, or one of weights alone), or torchvision's name of them; with
            it, `pretrained` need not be given.
        freeze: "backbone" trains the last layer only, in the first `unfreeze_after` epochs or in all.
        input_size: height and width that pictures are resized to, or one number for both.
        deterministic: float32, and only operations that repeat to the bit on an accelerator; they may be slower.
        half: keep the weights in float16, which halves the file; they are tested as they are kept.
        resume: go on behind the last whole epoch of an earlier training of the same recipe that was
            stopped. On the CPU, with as many threads and the same torch, the result has the bits of an
            uninterrupted one.
        correlation: of background and class in the husky-wolf scenes, from 0 to 1.
        samples, test_samples: how many scenes to draw.
        device: "cpu", "cuda", "cuda:N", "mps", or "auto" for the accelerator where there is one.
        progress: called often with a `Step`.

    Raises:
        UnknownModelError: there is no such architecture.
        OptionError: another argument is wrong, `out` cannot be written to, or an unfinished training of this
            name lies there and `resume` is not given.
        DataError: the data cannot be had.
        DownloadError, WeightsError: pretrained weights cannot be had.
        TrainingError: the loss is no longer finite, memory is too short, or there is nothing to resume.
    """
    size = (input_size, input_size) if isinstance(input_size, int) else input_size and (input_size[0], input_size[1])
    if data is None and arch not in DATASETS:
        raise OptionError(f"What is {arch} to learn? Give the data: {', '.join(DATASETS)}, or folder:PATH.")
    recipe = complete(
        arch, data or arch,
        {
            "epochs": epochs, "seed": seed, "name": name, "batch_size": batch_size, "optimizer": optimizer,
            "learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule,
            "warm_up": warm_up, "label_smoothing": label_smoothing, "dropout": dropout, "pool": pool,
            "early_part": early_part,
            "augmentation": None if augmentation is None else tuple(augmentation), "precision": precision,
            "patience": patience, "pretrained": pretrained, "weights": None if weights is None else str(weights),
            "freeze": freeze, "unfreeze_after": unfreeze_after, "input_size": size, "deterministic": deterministic,
            "half": half, "correlation": correlation, "samples": samples, "test_samples": test_samples,
        },
    )  # fmt: skip
    if time_limit is not None and not (isinstance(time_limit, int | float) and time_limit > 0):
        raise OptionError(f"The time limit is {time_limit!r} s; give a number above 0.")
    place = loading.resolve_device(device)
    paths = Paths.of(Path(out), recipe.name)
    earlier = _earlier(paths, recipe) if resume else _refuse_to_lose(paths)
    started, clock = datetime.now(UTC), time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(own_randomness(recipe.seed, place))
        stack.enter_context(determinism(deterministic))
        prepared = prepare(recipe, Path(data_root) if data_root else None, _as_progress(progress, recipe.epochs))
        if recipe.augmentation is None:
            recipe = replace(recipe, augmentation=prepared.data.augmentation)
        end = stack.enter_context(ending(time_limit, clock))
        aside = (_NOTHING,) if resume and earlier is None else ()
        return Session(recipe, prepared, paths, place, progress, earlier, aside).run(end, started)


def _earlier(paths: Paths, recipe: Recipe) -> snapshots.Snapshot | None:
    """Where an earlier training of this recipe was stopped; None if there is none.

    Raises:
        TrainingError: it is finished, or was of another recipe.
    """
    if not paths.snapshot.exists():
        if paths.checkpoint.exists():
            raise TrainingError(
                f"There is nothing to resume: the training of {paths.checkpoint} has ended. "
                "Leave --resume out to train anew, or give another --name."
            )
        return None
    snapshot = snapshots.read(paths.snapshot)
    if recipe.augmentation is None:  # what suits the data was found the first time
        recipe = replace(recipe, augmentation=tuple(snapshot.recipe["augmentation"]))
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=snapshot.recipe["precision"])
    other = recipe.differences(snapshot.recipe)
    if other:
        raise TrainingError(
            f"{paths.snapshot} is of a training with another {', '.join(other)}. "
            "Give the same options, or another --name."
        )
    return snapshot


def _refuse_to_lose(paths: Paths) -> None:
    """A training that starts anew would write over where an unfinished one stands.

    Raises:
        OptionError: epochs would be lost.
        TrainingError: what lies there cannot be read, and may be worth something.
    """
    done = len(snapshots.read(paths.snapshot).history) if paths.snapshot.exists() else 0
    if done:
        raise OptionError(
            f"An unfinished training of {done} {'epoch' if done == 1 else 'epochs'} lies in {paths.snapshot}. "
            "Give --resume to go on with it, or another --name; to be rid of it, delete that file."
        )


def _as_progress(progress: Progress | None, epochs: int) -> Drawn | None:
    if progress is None:
        return None
    return lambda done, total: progress(Step(0, epochs, done, total))
