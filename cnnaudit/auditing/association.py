"""How strongly a property goes with a class."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy import stats

from cnnaudit.training.metrics import share

SURE_Z = 2.33
"""A z score with one chance in a hundred."""
_FEWEST = 10  # pictures of a class, and of the others, before anything is said of it
_QUANTILES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(0.1 + 0.05 * k for k in range(17)), 0.925, 0.95, 0.97, 0.98, 0.99)
_VARIED = 5  # pictures of a class with a cue, and without, that can be compared
_SURE = 0.01  # chance of even one false link among all that are tried (Bonferroni)
_WORTH = 0.01  # of the uncertainty about the class: among many thousand pictures less than that is significant too


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A property that goes with a class.

    Attributes:
        values: of each picture, NaN where there is none.
        sign: 1 where high values go with the class, -1 where low ones do.
        threshold: where the class's side begins.
        present: which pictures lie on that side; not those without a value.
        area: under the ROC curve of the property against the class, towards the class's side.
        answered: the same against the network's answers.
        bits: what the threshold tells of the class (or of its being answered, if that is more), over all pictures.
        purity: how many times as frequent the class is on its side as among all pictures: at least so many times, by
            the lower end of Wilson's interval.
        p: of so many bits if there were no link.
    """

    name: str
    label: int
    values: Float[np.ndarray, " n"]
    sign: int
    threshold: float
    present: Bool[np.ndarray, " n"]
    area: float
    answered: float
    bits: float
    purity: float
    p: float


def within_classes(
    present: Bool[np.ndarray, " n"], own: Bool[np.ndarray, " n"], towards: Float[np.ndarray, " n"]
) -> float | None:
    """Whether the network leans towards a class where a cue is present, among pictures of one class: a z score.

    A network that leans on a cue is swayed by it in pictures of the class, and in the others. The two rank sums (Mann
    and Whitney, Annals of Mathematical Statistics 18, 1947) are put together as Stouffer does, so that what comes
    from the classes alone drops out. None where the cue is in next to all or next to no pictures of either part.

    Args:
        own: pictures of the class.
        towards: how much the network leans towards the class; NaN where that is not known.
    """
    parts = [_rank_sum(present[part], towards[part]) for part in (own, ~own)]
    scores = [score for score in parts if score is not None]
    return sum(scores) / len(scores) ** 0.5 if scores else None


def _rank_sum(present: np.ndarray, towards: np.ndarray) -> float | None:
    known = np.isfinite(towards)
    present, towards = present[known], towards[known]
    here, other = int(present.sum()), int((~present).sum())
    if min(here, other) < _VARIED:
        return None
    _, ties = np.unique(towards, return_counts=True)
    n = here + other
    spread = here * other / 12 * (n + 1 - float((ties**3 - ties).sum()) / (n * (n - 1)))
    over = float(stats.rankdata(towards)[present].sum()) - here * (n + 1) / 2
    return over / spread**0.5 if spread > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A property's values where it has any, their ranks, and which of them lie above each threshold."""

    name: str
    whole: Float[np.ndarray, " n"]
    finite: Bool[np.ndarray, " n"]
    values: Float[np.ndarray, " m"]
    ranks: Float[np.ndarray, " m"]
    cuts: Float[np.ndarray, " t"]
    above: Bool[np.ndarray, "t m"]

    @classmethod
    def of(cls, name: str, column: Float[np.ndarray, " n"]) -> "_Column":
        finite = np.isfinite(column)
        values = column[finite].astype(np.float64)
        cuts = _cuts(values)
        return cls(name, column, finite, values, stats.rankdata(values), cuts, values > cuts[:, None])

    def side(self, cut: int, sign: int) -> Bool[np.ndarray, " n"]:
        """The pictures on one side of a threshold."""
        present = np.zeros(len(self.finite), bool)
        present[self.finite] = self.above[cut] if sign > 0 else ~self.above[cut]
        return present

    def area(self, own: Bool[np.ndarray, " m"], sign: int) -> float:
        """Under the ROC curve: how often a picture of the class has the higher value, ties counting half."""
        here, other = int(own.sum()), int((~own).sum())
        if not here or not other:
            return 0.5
        higher = float((self.ranks[own].sum() - here * (here + 1) / 2) / (here * other))
        return higher if sign > 0 else 1 - higher


