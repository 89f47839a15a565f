"""The loop over epochs and steps, and what it has to remember."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from cnnaudit.data.augmentation import augment, part_of
from cnnaudit.errors import TrainingError
from cnnaudit.results import Epoch
from cnnaudit.training.batches import Feed, parts
from cnnaudit.training.evaluation import Normalise, answers, loss_and_accuracy
from cnnaudit.training.interrupts import Ending
from cnnaudit.training.optimizers import optimizer_for
from cnnaudit.training.recipe import Recipe
from cnnaudit.training.schedules import learning_rate
from cnnaudit.training.snapshots import Snapshot
from cnnaudit.training.stepping import Stepper

_LOOK_EVERY = 50  # steps between looks at the loss where a look makes an accelerator wait
_SHOW_EVERY = 0.1  # seconds between calls of the progress


@dataclass(frozen=True, slots=True)
class Step:
    """How far a training is: `loss` and `accuracy` are means over the epoch so far.

    Epoch 0 is the reading or making of the pictures: its steps are pictures or bytes, and the rest is 0.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float = 0.0
    accuracy: float = 0.0
    images_per_second: float = 0.0
    seconds_left: float = 0.0


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a training stopped; one that is not `finished` can go on. `interrupted`: by Ctrl-C."""

    words: str
    finished: bool
    interrupted: bool = False


class _Tally:
    """Sums over an epoch; looks at losses in groups, so that an accelerator need not wait after each step."""

    def __init__(self, device: torch.device) -> None:
        self.loss, self.right, self.seen = 0.0, 0, 0
        self._waiting: list[tuple[Tensor, Tensor, int]] = []
        self._group = self.group_on(device)

    @staticmethod
    def group_on(device: torch.device) -> int:
        """Steps between looks; on the CPU the loss is there anyway."""
        return 1 if device.type == "cpu" else _LOOK_EVERY

    def add(self, loss: Tensor, right: Tensor, n: int) -> int | None:
        """Count a step; after a look, how many steps ago the loss was first not finite, if it was."""
        self._waiting.append((loss, right, n))
        return self.look() if len(self._waiting) >= self._group else None

    def look(self) -> int | None:
        """Take in what waits; how many steps ago a loss was first not finite, if one was."""
        if not self._waiting:
            return None
        losses = torch.stack([loss for loss, _, _ in self._waiting]).tolist()
        for place, value in enumerate(losses):
            if not math.isfinite(value):
                return len(losses) - 1 - place
        self.loss += sum(value * n for value, (_, _, n) in zip(losses, self._waiting, strict=True))
        self.right += int(torch.stack([right for _, right, _ in self._waiting]).sum())
        self.seen += sum(n for _, _, n in self._waiting)
        self._waiting.clear()
        return None

    @property
    def means(self) -> tuple[float, float]:
        return self.loss / max(1, self.seen), self.right / max(1, self.seen)


class Loop:
    """A training under way.

    Args:
        feeds: pictures to train on, and to validate with.
        normalise: from pixels in [0, 1] to what the network takes; may work in place.
        dtype: that forward and backward passes run in.
        hold: called with the epoch's number as it begins, to hold still what does not learn yet.
        said: called with what the reader must know.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        feeds: tuple[Feed, Feed],
        normalise: Normalise,
        *,
        device: torch.device,
        dtype: torch.dtype,
        hold: Callable[[int], None],
        said: Callable[[str], None],
        progress: Progress | None,
    ) -> None:
        self.network, self.recipe = network, recipe
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.seconds = 0.0
        self.first_loss = 0.0
        self._train, self._validation = feeds
        self._normalise, self._device, self._hold = normalise, device, hold
        self._progress, self._shown = progress, 0.0
        self._order = torch.Generator().manual_seed(recipe.seed)
        self._optimizer = optimizer_for(
            network, recipe.optimizer,
            rate=recipe.learning_rate, decay=recipe.weight_decay, momentum=recipe.momentum,
        )  # fmt: skip
        self._stepper = Stepper(
            network, self._optimizer, device=device, dtype=dtype, label_smoothing=recipe.label_smoothing, said=said
        )

    @property
    def best_epoch(self) -> int:
        """The most accurate in validation; of equals the one with the lowest loss. 0 before the first."""
        ranked = [(e.validation_accuracy, -e.validation_loss, -e.epoch) for e in self.history]
        return -max(ranked)[2] if ranked else 0

    def begin(self) -> None:
        """Ask the untrained network, which is what all that it learns is held against."""
        self.first_loss = self._measured()[0]

    def run(self, ending: Ending, after: Callable[[bool], None]) -> Ended:
        """Train until the last epoch or an earlier end.

        Args:
            after: called when an epoch has been measured, with True if the epoch was a whole one.

        Raises:
            TrainingError: the loss is no longer finite, or memory is too short.
        """
        steps = len(parts(len(self._train), self.recipe.batch_size))
        ended = self._early(len(self.history), True, ending) if self.history else None  # stopped while it was tested
        if ended is not None and ended.finished:
            return ended
        while len(self.history) < self.recipe.epochs:
            epoch = len(self.history) + 1
            whole = self._epoch(epoch, steps, ending)
            after(whole)
            ended = self._early(epoch, whole, ending)
            if ended is not None:
                return ended
        return Ended(
            f"after all {self.recipe.epochs} epochs" if self.recipe.epochs > 1 else "after its one epoch", True
        )

    def _early(self, epoch: int, whole: bool, ending: Ending) -> Ended | None:
        """Why to stop behind this epoch, which is not the last one or was cut short."""
        if whole and epoch == self.recipe.epochs:
            return None
        if ending.reason is not None:
            words = f"{ending.reason}, {'after' if whole else 'in'} epoch {epoch} of {self.recipe.epochs}"
            return Ended(words, finished=False, interrupted=ending.interrupted)
        patience = self.recipe.patience
        if patience is not None and epoch - self.best_epoch >= patience:
            return Ended(f"after epoch {epoch}: no better validation for {patience} epochs", finished=True)
        return None

    def _epoch(self, epoch: int, steps: int, ending: Ending) -> bool:
        """One pass in a fresh order, and its record; returns whether it came to its end."""
        self.network.train()
        self._hold(epoch)
        began, tally = time.perf_counter(), _Tally(self._device)
        order = torch.randperm(len(self._train), generator=self._order)
        rate, step = 0.0, 0
        for step, (images, labels) in enumerate(self._train.batches(order, self.recipe.batch_size), 1):
            rate = self._set_rate((epoch - 1) * steps + step, self.recipe.epochs * steps)
            inputs = self._normalise(self._seen(images, (epoch - 1) * steps + step, self.recipe.epochs * steps))
            ago = tally.add(*self._stepper.step(inputs, labels), len(labels))
            self._check(ago, epoch, step, steps)
            if self._is_due(step == steps):
                self._check(tally.look(), epoch, step, steps)
                self._show(epoch, step, steps, tally, began)
            if ending.reason is not None:
                break
        self._check(tally.look(), epoch, step, steps)
        self._record(epoch, tally, rate, time.perf_counter() - began, f"step {step} of {steps}")
        return step == steps

    def _seen(self, images: Tensor, step: int, steps: int) -> Tensor:
        """What is learned from in `step` (from 1) of `steps`: pictures altered, and parts of them at first."""
        pixels = augment(images, self.recipe.augmentation or (), self._order)
        whole = self.recipe.early_part == 1 or step > steps // 2
        return pixels if whole else part_of(pixels, self.recipe.early_part, self._order)

    def _work(self, done: int, steps: int) -> float:
        """What so many of all steps cost, in steps on whole pictures."""
        early = min(done, steps // 2)
        return self.recipe.early_part**2 * early + done - early

    def _set_rate(self, step: int, steps: int) -> float:
        r = self.recipe
        rate = learning_rate(step, steps, r.learning_rate, schedule=r.schedule, warm_up=r.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _check(self, ago: int | None, epoch: int, step: int, steps: int) -> None:
        """Stop at a loss that is not finite, `ago` steps before this one."""
        if ago is not None:
            bad = step - ago
            rate = self._set_rate((epoch - 1) * steps + bad, self.recipe.epochs * steps)
            raise TrainingError(self._diverged(f"in epoch {epoch}, step {bad} of {steps}, at learning rate {rate:.3g}"))

    def _diverged(self, where: str) -> str:
        kept = f"The weights of epoch {self.best_epoch} are kept." if self.history else "There are no weights to keep."
        return f"The loss is not finite {where}. {kept} Try a lower learning rate than {self.recipe.learning_rate:g}."

    def _record(self, epoch: int, tally: _Tally, rate: float, seconds: float, behind: str) -> None:
        loss, accuracy = tally.means
        checked_loss, checked = self._measured()
        if not math.isfinite(checked_loss):
            raise TrainingError(
                self._diverged(f"in validation after epoch {epoch}, {behind}, at learning rate {rate:.3g}")
            )
        self.seconds += seconds
        speed = tally.seen / seconds
        self.history.append(Epoch(epoch, loss, accuracy, checked_loss, checked, rate, seconds, speed))
        if self.best_epoch == epoch:
            self.best = {key: value.detach().clone() for key, value in self.network.state_dict().items()}

    def _measured(self) -> tuple[float, float]:
        size = 2 * (self._stepper.largest or self.recipe.batch_size)
        return loss_and_accuracy(*answers(self.network, self._validation, self._normalise, size))

    def _is_due(self, last: bool) -> bool:
        """Whether to show how far it is: now and then, and at an epoch's end."""
        return self._progress is not None and (last or time.perf_counter() - self._shown >= _SHOW_EVERY)

    def _show(self, epoch: int, step: int, steps: int, tally: _Tally, began: float) -> None:
        if self._progress is None:
            return
        self._shown = time.perf_counter()
        spent, epochs = self._shown - began, self.recipe.epochs
        begun, last = (epoch - 1) * steps, epochs * steps
        before, now, whole = (self._work(done, last) for done in (begun, begun + step, last))
        left = spent / (now - before) * (whole - now)
        self._progress(Step(epoch, epochs, step, steps, *tally.means, tally.seen / spent, left))

    def snapshot(self, start: dict[str, Tensor], randomness: list[Tensor], data: str, notes: list[str]) -> Snapshot:
        """Where it stands; what the loop does not know is given by the caller."""
        newest = self.best_epoch == len(self.history)
        return Snapshot(
            recipe=asdict(self.recipe),
            history=[asdict(epoch) for epoch in self.history],
            network=self.network.state_dict(),
            optimizer=self._optimizer.state_dict(),
            scaler=self._stepper.scaler.state_dict(),
            best=None if newest else self.best,
            order=self._order.get_state(),
            randomness=randomness,
            dtype=str(self._stepper.dtype).removeprefix("torch."),
            largest=self._stepper.largest,
            start=start,
            first_loss=self.first_loss,
            seconds=self.seconds,
            device=self._device.type,
            torch=str(torch.__version__),
            threads=torch.get_num_threads(),
            data=data,
            notes=notes,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Stand where the snapshot was taken; the global random state is the caller's."""
        self.network.load_state_dict(snapshot.network)
        self._optimizer.load_state_dict(snapshot.optimizer)
        self._stepper.scaler.load_state_dict(snapshot.scaler)
        self._stepper.largest = snapshot.largest
        self._order.set_state(snapshot.order)
        self.history = [Epoch(**record) for record in snapshot.history]
        state = self.network.state_dict()
        kept = state if snapshot.best is None else snapshot.best
        self.best = {key: value.detach().clone().to(state[key].device) for key, value in kept.items()}
        self.first_loss, self.seconds = snapshot.first_loss, snapshot.seconds
