"""Ends that a training may meet before its last epoch: Ctrl-C and the time limit."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Ending:
    """Asked after each step: `reason` is None as long as the training may go on."""

    limit: float | None
    began: float
    interrupted: bool = False

    @property
    def reason(self) -> str | None:
        if self.interrupted:
            return "interrupted"
        if self.limit is not None and time.perf_counter() - self.began >= self.limit:
            return f"after the time limit of {self.limit:g} s"
        return None


@contextmanager
def ending(limit: float | None, began: float) -> Iterator[Ending]:
    """Turn the first Ctrl-C into a request to end after the step; a second one raises as ever.

    The limit counts from `began`, a time of `time.perf_counter`.

    Signals can be caught in the main thread only; elsewhere Ctrl-C is left to its handler.
    """
    state = Ending(limit, began)
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_signal: int, _frame: FrameType | None) -> None:
        state.interrupted = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, before)
