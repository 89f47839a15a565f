"""The reliability diagram: how often answers of each confidence are right, and the sentence that sums it up."""

from dataclasses import dataclass

from cnnaudit import numbers
from cnnaudit.report import charts
from cnnaudit.report.charts import Axis, Tick
from cnnaudit.report.training import summaries
from cnnaudit.report.training.classes import Whisker, interval, whisker
from cnnaudit.results import ReliabilityBin, TestFacts


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin with answers in it: its dot, its bar in the strip below, and both in words.

    Attributes:
        at: the mean confidence, across.
        left, width: of the bin, across.
        tall: of the bar; the fullest bin has 100.
    """

    at: float
    left: float
    width: float
    tall: float
    right: Whisker
    bounds: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Reliability:
    """The diagram of a test.

    Attributes:
        diagonal: where perfect calibration leaves the plot on the left, up.
        fullest: the count of the fullest bin.
        verdict: whether the network is over- or under-confident, in a sentence.
    """

    bins: tuple[Bin, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    diagonal: float
    fullest: str
    verdict: str


def reliability(test: TestFacts) -> Reliability | None:
    """The diagram of a test; None where no bin has an answer."""
    filled = [each for each in test.reliability if each.right.n]
    if not filled:
        return None
    across = charts.linear(0.5 if min(each.confidence for each in filled) >= 0.5 else 0.0, 1.0, most=5)
    up = charts.linear(0.0, 1.0, most=5)
    fullest = max(each.right.n for each in filled)
    return Reliability(
        bins=tuple(_bin(each, across, up, fullest) for each in filled),
        across=across.ticks(charts.per_cent),
        up=up.ticks(charts.per_cent),
        diagonal=up.place(across.low),
        fullest=numbers.count(fullest),
        verdict=_verdict(test),
    )


def _bin(each: ReliabilityBin, across: Axis, up: Axis, fullest: int) -> Bin:
    left, right = across.place(max(each.low, across.low)), across.place(each.high)
    return Bin(
        at=across.place(each.confidence),
        left=left,
        width=round(right - left, 2),
        tall=round(100 * each.right.n / fullest, 2),
        right=whisker(each.right, up),
        bounds=f"{numbers.number(100 * each.low)} to {charts.per_cent(float(f'{each.high:.3g}'))}",
        confidence=numbers.share(each.confidence),
    )


def _verdict(test: TestFacts) -> str:
    mean, accuracy = summaries.confidence(test), test.accuracy
    facts = (
        f"The network gives its answers {numbers.share(mean)} probability on average, and "
        f"{numbers.share(accuracy.value)} of them are right"
    )
    if accuracy.low <= mean <= accuracy.high:
        return f"{facts}. That is inside the 95 % interval of {interval(accuracy)}: neither over- nor under-confident."
    return f"{facts}: it is {'over' if mean > accuracy.value else 'under'}-confident."