def links(
    values: Mapping[str, Float[np.ndarray, " n"]],
    truth: Int64[np.ndarray, " n"],
    predicted: Int64[np.ndarray, " n"],
    *,
    questions: int = 1,
) -> list[Link]:
    """The properties that go with a class or with its being answered, those that tell most of it first.

    A threshold is put where it tells most (the G statistic: Woolf, Annals of Human Genetics 21, 1957). So a cue is
    found that a twentieth of a class's pictures have and no others, which the area under the ROC curve hides and
    Youden's index drowns in the spread of the rest. A link counts if chance would seldom give even one among all
    properties, classes and thresholds that were tried, and if it tells at least 1 % of what there is to know.

    Args:
        questions: how often as much is tried in all.
    """
    columns = [_Column.of(name, column) for name, column in values.items()]
    classes = np.unique(truth)
    tried = questions * max(1, 2 * len(classes) * sum(len(column.cuts) for column in columns))
    found = [_link(column, int(k), truth, predicted) for column in columns if len(column.cuts) for k in classes]
    kept = [link for link in found if link is not None and link.p * tried < _SURE]
    return sorted(kept, key=lambda link: (-link.bits, link.name, link.label))


def _cuts(values: np.ndarray) -> np.ndarray:
    """Thresholds between neighbouring values, near some quantiles; none where all are the same."""
    known = np.unique(values)
    if len(known) < 2:
        return np.empty(0)
    near = np.quantile(values, _QUANTILES, method="lower")
    above = np.searchsorted(known, near, side="right").clip(1, len(known) - 1)
    return np.unique((known[above] + known[above - 1]) / 2)


def _link(column: _Column, label: int, truth: np.ndarray, predicted: np.ndarray) -> Link | None:
    own, said = truth[column.finite] == label, predicted[column.finite] == label
    if min(own.sum(), (~own).sum()) < _FEWEST:
        return None
    told = np.stack([_information(column.above, own), _information(column.above, said)])
    by_answer, cut = np.unravel_index(int(told.argmax()), told.shape)
    leading, bits = (said if by_answer else own), float(told.max())
    if bits <= _WORTH * len(leading) * stats.entropy([leading.mean(), 1 - leading.mean()], base=2):
        return None
    above = column.above[cut]
    sign = 1 if leading[above].mean() > leading[~above].mean() else -1
    side = above if sign > 0 else ~above
    return Link(
        name=column.name,
        label=label,
        values=column.whole,
        sign=sign,
        threshold=float(column.cuts[cut]),
        present=column.side(int(cut), sign),
        area=column.area(own, sign),
        answered=column.area(said, sign),
        bits=bits,
        purity=share(int(leading[side].sum()), int(side.sum())).low / float(leading.mean()),
        p=float(stats.chi2.sf(2 * np.log(2) * bits, 1)),
    )


def _information(above: Bool[np.ndarray, "t m"], own: Bool[np.ndarray, " m"]) -> Float[np.ndarray, " t"]:
    """What each split of the pictures tells of the class, in bits, over all pictures."""
    n, here, up = len(own), int(own.sum()), above.sum(1)
    both = (above & own).sum(1)
    cells = np.stack([both, up - both, here - both, n - up - here + both]).astype(float)
    expected = np.stack([up * here, up * (n - here), (n - up) * here, (n - up) * (n - here)]) / n
    ratio = np.divide(cells, expected, out=np.ones_like(cells), where=cells > 0)
    return (cells * np.log2(ratio)).sum(0)
