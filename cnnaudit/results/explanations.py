"""Pictures, what a network says of them, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnnaudit.results.runs import Fact, ModelFacts, RunFacts
from cnnaudit.shapes import Heatmap, Labelled, Marked, Photo, Pixels

if TYPE_CHECKING:
    from cnnaudit.results.report import Report

Flag = Literal["not_applicable", "not_finite", "out_of_time", "failed"]
"""Why there is no map: another method may do, the scores are not finite, the time limit, or any other reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture and where it came from.

    Attributes:
        name: the file's name (no folder), or what the caller called it.
        pixels: uint8, `h w c`, upright, 1 or 3 channels.
        sha256: of the file's bytes (of the pixels for a picture made in memory).
        notes: what was done on the way that the reader should know ("first of 12 frames").
        path: where it was read from, if from a file.
    """

    name: str
    pixels: Photo
    sha256: str
    notes: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def facts(self) -> "ImageFacts":
        """The same without the pixels."""
        return ImageFacts(self.name, self.sha256, self.size, self.notes, self.path)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a result keeps of an `Image`: all but its pixels, so that a thousand photos fit in memory."""

    name: str
    sha256: str
    size: tuple[int, int]
    notes: tuple[str, ...] = ()
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class with its score: `probability` after softmax, `logit` before it."""

    label: str
    index: int
    probability: float
    logit: float


@dataclass(frozen=True, slots=True)
class Target:
    """The score that is explained: a class's logit, or the difference of two."""

    index: int
    label: str
    versus_index: int | None = None
    versus_label: str | None = None

    @property
    def name(self) -> str:
        """`"wolf"`, or `"wolf − husky"` for a contrast."""
        return self.label if self.versus_label is None else f"{self.label} − {self.versus_label}"


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What a method returns: the map, and what it learned while making it.

    Attributes:
        heatmap: float32, `h w`, on the CPU, in `unit`; positive speaks for the target.
        facts: numbers about the computation (`completeness_error`, `steps`, …).
        notes: sentences the reader must see (a rule that could not be applied, a budget reached).
        layer: the module whose maps were used, for methods that use one.
        parts: the maps that `heatmap` was made from, where they are worth showing (one a baseline).
        forward_passes: pictures sent forward for this map; 0 where another method's pass served.
        unsettled: where the sign of the map may be chance; None where that is nowhere so, or not known.
        regions: the segment that each pixel belongs to, whole numbers from 0, where the map is of segments: those
            that `coefficients`, `low` and `high` among the facts count.
    """

    heatmap: Heatmap
    facts: Mapping[str, Fact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    layer: str | None = None
    parts: Mapping[str, Heatmap] = field(default_factory=dict)
    forward_passes: int = 0
    unsettled: Marked | None = None
    regions: Labelled | None = None


@dataclass(frozen=True, slots=True)
class MethodCard:
    """What a reader must know about a method: `says` and `cannot_say` in one sentence each.

    Attributes:
        name: its key in `cnnaudit.attribution.METHODS`.
        title: as the literature writes it.
        unit: of the heatmap's values, for the legend.
        signed: False where the map is never negative by construction.
        baseline: True for `random` and `edges`, which explain nothing and are yardsticks.
        paper: the source.
    """

    name: str
    title: str
    says: str
    cannot_say: str
    unit: str
    signed: bool
    baseline: bool
    paper: str


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One method's answer for one picture and one target.

    Attributes:
        heatmap: float32, `h w`, as large as `pixels`; signed; in `card.unit`. An all-zero map
            is no evidence, and `is_empty` is then true.
        pixels: float32, `1 c h w` in [0, 1]: the picture as the network saw it.
        prediction: the network's first choice, whatever `target` is.
        predictions: its first five.
        options: the method's parameters, defaults included.
        trust: verdict of the trust checks; None while none has been run.
        unsettled: bool, `h w`: where the 95 % interval of the map holds 0; None where that is nowhere so, or
            the method gives no intervals.
        regions: int32, `h w`: the segment that each pixel belongs to, 0 to K-1, in the order of the values among
            `facts`; None for methods without segments. An option `regions` takes it as it is.
    """

    image: ImageFacts
    pixels: Pixels
    predictions: tuple[Prediction, ...]
    target: Target
    card: MethodCard
    heatmap: Heatmap
    options: Mapping[str, Fact]
    facts: Mapping[str, Fact]
    notes: tuple[str, ...]
    layer: str | None
    parts: Mapping[str, Heatmap]
    seconds: float
    forward_passes: int
    model: ModelFacts
    run: RunFacts
    trust: None = None
    unsettled: Marked | None = None
    regions: Labelled | None = None

    @property
    def method(self) -> str:
        """The method's name."""
        return self.card.name

    @property
    def prediction(self) -> Prediction:
        """The network's first choice, whatever `target` is."""
        return self.predictions[0]

    @property
    def is_empty(self) -> bool:
        """True when the map is zero everywhere: the method found no evidence."""
        return not bool(self.heatmap.any())

    @property
    def concentration(self) -> float:
        """Share of the positive attribution that lies in the top tenth of the pixels (0 to 1)."""
        positive = self.heatmap.clamp(min=0).flatten()
        total = float(positive.sum())
        top = positive.topk(max(1, positive.numel() // 10)).values
        return float(top.sum()) / total if total > 0 else 0.0

    def report(self) -> "Report":
        """A report with this one explanation."""
        result = ImageResult(self.image, self.pixels, self.predictions, (self,))
        from cnnaudit.results.report import Report  # which holds explanations itself

        return Report("explain", self.run, self.model, images=(result,))


@dataclass(frozen=True, slots=True)
class Declined:
    """A method that could not run, and why: in words, and as a flag for a script to act on."""

    card: MethodCard
    target: Target
    reason: str
    flag: Flag = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class ImageResult:
    """All that was found for one picture."""

    image: ImageFacts
    pixels: Pixels
    predictions: tuple[Prediction, ...]
    explanations: tuple[Explanation, ...]
    declined: tuple[Declined, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """A picture that could not be read or explained, and why."""

    name: str
    reason: str
