"""Searching in batches as large as memory allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cnnaudit.classifier import Classifier
from cnnaudit.errors import MethodError
from cnnaudit.inspection.visualizing.grouping import Group
from cnnaudit.inspection.visualizing.objectives import Objective
from cnnaudit.inspection.visualizing.searching import Found, Plan, search
from cnnaudit.memory import is_out_of_memory

AT_ONCE = 16
"""Pictures in one forward pass; more of them are no faster."""
_MEMORY = 1 << 30  # bytes that the gradient of one batch may keep


@dataclass(slots=True)
class Counted:
    """Passes on how far the search is."""

    progress: Callable[[int, int], None] | None
    total: int
    done: int = 0

    def __call__(self, pictures: int) -> None:
        self.done += pictures
        if self.progress:
            self.progress(self.done, self.total)


def batches(
    classifier: Classifier, objectives: Sequence[Objective], group: Group, plan: Plan, counted: Counted
) -> Iterator[tuple[Sequence[int], Found]]:
    """What was found for each batch of a group, as large as memory allows."""
    room = max(1, min(AT_ONCE, _MEMORY // max(1, group.memory)) // plan.copies)
    left = group.places
    while left:
        places, before = left[:room], counted.done
        chosen = [objectives[place] for place in places]
        found = _within_memory(partial(search, classifier, chosen, plan, group.form, group.style, counted))
        if found is not None:
            left = left[len(places) :]
            yield places, found
        elif room == 1:
            raise MethodError(
                f"Memory on {classifier.device} does not suffice for {plan.copies} pictures of "
                f"{plan.size[0]} x {plan.size[1]} at a time. Take a smaller size, or fewer copies."
            )
        else:
            room, counted.done = room // 2, before


def _within_memory(made: Callable[[], Found]) -> Found | None:
    """What was made; None where memory ran out, after the exception no longer holds on to what it saw."""
    try:
        return made()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
