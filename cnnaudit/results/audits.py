"""What a classifier leans on: cues, each tested by intervention; whom they hurt; and what is wrong with the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cnnaudit.results.ablation import Change
from cnnaudit.results.explanations import ImageFailure
from cnnaudit.results.trainings import Share
from cnnaudit.shapes import Photo

CueKind = Literal["patch", "place", "property", "attribution", "background"]
"""Recurring patches; a fixed place; a property of the whole picture; pictures that are explained alike; all that a
mask leaves outside."""

Operation = Literal["remove", "insert"]

Verdict = Literal["confirmed", "not confirmed", "inconclusive"]
"""Whether the network leans on the cue, and the cue is a shortcut: shown; shown not to; or not settled."""

Nature = Literal["shortcut", "object", "undecided"]
"""What the cue is, by the evidence: beside the object, of the object, or for a person to say."""

Severity = Literal["none", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A cue taken out of a picture of its class, and put into one of another, in pairs drawn at random.

    What is put in need not come from the picture that the other is paired with.

    Attributes:
        before: pairs whose one picture, with the cue, is answered with its class, and the other, without it, is not.
        after: pairs in which both answers have gone with the cue: now it is the other that is answered so, alone.
        placebo: the same after the placebos of both edits.
    """

    before: Share
    after: Share
    placebo: Share


@dataclass(frozen=True, slots=True)
class Effect:
    """What an edit does to the probability of the cue's class, against a placebo on the same pictures.

    Attributes:
        operation: what was done with the cue.
        pictures: how many were edited.
        effect: mean change of the probability, edited minus untouched.
        placebo: the same of a placebo: the same operator and area, without the cue.
        difference: of the two, paired by picture, with its 95 % interval: a bootstrap over pictures, or, where the cue
            was taken from other pictures, over those.
        flips: pictures whose answer became the class (insert) or ceased to be it (remove).
        placebo_flips: the same of the placebo.
        p: of so large a difference, in the direction in which a cue acts, if there were none.
        p_adjusted: the same after Benjamini and Hochberg (1995), over all cues and operations of the audit.
        donors: from how many pictures the cue was taken; None where it was taken from none.
        exchange: of putting in, where it was also taken out; else None.
    """

    operation: Operation
    pictures: int
    effect: Change
    placebo: Change
    difference: Change
    flips: int
    placebo_flips: int
    p: float
    p_adjusted: float
    donors: int | None = None
    exchange: Exchange | None = None

    @property
    def size(self) -> float:
        """The difference, counted in the direction in which a cue acts: down where it is taken out."""
        return -self.difference.value if self.operation == "remove" else self.difference.value


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One picture before and after, to be looked at: uint8, `h w c` each, and the probability of the cue's class."""

    name: str
    operation: Operation
    before: Photo
    after: Photo
    placebo: Photo
    probability_before: float
    probability_after: float
    probability_placebo: float


@dataclass(frozen=True, slots=True)
class Presence:
    """How often a cue is seen in the pictures of one class, and how often these are answered rightly with and without.

    `right_with` and `right_without` are None where there is no such picture.
    """

    label: str
    pictures: int
    present: int
    right_with: Share | None
    right_without: Share | None


@dataclass(frozen=True, slots=True, eq=False)
class CuePatch:
    """Where a cue is seen in one picture: the part of it that shows the cue, uint8 `h w c`, the rest dimmed."""

    name: str
    pixels: Photo


