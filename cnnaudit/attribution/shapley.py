"""Shapley values by permutation: show the segments in random orders, and note what each adds."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cnnaudit.attribution.kernel_shap import shapley_attribution
from cnnaudit.attribution.query import Query
from cnnaudit.attribution.regression import Fit, t_quantile
from cnnaudit.attribution.segments import LabelImage, Regions, Segmentation, SegmentFill, hidden_by, segmented
from cnnaudit.errors import OptionError, OutOfTimeError
from cnnaudit.perturbation import Copies, Precision, Segments
from cnnaudit.results import Attribution


def shapley(
    query: Query,
    *,
    samples: int = 500,
    segments: int = 20,
    segmentation: Segmentation = "slic",
    compactness: float = 10.0,
    regions: LabelImage = None,
    fill: SegmentFill = "grey",
    precision: Precision = "auto",
    batch: int | None = None,
) -> Attribution:
    r"""Each segment's mean gain of score when it joins those shown before it, over random orders of all.

    Each order is followed by its reverse, in which a segment meets exactly those that came after it.

    Args:
        query: the question.
        samples: altered pictures at most; a pair of orders takes twice as many as there are segments, less two.
        segments: about how many segments; quickshift and felzenszwalb find as many as their own scale makes.
        segmentation: how they are found.
        compactness: SLIC's weight of place against colour.
        regions: the caller's own segments, whole numbers `h w` as the network sees the picture, or a .npy or
            .png file of them.
        fill: what takes a hidden segment's place.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A signed map `h w` in units of score: each pixel has its segment's value. The values of all segments
        add up to the score less that of the fill. `low` and `high` are the ends of 95 % intervals: Student's,
        for the means of the pairs of orders.

    Raises:
        OptionError: a number makes no sense, `regions` does not fit the picture, or the samples do not suffice
            for two pairs of orders.
        NotApplicableError: the picture has one segment only.
        OutOfTimeError: time was up before two pairs of orders were followed.
        NotFiniteError: a score is not finite.

    Castro, Gomez and Tejada 2009, Computers & Operations Research 36; antithetic pairs of Mitchell et al. 2022,
    arXiv:2104.12199, section 4.1. `kernel_shap` estimates the same values.
    """
    found = segmented(
        query.pixels, segmentation=segmentation, segments=segments, compactness=compactness, regions=regions,
        seed=query.seed,
    )  # fmt: skip
    pairs = (samples - 2) // (2 * (found.count - 1))
    if pairs < 2:
        raise OptionError(
            f"shapley takes two pairs of orders at least, {4 * (found.count - 1) + 2} samples for {found.count} "
            f"segments; got {samples}. Take more samples, or fewer segments."
        )
    copies = query.copies(hidden_by(query, found, fill), expected=samples, precision=precision, batch=batch)
    return shapley_attribution(_sampled(query, copies, found, pairs), found, copies, samples)


def _sampled(query: Query, copies: Copies, regions: Regions, pairs: int) -> Fit:
    count, generator = regions.count, query.generator("shapley")
    orders = torch.stack([torch.randperm(count, generator=generator, device="cpu") for _ in range(pairs)])
    ends = torch.tensor([[False], [True]], device="cpu").expand(2, count)
    nothing, whole = query.of_logits(copies.scores(Segments(regions.labels, ends))).double()
    blocks = (Segments(regions.labels, torch.cat([_prefixes(o), _prefixes(o.flip(0))])) for o in orders)
    gains = []
    for order, logits in zip(orders, copies.stream(blocks), strict=False):  # the stream may end early
        scores = query.of_logits(logits).double()
        if len(scores) == 2 * (count - 1):
            there, back = (
                torch.cat([nothing[None], part, whole[None]]).diff() for part in scores.view(2, count - 1)
            )  # fmt: skip
            gains.append(torch.zeros_like(there).scatter(0, order, (there + back.flip(0)) / 2))
    if len(gains) < 2:
        raise OutOfTimeError("Time was up before two pairs of orders were followed. Allow more of it.")
    return mean_of(torch.stack(gains))


def mean_of(gains: Float[Tensor, "pairs k"]) -> Fit:
    """The mean over the pairs of orders, with the covariance of its error."""
    return Fit(gains.mean(0), torch.cov(gains.T) / len(gains), t_quantile(len(gains) - 1), 1.0)


def _prefixes(order: Int[Tensor, " k"]) -> Bool[Tensor, "m k"]:
    """The first 1, 2, … K-1 segments of an order shown."""
    place = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device="cpu"))
    return place < torch.arange(1, len(order), device="cpu")[:, None]
