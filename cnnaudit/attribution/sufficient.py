"""The sufficient set: the fewest segments that alone keep a prediction, and the fewest whose loss ends it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cnnaudit.attribution.designs import check_samples
from cnnaudit.attribution.lime import sampled
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.attribution.segments import LabelImage, Regions, Segmentation, SegmentFill, hidden_by, segmented
from cnnaudit.errors import NotApplicableError, OptionError, OutOfTimeError
from cnnaudit.perturbation import Copies, Precision, Segments
from cnnaudit.results import Attribution, Fact

_KERNEL_WIDTH = 0.25  # LIME's own
_RANKING = 0.5  # share of the time that the ranking may take


def sufficient(
    query: Query,
    *,
    samples: int = 300,
    keep: float = 0.9,
    segments: int = 30,
    segmentation: Segmentation = "slic",
    compactness: float = 10.0,
    regions: LabelImage = None,
    fill: SegmentFill = "grey",
    precision: Precision = "float32",
    batch: int | None = None,
) -> Attribution:
    r"""The fewest segments that alone are still called the target, and the fewest whose loss ends that.

    Segments are ranked by LIME. Of the sets of the first 1, 2, … and of all single segments the smallest
    that does is taken; then segments are given back one at a time, that first whose loss costs the score
    least, until none can be spared. Each set is verified by a forward pass of its own. No set is
    smaller where one segment does; larger sets may have smaller ones that this search does not meet.

    Args:
        query: the question; its target must be the network's own choice.
        samples: altered pictures for the ranking at most; the search comes on top.
        keep: the share of the target's probability that the sufficient set must keep, beside being called
            the target; 0 where being called so is enough.
        segments: about how many segments; quickshift and felzenszwalb find as many as their own scale makes.
        segmentation: how they are found.
        compactness: SLIC's weight of place against colour.
        regions: the caller's own segments, whole numbers `h w` as the network sees the picture, or a .npy or
            .png file of them.
        fill: what takes a hidden segment's place.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A map `h w`: the target's probability when the sufficient set alone is shown, on that set, 0 off it;
        0 everywhere where the fill alone is called the target. The part `necessary` has on the set whose
        loss ends the prediction the probability that is lost with it.

    Raises:
        OptionError: a number makes no sense, or `regions` does not fit the picture.
        NotApplicableError: the network does not call the picture the target, or there is one segment only.
        OutOfTimeError: time was up before the sufficient set was verified; where it was up after that, the
            other one is not looked for, and a note says so.
        NotFiniteError: a score is not finite.

    After Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938, section 6.4, and the minimal sufficient subsets of
    Carter et al. 2019, arXiv:1810.03805.
    """
    if samples < 2 or not 0 <= keep <= 1:
        raise OptionError(f"sufficient takes samples >= 2 and 0 <= keep <= 1; got {samples} and {keep}.")
    found = segmented(
        query.pixels, segmentation=segmentation, segments=segments, compactness=compactness, regions=regions,
        seed=query.seed,
    )  # fmt: skip
    check_samples(samples, found.count)
    hidden = hidden_by(query, found, fill)
    copies = query.copies(hidden, expected=samples, precision=precision, batch=batch)
    asked = _Asked(query, copies, found)
    whole = asked.about(torch.ones(1, found.count, dtype=torch.bool, device="cpu"))
    if not whole.called[0]:
        raise NotApplicableError(
            f"the network does not call this picture {query.target.label!r}, so there is no such prediction to keep. "
            "Explain the network's own choice, or use lime."
        )
    probability = float(whole.probability[0])
    with query.budget.share(_RANKING):
        order = sampled(query, copies, found, samples, _KERNEL_WIDTH).coefficients.argsort(descending=True, stable=True)
    ranked = copies.done - 1
    alone, lost, searched = _Search(asked, order, keep * probability, removes=False).found(), None, True
    try:
        lost = _Search(asked, order, 0.0, removes=True).found()
    except OutOfTimeError:  # the set that alone keeps it is verified all the same
        searched = False
    return _attribution(asked, (alone, lost), probability, (ranked, searched))


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What the network says of some copies.

    Attributes:
        called: is the copy called the target (for a contrast: rather than the other class)?
        score: the target's, or the contrast's.
        probability: the target's.
        other: the class that it is told from: the other of a contrast, or else the network's first choice.
        against: the probability of that class.
    """

    called: Bool[Tensor, " n"]
    score: Float[Tensor, " n"]
    probability: Float[Tensor, " n"]
    other: Int[Tensor, " n"]
    against: Float[Tensor, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Copies that show sets of segments."""

    query: Query
    copies: Copies
    regions: Regions

    def about(self, shown: Bool[Tensor, "n k"]) -> _Answers:
        logits, target = self.copies.scores(Segments(self.regions.labels, shown)), self.query.target
        score, probabilities, first = self.query.of_logits(logits), logits.double().softmax(1), logits.argmax(1)
        versus = target.versus_index
        called = first == target.index if versus is None else score > 0
        other = first if versus is None else torch.full_like(first, versus)
        against = probabilities.gather(1, other[:, None])[:, 0]
        return _Answers(called, score, probabilities[:, target.index], other, against)


@dataclass(frozen=True, slots=True, eq=False)
class _Set:
    """A set of segments that does what is asked, and the answer that shows it; `chosen` may be empty."""

    chosen: Bool[Tensor, " k"]
    probability: float
    other: int
    against: float

    @property
    def size(self) -> int:
        return int(self.chosen.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """For the smallest set that alone has the `floor` of probability, or whose removal ends the prediction."""

    asked: _Asked
    order: Int[Tensor, " k"]
    floor: float
    removes: bool

    def found(self) -> _Set | None:
        """The smallest set found as long as there is time; None where not even all segments do it.

        Raises:
            OutOfTimeError: there is none yet.
        """
        first = self._best(self._candidates(), fewest=True)
        while first is not None and first.size > 1:
            try:
                fewer = self._best(_without_one(first.chosen), fewest=False)
            except OutOfTimeError:  # the set at hand is verified, only it may not be the smallest
                break
            if fewer is None:
                break
            first = fewer
        return first

    def _candidates(self) -> Bool[Tensor, "n k"]:
        """No segment, each alone, and the first 1, 2, … by rank."""
        count = len(self.order)
        ranks = torch.arange(count, device="cpu")
        place = torch.empty_like(self.order).scatter(0, self.order, ranks)
        return torch.cat([place[None] < 0, ranks[:, None] == ranks, place <= ranks[:, None]])

    def _best(self, sets: Bool[Tensor, "n k"], *, fewest: bool) -> _Set | None:
        """The strongest of the sets that do what is asked, or of the smallest of them."""
        answers = self.asked.about(~sets if self.removes else sets)
        doing = ~answers.called if self.removes else answers.called & (answers.probability >= self.floor)
        if not bool(doing.any()):
            return None
        if fewest:
            sizes = sets.sum(1)
            doing &= sizes == sizes[doing].min()
        strength = -answers.score if self.removes else answers.score
        best = int(torch.where(doing, strength, -torch.inf).argmax())
        against = float(answers.against[best])
        return _Set(sets[best], float(answers.probability[best]), int(answers.other[best]), against)


def _without_one(chosen: Bool[Tensor, " k"]) -> Bool[Tensor, "n k"]:
    """The set without each of its members in turn."""
    members = chosen.nonzero()[:, 0]
    fewer = chosen.repeat(len(members), 1)
    fewer[torch.arange(len(members), device="cpu"), members] = False
    return fewer


def _attribution(
    asked: _Asked, found: tuple[_Set | None, _Set | None], whole: float, reached: tuple[int, bool]
) -> Attribution:
    """The answer; `reached` says how many samples ranked the segments, and whether the second set was looked for."""
    regions, copies, (alone, lost), (ranked, searched) = asked.regions, asked.copies, found, reached
    sentences = (_alone(asked, alone), _lost(asked, lost) if searched else _unsearched(asked))
    facts: dict[str, Fact] = {"segments": regions.count, "probability": whole, "precision": copies.precision_used}
    facts |= _facts("sufficient", "alone", alone, regions) | _facts("necessary", "without", lost, regions)
    return Attribution(
        to_heatmap(_drawn(regions, alone, alone.probability if alone else 0.0)),
        facts=facts,
        notes=(*regions.notes, *sentences, *_late(copies, ranked), *copies.notes),
        parts={"necessary": to_heatmap(_drawn(regions, lost, max(0.0, whole - lost.probability)))} if lost else {},
        forward_passes=copies.asked,
    )


def _late(copies: Copies, ranked: int) -> Iterator[str]:
    if copies.late:
        yield f"Time was up: the ranking is from {ranked} samples, and there may be smaller sets."


def _drawn(regions: Regions, found: _Set | None, value: float) -> Tensor:
    return torch.zeros(regions.labels.shape, device="cpu") if found is None else regions.spread(found.chosen * value)


def _facts(name: str, how: str, found: _Set | None, regions: Regions) -> dict[str, Fact]:
    if found is None:
        return {}
    area = float(regions.shares() @ found.chosen.double())
    return {f"{name}_segments": found.size, f"{name}_area": area, f"probability_{how}": found.probability}


def _alone(asked: _Asked, found: _Set | None) -> str:
    """The sentence about the sufficient set."""
    called = _called(asked)
    if found is None:  # the whole picture may be rounded otherwise among others
        return f"No set of segments was found that is {called} as surely as the whole picture."
    if found.size == 0:
        return f"The fill alone is {called}, {found.probability:.0%}: no part of the picture is needed for it."
    return f"{_part(asked, found)} alone {'is' if found.size == 1 else 'are'} {called}, {found.probability:.0%}."


def _lost(asked: _Asked, found: _Set | None) -> str:
    """The sentence about the necessary set."""
    if found is None:
        return f"No set of segments was found without which the picture is no longer {_called(asked)}."
    target, other = asked.query.target, asked.query.classifier.labels[found.other]
    without = f"Without {_part(asked, found)} it is"
    if target.versus_index is None:
        return f"{without} called {other}; {target.label} has {found.probability:.0%} left."
    if found.against > found.probability:
        shares = f"{found.against:.0%} against {found.probability:.0%}"
        return f"{without} called {other} rather than {target.label}: {shares}."
    return f"{without} called {other} as much as {target.label}: each has {found.probability:.0%}."


def _unsearched(asked: _Asked) -> str:
    return f"There was no time left to look for segments without which the picture is no longer {_called(asked)}."


def _called(asked: _Asked) -> str:
    target = asked.query.target
    return f"called {target.label}" + (f" rather than {target.versus_label}" if target.versus_label else "")


def _part(asked: _Asked, found: _Set) -> str:
    """Its size in words: `3 of 30 segments (8% of the picture)`."""
    share = float(asked.regions.shares() @ found.chosen.double())
    return f"{found.size} of {asked.regions.count} segments ({share:.0%} of the picture)"
