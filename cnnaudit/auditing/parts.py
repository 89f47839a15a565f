"""Makes the parts of an audit, and says of each that cannot be made why."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from torch import nn

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.holding import Holding
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.scenery import View
from cnnaudit.auditing.shelf import Shelf
from cnnaudit.auditing.surveys import Survey
from cnnaudit.classifier import Classifier
from cnnaudit.errors import CnnAuditError, OptionError
from cnnaudit.inspection.failing import arose_in
from cnnaudit.memory import is_out_of_memory

Made = TypeVar("Made")


class Parts:
    """Makes parts one by one.

    Attributes:
        skipped: for each that the network or the pictures did not allow, the reason.
    """

    def __init__(
        self,
        classifier: Classifier,
        pictures: Pictures,
        rows: Survey,
        seed: int,
        tell: Callable[[str, int, int], None],
        shelf: Shelf,
    ) -> None:
        self._given, self._seed, self._tell, self._shelf = (classifier, pictures, rows), seed, tell, shelf
        self._holding = Holding[View]()
        self.skipped: dict[str, str] = {}

    def made(self, name: str, make: Callable[[Asked], Made], otherwise: Made) -> Made:
        """What `make` makes; `otherwise`, if the network or the pictures are such that it cannot.

        Raises:
            OptionError: the caller gave something wrong.
        """
        self._tell(name, 0, 0)
        classifier = self._given[0]
        try:
            return make(Asked(*self._given, self._seed, partial(self._tell, name), self._shelf, self._holding))
        except OptionError:
            raise
        except Exception as error:  # a user's forward may raise anything
            reason = _reason(error, classifier.network)
            if reason is None:
                raise
            self.skipped[name] = reason
            return otherwise


def _reason(error: Exception, network: nn.Module) -> str | None:
    """Why the part was not made; None if that is nobody's fault but ours."""
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, CnnAuditError):
        return first
    if is_out_of_memory(error):
        return f"Memory ran out: {first}"
    return f"It failed in the network: {type(error).__name__}: {first}" if arose_in(network, error) else None
