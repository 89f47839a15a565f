"""KernelSHAP: the Shapley value of each segment, as the solution of a weighted regression."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cnnaudit.attribution.designs import check_samples, every_mask, size_pairs
from cnnaudit.attribution.intervals import few_note, interval_facts, late_note, unsettled_map, unsettled_note
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.attribution.regression import Fit, shortest, t_quantile
from cnnaudit.attribution.segments import LabelImage, Regions, Segmentation, SegmentFill, hidden_by, segmented
from cnnaudit.errors import OptionError, OutOfTimeError
from cnnaudit.perturbation import Copies, Precision, Segments
from cnnaudit.results import Attribution

_ENUMERATED = 12  # segments up to which all masks are asked about
_STAGES = 4
_POWERS = (1, 3, 5)  # of the number of segments shown that are regressed out
_LEAST_FREEDOM = 4  # degrees below which an interval says nothing


def kernel_shap(
    query: Query,
    *,
    samples: int = 500,
    segments: int = 40,
    segmentation: Segmentation = "slic",
    compactness: float = 10.0,
    regions: LabelImage = None,
    fill: SegmentFill = "grey",
    precision: Precision = "auto",
    batch: int | None = None,
) -> Attribution:
    r"""Each segment's Shapley value: its mean effect on the score over all orders in which segments are shown.

    The values solve $\min_\phi \sum_z \frac{K - 1}{\binom{K}{|z|} |z| (K - |z|)} (v(0) + z \cdot \phi - v(z))^2$
    under $\sum_i \phi_i = v(1) - v(0)$. Masks are drawn by these weights, in pairs of opposites. Up to 12
    segments all masks are asked about, and the values are exact, whatever `samples` says.

    Args:
        query: the question.
        samples: altered pictures; those that show all and nothing come on top.
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
        add up to the score less that of the fill, also where they are estimates. `low` and `high` are the
        ends of 95 % intervals, from the jackknife over pairs.

    Raises:
        OptionError: a number makes no sense, or `regions` does not fit the picture.
        NotApplicableError: the picture has one segment only.
        OutOfTimeError: time was up before the second sample, or before the last mask where all are asked about.
        NotFiniteError: a score is not finite.

    Lundberg and Lee 2017, arXiv:1705.07874, theorem 2; paired sampling of Covert and Lee 2021,
    arXiv:2012.01536, section 4.
    """
    if samples < 2:
        raise OptionError(f"kernel_shap takes samples >= 2; got {samples}.")
    found = segmented(
        query.pixels, segmentation=segmentation, segments=segments, compactness=compactness, regions=regions,
        seed=query.seed,
    )  # fmt: skip
    check_samples(samples, found.count)
    hidden = hidden_by(query, found, fill)
    few = found.count <= _ENUMERATED
    expected = 2**found.count if few else samples
    copies = query.copies(hidden, expected=expected, precision=precision, batch=batch)
    if few:
        masks = every_mask(found.count)
        fit = exact(query.of_logits(copies.scores(Segments(found.labels, masks))))
    else:
        fit = _sampled(query, copies, found, samples)
    return shapley_attribution(fit, found, copies, samples)


def shapley_attribution(fit: Fit, found: Regions, copies: Copies, samples: int) -> Attribution:
    """Shapley values as a map, with their intervals; `samples` at most were wanted."""
    unsettled = fit.unsettled()
    return Attribution(
        to_heatmap(found.spread(fit.coefficients)),
        facts={
            "segments": found.count,
            "samples": copies.done,
            "score_above_fill": float(fit.coefficients.sum()),
            "precision": copies.precision_used,
            **interval_facts(fit.coefficients, fit.reach),
        },
        notes=(*found.notes, *_notes(fit, found, copies, samples), *copies.notes),
        unsettled=unsettled_map(found, unsettled),
        regions=found.labels,
        forward_passes=copies.asked,
    )


def _notes(fit: Fit, found: Regions, copies: Copies, samples: int) -> Iterator[str]:
    yield from late_note(copies, samples)
    yield from few_note(copies.done, found.count, "the values")
    yield from unsettled_note(fit.unsettled())


def exact(scores: Float[Tensor, " n"]) -> Fit:
    r"""Shapley values from the scores of all masks, in the order of `every_mask`.

    $\phi_i = \sum_{S \not\ni i} \frac{|S|! (K - |S| - 1)!}{K!} (v(S \cup i) - v(S))$.
    """
    count = len(scores).bit_length() - 1
    masks, scores = every_mask(count), scores.double()
    share = torch.tensor([1 / (count * math.comb(count - 1, size)) for size in range(count)], dtype=torch.float64)
    values = []
    for i in range(count):
        without = ~masks[:, i]
        weights = share[masks[without].sum(1)]
        values.append(weights @ (scores[masks[:, i]] - scores[without]))  # both in the order of the other bits
    zero = torch.zeros(count, count, dtype=torch.float64, device="cpu")
    return Fit(torch.stack(values), zero, 0.0, 1.0)


def _sampled(query: Query, copies: Copies, regions: Regions, samples: int) -> Fit:
    masks = size_pairs(samples // 2, regions.count, query.generator("kernel_shap"))
    ends = query.of_logits(copies.scores(Segments(regions.labels, _ends(regions.count)))).double()
    answers = [query.of_logits(logits) for logits in copies.stream(_stages(regions, masks))]
    scores = torch.cat(answers).double()
    whole = len(scores) // 2 * 2  # time may be up in the middle of a pair
    if whole == 0:
        raise OutOfTimeError("Time was up before the second sample. Allow more of it.")
    return fit_pairs(masks[:whole], scores[:whole], ends)


def _ends(count: int) -> Bool[Tensor, "2 k"]:
    """Nothing shown, then all."""
    return torch.tensor([[False], [True]], device="cpu").expand(2, count)


def _stages(regions: Regions, masks: Bool[Tensor, "n k"]) -> Iterator[Segments]:
    for part in masks.view(-1, 2, regions.count).chunk(_STAGES):
        yield Segments(regions.labels, part.flatten(0, 1))


def fit_pairs(masks: Bool[Tensor, "n k"], scores: Float[Tensor, " n"], ends: Float[Tensor, "2"]) -> Fit:
    r"""Shapley values from pairs of opposites drawn by Shapley's kernel, and their jackknife's covariance.

    With the sum of all values fixed, each pair is one row of an ordinary regression of
    $(v(z) - v(\bar z)) / 2$ on $z - 1/2$, less the mean over the segments. What is even in the segments
    is gone. Odd powers of how many are shown stand beside them: by symmetry they leave what is estimated
    as it is, and take the score's curvature out of the noise.
    """
    z = masks[::2].double() - 0.5
    count, total = z.shape[1], float(ends[1] - ends[0])
    target = (scores[::2] - scores[1::2]) / 2 - z.mean(1) * total
    free = _sum_free(count)  # values = total / K + free @ coordinates
    x = torch.cat([z @ free, z.mean(1)[:, None] ** torch.tensor(_POWERS, device="cpu")], 1)
    x = x if len(x) >= x.shape[1] + _LEAST_FREEDOM else x[:, : count - 1]
    freedom = len(x) - x.shape[1]
    covariance = None
    if freedom < 0:
        return Fit(total / count + free @ shortest(x, target)[: count - 1], None, t_quantile(freedom), 1.0)
    inverse = torch.linalg.pinv(x.T @ x, hermitian=True)
    solution = inverse @ (x.T @ target)
    if freedom >= _LEAST_FREEDOM:
        off = (target - x @ solution) / (1 - ((x @ inverse) * x).sum(1).clamp(max=1 - 1e-6))
        change = off[:, None] * (x @ inverse)[:, : count - 1] @ free.T
        covariance = (len(x) - 1) / len(x) * change.T @ change
    return Fit(total / count + free @ solution[: count - 1], covariance, t_quantile(freedom), 1.0)


def _sum_free(count: int) -> Float[Tensor, "k k-1"]:
    """An orthonormal basis of the vectors whose sum is 0 (Helmert's)."""
    rows = torch.arange(1, count, dtype=torch.float64, device="cpu")
    places = torch.arange(count, dtype=torch.float64, device="cpu")[:, None]
    basis = torch.where(places < rows, 1.0, torch.where(places == rows, -rows, 0.0))
    return basis / (rows * (rows + 1)).sqrt()
