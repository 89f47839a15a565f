"""A training from its first step to its report: the loop, and what is written when."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from cnnaudit import checkpoints, inspection, loading
from cnnaudit.classifier import Classifier
from cnnaudit.errors import TrainingError
from cnnaudit.provenance import run_facts
from cnnaudit.results import Epoch, Fact, Report, RunFacts, TestFacts, TrainingFacts
from cnnaudit.training import logs, precision, snapshots
from cnnaudit.training.batches import feed
from cnnaudit.training.evaluation import answers, examined
from cnnaudit.training.interrupts import Ending
from cnnaudit.training.loop import Ended, Loop, Progress
from cnnaudit.training.paths import Paths
from cnnaudit.training.preparing import (
    Prepared,
    compared,
    fingerprint,
    first_filters,
    freezing,
    layout_for,
    normaliser,
)
from cnnaudit.training.randomness import random_state, set_random_state
from cnnaudit.training.recipe import Recipe
from cnnaudit.training.wording import changes, explained, remarks


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A trained network, where it lies, and how it came about.

    Attributes:
        history: a record for each epoch.
        best_epoch: the one whose weights were kept: the most accurate in validation, of equals the one with the
            lowest loss.
        ended: why it stopped, in words.
        finished: False where it was stopped, and the same call with `resume=True` goes on.
        interrupted: by Ctrl-C.
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
    finished: bool
    interrupted: bool
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
        model = self.classifier.facts()
        model = replace(model, notes=(*model.notes, *self.notes))
        return Report("train", self.run, model, training=self.facts)


class Session:
    """One call of `train`, once all is checked: the loop, and what is written when."""

    def __init__(
        self,
        recipe: Recipe,
        prepared: Prepared,
        paths: Paths,
        device: torch.device,
        progress: Progress | None,
        earlier: snapshots.Snapshot | None,
        aside: tuple[str, ...] = (),
    ) -> None:
        self.recipe, self.prepared, self.paths, self.device = recipe, prepared, paths, device
        self.aside = aside  # on this call; the network is the same without
        self.notes: list[str] = [*prepared.data.notes, *prepared.built.notes, *remarks(recipe, prepared.shape[1:])]
        self.network = prepared.built.network
        self.start = first_filters(self.network, prepared.shape)
        layout = layout_for(self.network, device)
        self.network.to(device).to(memory_format=layout)
        self.normalise = normaliser(prepared.mean, prepared.std, device, layout)
        hold = freezing(prepared.built, recipe)
        train, validation = feed(prepared.data.train, device), feed(prepared.data.validation, device)
        wanted = "float32" if recipe.deterministic and recipe.precision == "auto" else recipe.precision
        dtype = precision.resolve(earlier.dtype if earlier else wanted, self.network, prepared.shape, device)
        self.dtype = str(dtype).removeprefix("torch.")
        self.recipe = recipe = replace(recipe, precision=self.dtype)  # what was measured is part of the record
        self.loop = Loop(
            self.network, recipe, (train, validation), self.normalise,
            device=device, dtype=dtype, hold=hold, said=self.notes.append, progress=progress,
        )  # fmt: skip
        self._data = fingerprint(prepared.data)
        if earlier is not None:
            self._go_on_from(earlier)

    def _go_on_from(self, earlier: snapshots.Snapshot) -> None:
        if earlier.device != self.device.type:
            raise TrainingError(
                f"It was begun on {earlier.device}, and goes on there only. Give --device {earlier.device}."
            )
        if earlier.data != self._data:
            raise TrainingError(
                f"{self.recipe.data} is no longer what it was when {self.paths.snapshot} was written. "
                "Train anew, with another --name or without that file."
            )
        self.loop.restore(earlier)
        self.start = earlier.start
        notes = (*earlier.notes, *changes(earlier))
        self.notes += [note for note in notes if note not in self.notes]
        set_random_state(earlier.randomness, self.device)

    def run(self, end: Ending, started: datetime) -> TrainingResult:
        """Train, test, write, and say what came of it."""
        began = time.perf_counter()
        ended = self._trained(end)
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
            finished=ended.finished,
            interrupted=ended.interrupted,
            tests=tests,
            path=self.paths.checkpoint,
            notes=(*self.notes, *self.aside),
            run=run,
            facts=self._facts(classifier, ended.words, tests),
        )

    def _trained(self, end: Ending) -> Ended:
        """Go through the epochs, from the first or from where an earlier training stopped."""
        if not self.loop.best:
            self.loop.begin()
            self._snapshot()
        elif self.loop.history:  # what a cut epoch left behind is not what the snapshot knows
            self._write("", ())
        try:
            return self.loop.run(end, self._keep)
        except TrainingError as error:
            self._diverged(str(error))
            raise
        except (RuntimeError, ValueError) as error:
            self._clear()
            raise explained(error, self.recipe, self.device) from error

    def _diverged(self, reason: str) -> None:
        """Leave the reason in the log, and nothing that would only diverge again."""
        if self.loop.history:
            self._write_log(f"stopped: {reason}", ())
        self.paths.snapshot.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Delete a snapshot without an epoch: to begin again loses nothing."""
        if not self.loop.history:
            self.paths.snapshot.unlink(missing_ok=True)

    def _keep(self, whole: bool) -> None:
        """Write what an epoch has brought: the weights if they are the best so far, the log, and where it stands."""
        if self.loop.best_epoch == len(self.loop.history):
            self._write("", ())
        else:
            self._write_log("", ())
        if whole:
            self._snapshot()

    def _snapshot(self) -> None:
        snapshot = self.loop.snapshot(self.start, random_state(self.device), self._data, self.notes)
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
            "notes": list(self.notes),
            "history": history,
        }

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, SafetensorError, RuntimeError) as error:  # one each of the file system, safetensors and torch
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise TrainingError(
                f"{self.paths.checkpoint.parent} cannot be written to any more ({reason}); "
                "what is there is whole. Make room, and go on with --resume."
            ) from error

    def _facts(self, classifier: Classifier, ended: str, tests: tuple[TestFacts, ...]) -> TrainingFacts:
        data, loop = self.prepared.data, self.loop
        parts = {"train": data.train, "validation": data.validation, **data.tests}
        learned = sum(weights.numel() for weights in self.network.parameters() if weights.requires_grad)
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
            architecture=replace(inspection.summarize(classifier), trainable=learned),
            filters=compared(self.start, first_filters(classifier.network, self.prepared.shape)),
        )


def _facts_of(recipe: Recipe) -> dict[str, Fact]:
    return {key: value for key, value in asdict(recipe).items() if value is not None}
