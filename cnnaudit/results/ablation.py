"""What becomes of a network's answers without one of its units."""

from dataclasses import dataclass

from cnnaudit.results.exemplars import Meaning
from cnnaudit.results.trainings import Share


@dataclass(frozen=True, slots=True)
class Change:
    """A difference, after minus before, on the same pictures, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Loss:
    """How many answers are right without a unit, of one class or of all pictures.

    Attributes:
        label: the class; None for all pictures.
        before, after: the share of right answers with the unit and without it.
        change: between the two.
        lost, won: answers that were right only before, and only after.
        p: of so uneven a division of these if the unit did not matter, two-sided.
        logit: change of the mean logit of the class, in pictures of it; None for all pictures.
    """

    label: str | None
    before: Share
    after: Share
    change: Change
    lost: int
    won: int
    p: float
    logit: Change | None


@dataclass(frozen=True, slots=True, eq=False)
class UnitAblation:
    """One unit, set to its mean everywhere.

    Attributes:
        unit: the channel's number.
        mean: what it was set to.
        estimate: the criterion's value, by which it was chosen.
        whole: over all pictures.
        classes: in the order of the network's labels; those without a picture are left out.
        hurt: the place in `classes` of the one that changes most, where that is more than chance at 5 % for all
            classes and units together; else None.
        meaning: what its best patches show; None where no parts are marked in the pictures.
        claim: the same in words.
    """

    unit: int
    mean: float
    estimate: float
    whole: Loss
    classes: tuple[Loss, ...]
    hurt: int | None
    meaning: Meaning | None
    claim: str


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """What units of one layer are for.

    Attributes:
        channels: of the layer.
        pictures: how many the network was asked about.
        labelled: whether right is what the pictures' classes say; otherwise it is what the network itself
            answers with all its units.
        chosen: whether the units were chosen by the criterion, not named.
        units: the one with the largest change first.
        unread: the files that could not be read, each with the reason.
    """

    layer: str
    channels: int
    pictures: int
    labelled: bool
    chosen: bool
    units: tuple[UnitAblation, ...]
    unread: tuple[str, ...]
