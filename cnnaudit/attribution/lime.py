"""LIME: a linear model of the score over segments of the picture, fitted by the `lime` package."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import NotApplicableError, OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.perturbation import Copies, Precision, Segments
from cnnaudit.results import Attribution
from cnnaudit.shapes import Pixels

SegmentFill = Fill | Literal["segment_mean"]


def lime(
    query: Query,
    *,
    samples: int = 400,
    segments: int = 40,
    compactness: float = 10.0,
    fill: SegmentFill = "grey",
    kernel_width: float = 0.25,
    precision: Precision = "auto",
    batch: int | None = None,
) -> Attribution:
    r"""Coefficients of a weighted ridge regression of the score on which segments are shown.

    Segments are SLIC superpixels. Each sample shows every segment with probability one half, and
    counts by $\sqrt{\exp(-d^2 / \sigma^2)}$, $d$ its cosine distance to the whole picture.

    Args:
        query: the question.
        samples: altered pictures, the whole one included.
        segments: about how many segments.
        compactness: SLIC's weight of place against colour.
        fill: what takes a hidden segment's place; `segment_mean`, the `lime` package's choice,
            hides nothing where a segment is flat, such as snow.
        kernel_width: $\sigma$.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A signed map `h w` in units of score: each pixel has its segment's coefficient, the mean
        change of the score when the segment is shown. `r2` says how well the linear model fits.

    Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938, algorithm 1. The score is the logit (or the
    difference of two), where the package takes the probability.
    """
    if samples < 2 or segments < 2 or not (compactness > 0 and kernel_width > 0):
        raise OptionError("lime takes samples >= 2, segments >= 2, compactness > 0 and kernel_width > 0.")
    regions, gridded = superpixels(query.pixels, segments, compactness), False
    if not regions.any():
        regions, gridded = grid(query.pixels, segments), True
    count = int(regions.max()) + 1
    if count < 2:
        raise NotApplicableError("the picture has one segment only, so there is nothing to compare.")
    shown = torch.rand(samples, count, generator=query.generator("lime"), dtype=torch.float32, device="cpu") < 0.5
    shown[0] = True

    hidden = _segment_means(query.pixels, regions) if fill == "segment_mean" else filled(query.pixels, fill)
    copies = Copies(query.classifier, query.pixels, hidden, expected=samples, precision=precision, batch=batch)
    logits = copies.scores(Segments(regions, shown))
    coefficients, r2 = _fit(shown, query.of_logits(logits), kernel_width)
    return Attribution(
        to_heatmap(coefficients[regions]),
        facts={"segments": count, "samples": samples, "r2": r2, "precision": copies.precision_used},
        notes=(*_notes(r2, gridded, samples, count), *copies.notes),
        forward_passes=copies.done,
    )


def superpixels(pixels: Pixels, segments: int, compactness: float) -> Tensor:
    """SLIC segments of a picture `1 c h w`: integers `h w`, labelled 0 to K-1 without a gap."""
    from skimage.segmentation import slic

    picture = pixels[0].permute(1, 2, 0).double().cpu().numpy()
    picture = np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture
    labels = slic(picture, n_segments=segments, compactness=compactness, start_label=0, channel_axis=-1)
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64))


def grid(pixels: Pixels, segments: int) -> Tensor:
    """About `segments` rectangles of equal size over a picture `1 c h w`: integers `h w`, row by row."""
    height, width = (int(side) for side in pixels.shape[2:])
    rows = min(height, max(1, round((segments * height / width) ** 0.5)))
    columns = min(width, max(1, round(segments / rows)))
    return (torch.arange(height) * rows // height)[:, None] * columns + torch.arange(width) * columns // width


def _notes(r2: float, gridded: bool, samples: int, count: int) -> tuple[str, ...]:
    notes = ["SLIC finds one segment only in this picture, so a grid takes its place."] if gridded else []
    if samples < 3 * count:
        notes.append(f"{samples} samples are few for {count} segments: the coefficients and R² mean little.")
    return (
        (*notes, f"The linear model fits poorly (R² {r2:.2f}): read its ranking with care.")
        if r2 < 0.5
        else tuple(notes)
    )


def _segment_means(pixels: Pixels, regions: Tensor) -> Pixels:
    flat, index = pixels[0].flatten(1), regions.flatten().to(pixels.device)
    sums = torch.zeros(len(flat), int(regions.max()) + 1, dtype=flat.dtype, device=flat.device).index_add_(
        1, index, flat
    )
    means = sums / torch.bincount(index)
    return means[:, index].view_as(pixels)


def _fit(shown: Tensor, scores: Tensor, kernel_width: float) -> tuple[Tensor, float]:
    """The `lime` package's own estimator on our samples: coefficients a segment, and R²."""
    from lime.lime_base import LimeBase

    def kernel(distance: np.ndarray) -> np.ndarray:
        return np.sqrt(np.exp(-(distance**2) / kernel_width**2))

    data = shown.double().numpy()
    norms = np.sqrt(data.sum(1))
    cosine = np.divide(norms, np.sqrt(data.shape[1]), out=np.zeros_like(norms), where=norms > 0)
    base = LimeBase(kernel, random_state=np.random.RandomState(0))
    fit: Any = base.explain_instance_with_data(  # the package's annotation of what it returns is wrong
        data, scores.double().numpy()[:, None], 1 - cosine, 0, data.shape[1], feature_selection="none"
    )
    coefficients = torch.zeros(data.shape[1], dtype=torch.float64, device="cpu")
    for segment, coefficient in fit[1]:
        coefficients[int(segment)] = float(coefficient)
    return coefficients, float(fit[2])
