"""The loop that asks a network in batches: how many at once, for how long, and what if memory runs out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from cnnaudit.devices import synchronise
from cnnaudit.errors import MethodError, OptionError
from cnnaudit.memory import is_out_of_memory
from cnnaudit.perturbation.budget import Budget
from cnnaudit.shapes import Logits

_LARGER_IS_FASTER = 0.95  # share of the time a picture that a batch of twice the size may take to be preferred


@dataclass(slots=True)
class BatchSize:
    """How many pictures are sent at once. It doubles while that is faster, and is halved when memory runs out.

    Attributes:
        size: now.
        largest: that it may become by doubling.
        settled: True when it no longer grows.
    """

    size: int
    largest: int
    settled: bool = False
    _seconds: dict[int, list[float]] = field(default_factory=dict)

    def took(self, pictures: int, seconds: float) -> None:
        """Learn from a batch. Each size is timed twice, and the faster time counts."""
        if self.settled or pictures != self.size:
            return
        times = self._seconds.setdefault(self.size, [])
        times.append(seconds / pictures)
        if len(times) < 2:
            return
        before = self._seconds.get(self.size // 2)
        if before and min(times) > _LARGER_IS_FASTER * min(before):
            self.size, self.settled = self.size // 2, True
        elif self.size * 2 > self.largest:
            self.settled = True
        else:
            self.size *= 2

    def halve(self) -> None:
        """Half as many from now on, for good."""
        self.size, self.settled = self.size // 2, True


class Loop:
    """Asks a network about many pictures, a batch at a time, at least one and then as long as there is time.

    Attributes:
        done: pictures asked about so far.
    """

    def __init__(
        self,
        batch: BatchSize,
        device: torch.device,
        *,
        expected: int,
        budget: Budget | None = None,
    ) -> None:
        if batch.size < 1:
            raise OptionError(f"A batch holds at least one picture; got {batch.size}.")
        self.batch, self.device, self.expected = batch, device, expected
        self.budget = budget or Budget()
        self.done, self._known = 0, 0
        self._halved = False

    def run(self, count: int, ask: Callable[[int, int], Logits]) -> Logits:
        """The answers for the pictures 0 to `count`, `count k`, float32, on the CPU; fewer when time is up.

        Args:
            count: how many.
            ask: `ask(start, stop)` asks the network about these.

        Raises:
            MethodError: memory does not even suffice for one picture.
        """
        found, start = torch.empty(0), 0
        while start < count and not (start and self.budget.is_up()):
            stop = min(start + self.batch.size, count)
            answer = self._asked(ask, start, stop)
            if answer is None:  # dealt with here, where the exception no longer holds on to what it saw
                self._shrink()
                continue
            if start == 0:  # one block, for the reason that `memory.rows_of` gives
                found = answer.new_empty(count, *answer.shape[1:], dtype=torch.float32)
            found[start:stop] = answer
            start, self.done = stop, self.done + stop - start
            self._tell()
        return found[:start].cpu()

    def skip(self, count: int) -> None:
        """So many answers were known before: who watches is told that these pictures are done, too."""
        self._known += count
        self._tell()

    def _tell(self) -> None:
        self.budget.tell(self.done + self._known, self.expected)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know of the run."""
        return (f"Memory ran out; batches of {self.batch.size} fitted.",) if self._halved else ()

    def _asked(self, ask: Callable[[int, int], Logits], start: int, stop: int) -> Logits | None:
        """The answers, or None when memory ran out."""
        clock = time.perf_counter()
        try:
            answer = ask(start, stop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        if not self.batch.settled:
            synchronise(self.device)
            self.batch.took(stop - start, time.perf_counter() - clock)
        return answer

    def _shrink(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch.size == 1:
            raise MethodError(
                f"Memory on {self.device} does not suffice for one picture at a time. Free some, or take a "
                "smaller network, a smaller input size or another device."
            )
        self.batch.halve()
        self._halved = True
