"""`train`: from a recipe to a checkpoint, its log and its report."""

import glob
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnaudit import checkpoints, inspection, loading
from cnnaudit.classifier import Classifier
from cnnaudit.data.datasets import Drawn
from cnnaudit.errors import OptionError, TrainingError
from cnnaudit.provenance import run_facts
from cnnaudit.results import Epoch, Fact, Report, RunFacts, TestFacts, TrainingFacts
from cnnaudit.training import logs, precision, snapshots
from cnnaudit.training.batches import feed
from cnnaudit.training.evaluation import answers, examined
from cnnaudit.training.interrupts import Ending, ending
from cnnaudit.training.loop import Loop, Progress, Step
from cnnaudit.training.preparing import Prepared, compared, first_filters, freezing, layout_for, normaliser, prepare
from cnnaudit.training.randomness import determinism, own_randomness, random_state, set_random_state
from cnnaudit.training.recipe import Recipe, complete


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A trained network, where it lies, and how it came about.

    Attributes:
        history: a record for each epoch.
        best_epoch: the one whose weights were kept: the most accurate in validation, of equals the one with the
            lowest loss.
        ended: why it stopped, in words.
        tests: what each of the dataset's tests found.
        path: of the checkpoint; its log lies beside it.
        notes: what the reader must know.
        run: how it was run.
        facts: all that the report shows.
    """

    classifier: Classifier
    history: tuple[Epoch, ...]
    best_epoch: int
    ended: str
    tests: tuple[TestFacts, ...]
    path: Path
    notes: tuple[str, ...]
    run: RunFacts
    facts: TrainingFacts

    @property
    def test_accuracy(self) -> float:
        """Share of right answers on the dataset's test (the first one, where it has several)."""
        return self.tests[0].accuracy.value

    def report(self) -> Report:
        """The training report: a page and its JSON twin."""
        return Report("train", self.run, self.classifier.facts(), training=self.facts)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a training writes: the checkpoint, its log, and the snapshot it can go on from."""

    checkpoint: Path
    csv: Path
    json: Path
    snapshot: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "Paths":
        """All in one folder, which is made if missing.

        Better to learn before the training than after it that nothing can be written there.

        Raises:
            OptionError: it cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OptionError(f"Nothing can be written to {folder} ({error.strerror}). Give another folder.") from error
        ends = ("safetensors", "log.csv", "log.json", "resume")
        for end in ends:
            for litter in folder.glob(f".{glob.escape(name)}.{end}.*.part"):  # of a process killed while it wrote
                litter.unlink(missing_ok=True)
        return cls(*(folder / f"{name}.{end}" for end in ends))


