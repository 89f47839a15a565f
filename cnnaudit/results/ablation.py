"""What becomes of a network's answers without some of its units."""

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
    """How many answers are right without a unit, or without a group of units, of one class or of all pictures.

    Attributes:
        label: the class; None for all pictures.
        before, after: the share of right answers with the unit and without it.
        change: between the two.
        lost, won: answers that were right only before, and only after.
        p: of so uneven a division of these if the unit did not matter, two-sided.
        activity: the mean in pictures of the class, over the group's units.
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
        doubted: likewise of one whose log-odds change, by at least 0.05: of those that fall the one in which the
            unit is most active; else the one that rises most.
        meaning: what its best patches show; None where no parts are marked in the pictures.
        claim: the same in words.
        chosen_for: the class for which it was chosen; None for a unit that was named.
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
    chosen_for: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GroupAblation:
    """Several units of one layer, all set to their means together.

    Attributes:
        channels: of the layer.
        units: the channels' numbers.
        parts: what their best patches surely show; empty where they have something else in common.
        helped: the class that they help most, to first order; None where they have something else in common.
        whole: over all pictures.
        classes: in the order of the network's labels; those without a picture are left out.
        hurt: the places in `classes` of those whose recall changes by more than chance, as in `UnitAblation`, the
            largest change first.
        doubted: as in `UnitAblation`.
        others: as many of the layer's other units, drawn at random; None where recall does not change, or fewer are
            left.
        without_others: the share of right answers of each of `classes` without these instead; empty where there are
            none.
        claim: the same in words.
    """

    layer: str
    channels: int
    units: tuple[int, ...]
    parts: tuple[str, ...]
    helped: str | None
    whole: Loss
    classes: tuple[Loss, ...]
    hurt: tuple[int, ...]
    doubted: int | None
    others: tuple[int, ...] | None
    without_others: tuple[Share, ...]
    claim: str

    @property
    def stands_out(self) -> bool:
        """Whether the largest change is a fall, and to less than is left without as many others, by the intervals."""
        if not self.hurt or not self.without_others:
            return False
        worst = self.classes[self.hurt[0]]
        return worst.change.value < 0 and worst.after.high < self.without_others[self.hurt[0]].low


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """What units of one layer are for, and groups of units.

    Attributes:
        channels: of the layer.
        pictures: how many the network was asked about.
        labelled: whether right is what the pictures' classes say; otherwise it is what the network itself
            answers with all its units.
        chosen: whether the units were chosen by the criterion, not named.
        units: those first without which recall changes most, then log-odds.
        unread: the files that could not be read, each with the reason.
        groups: those that stand out first, then those without which recall changes most; also of other layers where
            it is known what their units fire on.
    """

    layer: str
    channels: int
    pictures: int
    labelled: bool
    chosen: bool
    units: tuple[UnitAblation, ...]
    unread: tuple[str, ...]
    groups: tuple[GroupAblation, ...] = ()
