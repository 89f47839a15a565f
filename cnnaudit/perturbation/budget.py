"""How long the work on one explanation may take, and who is told how far it is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cnnaudit.errors import OptionError

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and about how many there will be."""


@dataclass(slots=True)
class Budget:
    """The time that is left, counted from when this was made.

    Attributes:
        seconds: after which no further batch is begun; None: as long as it takes.
        progress: told after each batch.
        late: True once time was up with something left to do.

    Raises:
        OptionError: `seconds` is no number above 0.
    """

    seconds: float | None = None
    progress: Progress | None = None
    late: bool = False
    _began: float = field(default_factory=lambda: time.monotonic())

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise OptionError(f"The time limit is {self.seconds:g} s; give a number of seconds above 0.")

    def is_up(self) -> bool:
        """Whether time is up; to be asked only where something is left to do."""
        up = self.seconds is not None and time.monotonic() - self._began > self.seconds
        self.late = self.late or up
        return up

    @contextmanager
    def share(self, part: float) -> Iterator[None]:
        """Inside, only this part of the time counts."""
        whole = self.seconds
        self.seconds = None if whole is None else part * whole
        try:
            yield
        finally:
            self.seconds = whole

    def tell(self, done: int, expected: int) -> None:
        """Say how far the work is."""
        if self.progress:
            self.progress(done, max(done, expected))
