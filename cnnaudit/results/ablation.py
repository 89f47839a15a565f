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
        activity: the unit's mean in pictures of the class.
        logit: change of the class's mean logit in pictures of it; None for all pictures, and for a single one.
        odds: the same of its log-odds, the logarithm of p / (1 - p).
        odds_before: these, with the unit.
        odds_p: of so large a mean change if there were none, two-sided.
    """

    label: str | None
    before: Share
    after: Share
    change: Change
    lost: int
    won: int
    p: float
    activity: float
    logit: Change | None
    odds: Change | None
    odds_before: float
    odds_p: float


@dataclass(frozen=True, slots=True, eq=False)
class UnitAblation:
    """One unit, set to its mean everywhere.

    Attributes:
        unit: the channel's number.
        mean: what it was set to.
        estimate: how much the log-odds of the class for which it was chosen would change, to first order; 0 for a
            unit that was named.
        whole: over all pictures.
        classes: in the order of the network's labels; those without a picture are left out.
        hurt: the place in `classes` of the one whose recall changes most, where that is more than chance at 5 %
            for all classes and units together; else None.
        doubted: likewise of the one whose log-odds fall; of several that do, the one in which the unit is most
            active.
        meaning: what its best patches show; None where no parts are marked in the pictures.
        claim: the same in words.
    """

    unit: int
    mean: float
    estimate: float
    whole: Loss
    classes: tuple[Loss, ...]
    hurt: int | None
    doubted: int | None
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
        units: those first without which recall changes most, then log-odds.
        unread: the files that could not be read, each with the reason.
    """

    layer: str
    channels: int
    pictures: int
    labelled: bool
    chosen: bool
    units: tuple[UnitAblation, ...]
    unread: tuple[str, ...]
