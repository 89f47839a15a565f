"""What each part of an audit is given."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cnnaudit.auditing.holding import Holding
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.scenery import View
from cnnaudit.auditing.shelf import Shelf
from cnnaudit.auditing.surveys import Survey
from cnnaudit.classifier import Classifier


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What each part of an audit is given.

    Attributes:
        seed: of everything random.
        told: called with how much of the part is done, and of how much.
        shelf: keeps what testing each cue found.
        holding: pictures cut into parts, of all parts of the audit, as many as fit into memory.
    """

    classifier: Classifier
    pictures: Pictures
    survey: Survey
    seed: int
    told: Callable[[int, int], None]
    shelf: Shelf = field(default_factory=Shelf)
    holding: Holding[View] = field(default_factory=Holding[View])