def train(
    arch: str,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path = "checkpoints",
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
    augmentation: Sequence[str] | None = None,
    precision: str | None = None,
    patience: int | None = None,
    time_limit: float | None = None,
    pretrained: bool = False,
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
    weights. The same arguments on the same machine give the same weights; the global random state is as
    before afterwards.

    Args:
        arch: a name of `cnnaudit.models.ARCHITECTURES`, a pattern such as "[[c32 r]*2 p]*2 [f128 r] f10", or
            a torchvision classifier.
        data: a name of `cnnaudit.data.datasets.DATASETS`, or "folder:PATH"; by default the one called like
            `arch`.
        data_root: the folder that holds datasets.
        name: of the checkpoint; by default made of `arch` and `data`.
        optimizer: "sgd" (with Nesterov momentum), "adam" or "adamw".
        learning_rate: its peak, in a linear rise over the share `warm_up` of all steps, then along `schedule`.
        schedule: "cosine", "step" or "constant".
        label_smoothing: share of the target that is spread over all classes.
        dropout: before the last layers; None: as the architecture has it.
        pool: "max", "average", "stride" or "blur".
        augmentation: of `cnnaudit.data.augmentation.AUGMENTATIONS`; () for none, None for what suits the data.
        precision: "auto" (float32, or half precision where it is measured to be faster), "float32",
            "bfloat16" or "float16".
        patience: epochs without a better validation after which the training ends.
        time_limit: seconds after which it ends, the epoch under way included.
        pretrained: start from torchvision's weights, with a new last layer.
        freeze: "backbone" trains the last layer only, in the first `unfreeze_after` epochs or in all.
        input_size: height and width that pictures are resized to, or one number for both.
        deterministic: use only operations that repeat to the bit on an accelerator; they may be slower.
        half: keep the weights in float16, which halves the file; they are tested as they are kept.
        resume: go on from where an earlier training of the same recipe was stopped. On the CPU the result
            has the bits of an uninterrupted one.
        correlation: of background and class in the husky-wolf scenes, from 0 to 1.
        samples, test_samples: how many scenes to draw.
        device: "cpu", "cuda", "cuda:N", "mps", or "auto" for the accelerator where there is one.
        progress: called often with a `Step`.

    Raises:
        UnknownModelError: there is no such architecture.
        OptionError: another argument is wrong, or `out` cannot be written to.
        DataError: the data cannot be had.
        DownloadError, WeightsError: pretrained weights cannot be had.
        TrainingError: the loss is no longer finite, memory is too short, or there is nothing to resume.
    """
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    recipe = complete(
        arch, data or arch,
        {
            "epochs": epochs, "seed": seed, "name": name, "batch_size": batch_size, "optimizer": optimizer,
            "learning_rate": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule,
            "warm_up": warm_up, "label_smoothing": label_smoothing, "dropout": dropout, "pool": pool,
            "augmentation": None if augmentation is None else tuple(augmentation), "precision": precision,
            "patience": patience, "pretrained": pretrained, "freeze": freeze, "unfreeze_after": unfreeze_after,
            "input_size": size, "deterministic": deterministic, "half": half, "correlation": correlation,
            "samples": samples, "test_samples": test_samples,
        },
    )  # fmt: skip
    if time_limit is not None and not time_limit > 0:
        raise OptionError(f"The time limit is {time_limit:g} s; give a number above 0.")
    place = loading.resolve_device(device)
    paths = Paths.of(Path(out), recipe.name)
    earlier = _earlier(paths, recipe) if resume else None
    started = datetime.now(UTC)
    with ExitStack() as stack:
        stack.enter_context(own_randomness(seed, place))
        stack.enter_context(determinism(deterministic))
        end = stack.enter_context(ending(time_limit))
        prepared = prepare(recipe, Path(data_root) if data_root else None, _as_progress(progress, recipe.epochs))
        if recipe.augmentation is None:
            recipe = replace(recipe, augmentation=prepared.data.augmentation)
        training = _Training(recipe, prepared, paths, place, progress, earlier)
        return training.run(end, started)


def _earlier(paths: Paths, recipe: Recipe) -> snapshots.Snapshot | None:
    """Where an earlier training of this recipe was stopped; None if it did not come through its first epoch.

    Raises:
        TrainingError: it is finished, or was of another recipe.
    """
    if not paths.snapshot.exists():
        if paths.checkpoint.exists():
            raise TrainingError(
                f"There is nothing to resume: {paths.checkpoint} is finished. "
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


def _as_progress(progress: Progress | None, epochs: int) -> Drawn | None:
    if progress is None:
        return None
    return lambda done, total: progress(Step(0, epochs, done, total))


class _Training:
    """One call of `train`, once all is checked: the loop, and what is written when."""

    def __init__(
        self,
        recipe: Recipe,
        prepared: Prepared,
        paths: Paths,
        device: torch.device,
        progress: Progress | None,
        earlier: snapshots.Snapshot | None,
    ) -> None:
        self.recipe, self.prepared, self.paths, self.device = recipe, prepared, paths, device
        self.notes: list[str] = list(prepared.data.notes)
        self.network = prepared.built.network
        self.start = first_filters(self.network, prepared.shape)
        layout = layout_for(self.network, device)
        self.network.to(device).to(memory_format=layout)
        self.normalise = normaliser(prepared.mean, prepared.std, device, layout)
        hold = freezing(prepared.built, recipe)
        train, validation = feed(prepared.data.train, device), feed(prepared.data.validation, device)
        probe = self.normalise(torch.full((recipe.batch_size, *prepared.shape), 0.5, device=device))
        dtype = precision.resolve(earlier.dtype if earlier else recipe.precision, self.network, probe)
        self.dtype = str(dtype).removeprefix("torch.")
        self.recipe = recipe = replace(recipe, precision=self.dtype)  # what was measured is part of the record
        self.loop = Loop(
            self.network, recipe, (train, validation), self.normalise,
            device=device, dtype=dtype, hold=hold, said=self.notes.append, progress=progress,
        )  # fmt: skip
        if earlier is not None:
            self.loop.restore(earlier)
            self.start = earlier.start
            set_random_state(earlier.randomness, device)

    def run(self, end: Ending, started: datetime) -> TrainingResult:
        """Train, test, write, and say what came of it."""
        began = time.perf_counter()
        ended = self.loop.run(end, self._keep)
        self.network.load_state_dict(self._kept())
        tests = self._tests()
        self._write(ended.words, tests)
        if ended.finished:
            self.paths.snapshot.unlink(missing_ok=True)
        classifier = loading.load(self.paths.checkpoint, device=self.device)
        run = run_facts(classifier, seed=self.recipe.seed, started=started, command=self.recipe.command)
        run = replace(run, seconds=time.perf_counter() - began, dtype=self.dtype)
        return TrainingResult(
            classifier=classifier,
            history=tuple(self.loop.history),
            best_epoch=self.loop.best_epoch,
            ended=ended.words,
            tests=tests,
            path=self.paths.checkpoint,
            notes=tuple(self.notes),
            run=run,
            facts=self._facts(classifier, ended.words, tests),
        )

    def _keep(self, whole: bool) -> None:
        """Write what an epoch has brought: the weights if they are the best so far, the log, and where it stands."""
        if self.loop.best_epoch == len(self.loop.history):
            self._write("", ())
        self._write_log("", ())
        if whole:
            snapshot = self.loop.snapshot(self.start, random_state(self.device))
            self._guarded(lambda: snapshots.write(self.paths.snapshot, snapshot))

    def _tests(self) -> tuple[TestFacts, ...]:
        data, size = self.prepared.data, 2 * self.recipe.batch_size
        return tuple(
            examined(name, part, *answers(self.network, feed(part, self.device), self.normalise, size), data.labels)
            for name, part in data.tests.items()
        )

    def _write(self, ended: str, tests: tuple[TestFacts, ...]) -> None:
        card = self.prepared.card(self.recipe, self._record(ended, tests))
        self._guarded(lambda: checkpoints.write(self.paths.checkpoint, self._kept(), card))
        self._write_log(ended, tests)

    def _kept(self) -> dict[str, Tensor]:
        """The best weights as the checkpoint has them."""
        if not self.recipe.half:
            return self.loop.best
        return {key: value.half() if value.is_floating_point() else value for key, value in self.loop.best.items()}

    def _write_log(self, ended: str, tests: tuple[TestFacts, ...]) -> None:
        history = self.loop.history
        about = self._record(ended, tests) | {"seconds": self.loop.seconds}
        self._guarded(lambda: logs.write(self.paths.csv, self.paths.json, history, about))

    def _record(self, ended: str, tests: tuple[TestFacts, ...]) -> dict[str, Any]:
        """What the checkpoint and the log say of the training; nothing of it differs between equal runs."""
        history = [asdict(epoch) for epoch in self.loop.history]
        for epoch in history:
            del epoch["seconds"], epoch["images_per_second"]
        return asdict(self.recipe) | {
            "command": self.recipe.command,
            "kept_epoch": self.loop.best_epoch,
            "ended": ended or f"not yet, after epoch {len(history)}",
            "test_accuracy": {test.name: test.accuracy.value for test in tests},
            "torch": torch.__version__,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "history": history,
        }

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise TrainingError(
                f"{self.paths.checkpoint.parent} cannot be written to any more ({error.strerror}); "
                "what is there is whole. Make room, and go on with --resume."
            ) from error

    def _facts(self, classifier: Classifier, ended: str, tests: tuple[TestFacts, ...]) -> TrainingFacts:
        data, loop = self.prepared.data, self.loop
        parts = {"train": data.train, "validation": data.validation, **data.tests}
        return TrainingFacts(
            recipe=_facts_of(self.recipe),
            dataset=self.recipe.data,
            labels=data.labels,
            pictures={name: len(part) for name, part in parts.items()},
            epochs=tuple(loop.history),
            best_epoch=loop.best_epoch,
            ended=ended,
            first_loss=loop.first_loss,
            seconds=loop.seconds,
            tests=tests,
            architecture=inspection.summarize(classifier),
            filters=compared(self.start, first_filters(classifier.network, self.prepared.shape)),
        )


def _facts_of(recipe: Recipe) -> dict[str, Fact]:
    return {key: value for key, value in asdict(recipe).items() if value is not None}
