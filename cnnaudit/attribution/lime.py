"""LIME: a linear model of the score over segments of the picture, with an interval on each coefficient."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cnnaudit.attribution.designs import check_samples, every_pair, hadamard_pairs
from cnnaudit.attribution.intervals import few_note, interval_facts, late_note, unsettled_map, unsettled_note
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.attribution.regression import Fit, check_width, fit_all, fit_pairs, ridge
from cnnaudit.attribution.segments import LabelImage, Regions, Segmentation, SegmentFill, hidden_by, segmented
from cnnaudit.errors import OptionError, OutOfTimeError
from cnnaudit.perturbation import Copies, Precision, Segments
from cnnaudit.results import Attribution

_TOP = 5  # segments whose order must be settled before sampling ends early
_LOOKS = 4  # how often that is asked, the end of the budget included: each look is a chance to stop by luck


def lime(
    query: Query,
    *,
    samples: int = 1000,
    segments: int = 40,
    segmentation: Segmentation = "slic",
    compactness: float = 10.0,
    regions: LabelImage = None,
    fill: SegmentFill = "grey",
    kernel_width: float = 0.25,
    classic: bool = False,
    precision: Precision = "auto",
    batch: int | None = None,
) -> Attribution:
    r"""Coefficients of a weighted linear regression of the score on which segments are shown.

    Each sample shows every segment with probability one half, and counts by $\sqrt{\exp(-d^2 / \sigma^2)}$,
    $d$ its cosine distance to the whole picture. Samples come in pairs of opposites, from randomised
    Hadamard designs; where the budget suffices for all masks, all of them are asked about once, and the
    coefficients are exact.

    Args:
        query: the question.
        samples: altered pictures at most. Fewer are drawn where the order of the five largest coefficients
            is settled by their intervals before.
        segments: about how many segments; quickshift and felzenszwalb find as many as their own scale makes.
        segmentation: how they are found; quickshift as the `lime` package does by default.
        compactness: SLIC's weight of place against colour.
        regions: the caller's own segments, whole numbers `h w` as the network sees the picture, or a .npy or
            .png file of them.
        fill: what takes a hidden segment's place; `segment_mean`, the `lime` package's choice,
            hides nothing where a segment is flat, such as snow.
        kernel_width: $\sigma$.
        classic: the `lime` package's own masks for the seed, and its ridge regression, without intervals.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A signed map `h w` in units of score: each pixel has its segment's coefficient, the mean
        change of the score when the segment is shown. `r2` says how well the linear model fits;
        `low` and `high` are the ends of each coefficient's 95 % interval, and the part `settled`
        is the map without the segments whose interval holds 0.

    Raises:
        OptionError: a number makes no sense, or `regions` does not fit the picture.
        NotApplicableError: the picture has one segment only.
        OutOfTimeError: time was up before the second sample.
        NotFiniteError: a score is not finite.

    `cnnaudit.attribution.to_lime_package` turns the explanation into the `lime` package's own.

    Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938, algorithm 1. The score is the logit (or the
    difference of two), where the package takes the probability; least squares take the place of its ridge.
    """
    if samples < 2 or not kernel_width > 0:
        raise OptionError(f"lime takes samples >= 2 and kernel_width > 0; got {samples} and {kernel_width}.")
    found = segmented(
        query.pixels, segmentation=segmentation, segments=segments, compactness=compactness, regions=regions,
        seed=query.seed,
    )  # fmt: skip
    check_samples(samples, found.count)
    check_width(kernel_width, found.count)
    copies = query.copies(hidden_by(query, found, fill), expected=samples, precision=precision, batch=batch)
    fit = (_classic if classic else sampled)(query, copies, found, samples, kernel_width)
    facts = {"segments": found.count, "samples": copies.done, "r2": fit.r2, "precision": copies.precision_used}
    return Attribution(
        to_heatmap(found.spread(fit.coefficients)),
        facts=facts | interval_facts(fit.coefficients, fit.reach),
        notes=(*found.notes, *_notes(fit, copies, (found.count, samples), classic), *copies.notes),
        unsettled=None if classic else unsettled_map(found, fit.unsettled()),
        regions=found.labels,
        forward_passes=copies.asked,
    )


def sampled(query: Query, copies: Copies, regions: Regions, samples: int, kernel_width: float) -> Fit:
    """LIME's linear model from at most so many samples, with its intervals."""
    if 2**regions.count <= samples:
        masks = every_pair(regions.count, query.generator("lime"))
        scores = query.of_logits(copies.first(Segments(regions.labels, masks)))
        return fit_all(masks, scores, kernel_width) if len(scores) == len(masks) else _fit(masks, scores, kernel_width)
    masks = hadamard_pairs(samples // 2, regions.count, query.generator("lime"))
    answers: list[Tensor] = []
    for logits in copies.stream(_stages(regions, masks)):
        answers.append(query.of_logits(logits))
        fit = _fit(masks, torch.cat(answers), kernel_width)
        if fit.order_is_settled(_TOP):
            return fit
    return _fit(masks, torch.cat(answers), kernel_width)


def _fit(masks: Bool[Tensor, "n k"], scores: Tensor, kernel_width: float) -> Fit:
    """The fit to the whole pairs among the first masks, those whose scores these are."""
    whole = len(scores) // 2 * 2  # time may be up in the middle of a pair
    if not whole:
        raise OutOfTimeError("Time was up before the second sample. Allow more of it.")
    return fit_pairs(masks[:whole], scores[:whole], kernel_width)


def _stages(regions: Regions, masks: Bool[Tensor, "n k"]) -> Iterator[Segments]:
    """The masks in a few stages, each of whole pairs."""
    pairs = masks.view(-1, 2, regions.count)
    for part in pairs.chunk(_LOOKS):
        yield Segments(regions.labels, part.flatten(0, 1))


def _classic(query: Query, copies: Copies, regions: Regions, samples: int, kernel_width: float) -> Fit:
    """What the package computes when its explainer is made with this seed."""
    drawn = np.random.RandomState(query.seed % 2**32).randint(0, 2, samples * regions.count)
    masks = torch.from_numpy(drawn.reshape(samples, regions.count) == 1)
    masks[0] = True
    scores = query.of_logits(copies.first(Segments(regions.labels, masks)))
    coefficients, r2 = ridge(masks[: len(scores)], scores, kernel_width)
    return Fit(coefficients, None, 0.0, r2)


def _notes(fit: Fit, copies: Copies, of: tuple[int, int], classic: bool) -> Iterator[str]:
    count, samples = of
    yield from late_note(copies, samples)
    yield from few_note(copies.done, count, "the coefficients and R²")
    if fit.r2 < 0.5:
        yield f"The linear model fits poorly (R² {fit.r2:.2f}): read its ranking with care."
    if not classic:
        yield from unsettled_note(fit.unsettled())