@dataclass(frozen=True, slots=True, eq=False)
class AuditFinding:
    """One cue, what becomes of the answers with and without it, and what that means.

    Attributes:
        id: the same in every run that finds the same cue ("patch-3", "place-top-left", "property-brightness").
        name: of the cue in words; the user's own where it was given.
        label: the class that the cue goes with.
        claim: the finding in one sentence with its numbers.
        association: how strongly the cue goes with the class in these pictures (what a tool that only correlates
            would report), 0.5 to 1: the area under the ROC curve.
        attribution: the share of the attribution of the class that lies on the cue, divided by the share of the
            picture that it covers (what a heatmap alone would report); None where the cue has no place.
        strongest: the place in `effects` of the one that the verdict rests on; None where nothing could be edited.
        evidence: sentences for and against the cue being the object itself.
        presence: a row a class.
        concerned: names of pictures in which the cue is present, in the order of the set; at most 200.
        described: what the cue looks like, in the audit's own words, where `name` is the user's; else empty.
    """

    id: str
    kind: CueKind
    name: str
    label: str
    claim: str
    verdict: Verdict
    nature: Nature
    severity: Severity
    association: float
    attribution: float | None
    effects: tuple[Effect, ...]
    strongest: int | None
    evidence: tuple[str, ...]
    present: int
    pictures: int
    presence: tuple[Presence, ...]
    patches: tuple[CuePatch, ...]
    edits: tuple[Edit, ...]
    concerned: tuple[str, ...]
    described: str = ""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """How many pictures of a class there are, and how many of them are answered rightly."""

    label: str
    pictures: int
    right: Share


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures of one class with or without a cue.

    Attributes:
        name: in words ("husky with snow").
        finding: the id of the cue's finding; None for a whole class, and for what no cue was found for.
    """

    name: str
    label: str
    finding: str | None
    pictures: int
    right: Share


@dataclass(frozen=True, slots=True)
class Hurt:
    """Whom the classifier fails.

    Attributes:
        groups: those with the fewest right answers first.
        worst: the lowest group by a confirmed cue, else the lowest class or clear sort of its pictures that is surely
            answered otherwise than the rest, of those with enough pictures to tell; None where there is none.
        unlinked: what the accuracy would be on data in which the gravest confirmed cue does not go with a class any
            more: groups weighted as if cue and class were independent; None without a confirmed cue, or where too few
            pictures show one without the other.
        doubtful: the ids of confirmed cues that are seldom apart from their class, in pictures that no clear sort shows
            again and that are answered no worse than others: the cue may be mistaken in them.
    """

    groups: tuple[Group, ...]
    worst: Group | None
    unlinked: Share | None
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceCue:
    """A cue that a slice's pictures have more often than those that it is compared with.

    Attributes:
        finding: its id; its verdict says whether the network leans on it.
        inside, elsewhere: how many pictures have the cue.
        p_adjusted: Fisher's exact test, one-sided, over all slices and cues (Benjamini and Hochberg).
    """

    finding: str
    name: str
    verdict: Verdict
    inside: Share
    elsewhere: Share
    p_adjusted: float


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Pictures that are alike to the network, and often answered wrongly.

    Attributes:
        name: what they have in common, in words.
        samples: some of them, uint8 `h w c`.
        cues: what the audit tested that they have more often than others, confirmed ones first.
    """

    name: str
    pictures: int
    right: Share
    elsewhere: Share
    p_adjusted: float
    names: tuple[str, ...]
    samples: tuple[Photo, ...]
    cues: tuple[SliceCue, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Something wrong with the pictures or their labels.

    Attributes:
        names: of the pictures concerned.
        labels: their classes, one each.
        samples: the pictures, uint8 `h w c`, at most two.
    """

    kind: Literal["duplicate", "near duplicate", "mislabelled"]
    sentence: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    samples: tuple[Photo, ...] = ()


@dataclass(frozen=True, slots=True)
class Robustness:
    """Answers to pictures that were changed a little.

    Attributes:
        change: in words with its unit ("shift by 4 pixels").
        right: the share that is answered rightly, of the changed pictures.
        consistent: the share that is answered as before the change.
    """

    change: str
    right: Share
    consistent: Share
    pictures: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What has become of the findings of an earlier audit, each in one sentence."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    worse: tuple[str, ...]
    better: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AuditFacts:
    """What an audit found.

    Attributes:
        dataset: the name of the pictures.
        pictures: how many could be read.
        findings: every cue that was tested, the gravest first.
        skipped: for each part of the audit that could not be made, the reason in words.
    """

    dataset: str
    pictures: int
    accuracy: Share
    classes: tuple[ClassFacts, ...]
    findings: tuple[AuditFinding, ...]
    hurt: Hurt
    slices: tuple[Slice, ...] = ()
    problems: tuple[Problem, ...] = ()
    robustness: tuple[Robustness, ...] = ()
    compared: Compared | None = None
    unread: tuple[ImageFailure, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
