"""The parts of a picture that perturbation methods hide and show: segments, and what takes their place."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cnnaudit.attribution.label_files import read_labels
from cnnaudit.attribution.query import Query
from cnnaudit.errors import NotApplicableError, OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.shapes import Pixels

Segmentation = Literal["slic", "quickshift", "felzenszwalb", "grid"]
SegmentFill = Fill | Literal["segment_mean", "inpaint", "noise"]
LabelImage = np.ndarray | Tensor | None | str
"""Whole numbers `h w`, or a .npy or .png file of them; None where there are none."""

_FAR = 2  # times more or fewer segments than were asked for, of which a reader is told
_LIME_SIDE = 224  # of the photos for which the lime package's quickshift settings were chosen


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The segments of a picture.

    Attributes:
        labels: which segment each pixel belongs to, 0 to K-1 without a gap.
        count: K, at least 2.
        notes: what the reader should know of how they were found.
    """

    labels: Int[Tensor, "h w"]
    count: int
    notes: tuple[str, ...] = ()

    def spread(self, values: Tensor) -> Tensor:
        """A value for each segment as a map `h w`."""
        return values[self.labels]

    def shares(self) -> Tensor:
        """The share of the picture that each segment covers, `K`, float64."""
        return torch.bincount(self.labels.flatten(), minlength=self.count).double() / self.labels.numel()


def segmented(
    pixels: Pixels, *, segmentation: Segmentation, segments: int, compactness: float, regions: LabelImage, seed: int
) -> Regions:
    """The segments of a picture `1 c h w`: the caller's own where `regions` is given.

    SLIC and the grid find about as many as asked. Quickshift does not know that number, and for felzenszwalb
    it only says how small a segment may be: how many there are is decided by the picture and their own scale.
    Where that is more than twice as many, or less than half, a note says so.

    Raises:
        OptionError: a number makes no sense, or `regions` is not as large as the picture.
        NotApplicableError: there is only one segment.
    """
    if segments < 2 or not compactness > 0:
        raise OptionError(f"Take segments >= 2 and compactness > 0; got {segments} and {compactness}.")
    notes: tuple[str, ...] = ()
    if regions is not None:
        labels = _own(regions, pixels)
    elif segmentation == "grid":
        labels = grid(pixels, segments)
    else:
        labels = _found(pixels, segmentation, segments, compactness, seed)
        if not labels.any():
            labels = grid(pixels, segments)
            notes = (f"{segmentation} finds one segment only in this picture, so a grid takes its place.",)
    count = int(labels.max()) + 1
    if regions is None and not segments <= _FAR * count <= _FAR**2 * segments:
        notes = (*notes, f"{segmentation} finds {count} segments in this picture; about {segments} were asked for.")
    if count < 2:
        raise NotApplicableError("the picture has one segment only, so there is nothing to compare.")
    return Regions(labels, count, notes)


def grid(pixels: Pixels, segments: int) -> Int[Tensor, "h w"]:
    """About `segments` rectangles of equal size over a picture `1 c h w`, row by row."""
    height, width = (int(side) for side in pixels.shape[2:])
    rows = min(height, max(1, round((segments * height / width) ** 0.5)))
    columns = min(width, max(1, round(segments / rows)))
    across = torch.arange(width, device="cpu") * columns // width
    return (torch.arange(height, device="cpu") * rows // height)[:, None] * columns + across


def _found(pixels: Pixels, segmentation: Segmentation, segments: int, compactness: float, seed: int) -> Tensor:
    from skimage import segmentation as skimage

    picture = pixels[0].permute(1, 2, 0).double().cpu().numpy()
    picture = np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture
    if segmentation == "slic":
        labels = skimage.slic(picture, n_segments=segments, compactness=compactness, start_label=0, channel_axis=-1)
    elif segmentation == "quickshift":  # as in the lime package, scaled to smaller pictures
        size: Any = min(4.0, max(1.0, 4.0 * min(picture.shape[:2]) / _LIME_SIDE))  # annotated as a whole number
        labels = skimage.quickshift(picture, kernel_size=size, max_dist=200, ratio=0.2, rng=seed % 2**31)  # a C int
    else:
        smallest = max(1, picture.shape[0] * picture.shape[1] // (2 * segments))
        labels = skimage.felzenszwalb(picture, scale=5, sigma=0.5, min_size=smallest)
    return _numbered(labels)


def _own(regions: np.ndarray | Tensor | str, pixels: Pixels) -> Tensor:
    size = (int(pixels.shape[2]), int(pixels.shape[3]))
    regions = read_labels(regions, size) if isinstance(regions, str) else regions
    whole = (
        not (regions.is_floating_point() or regions.is_complex())
        if isinstance(regions, Tensor)
        else regions.dtype == bool or np.issubdtype(regions.dtype, np.integer)
    )
    if regions.shape != size or not whole:
        raise OptionError(
            f"regions takes whole numbers, one a pixel, {size[0]} x {size[1]} as the network sees the picture; "
            f"got {regions.dtype} of shape {tuple(regions.shape)}."
        )
    return _numbered(regions.detach().cpu().numpy() if isinstance(regions, Tensor) else regions)


def _numbered(labels: np.ndarray) -> Tensor:
    """The labels as 0 to K-1 without a gap."""
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64))


def hidden_by(query: Query, regions: Regions, fill: SegmentFill) -> Pixels:
    """The picture with every segment hidden, `1 c h w`: what a copy shows where a segment is not shown.

    `segment_mean` is each segment's mean colour; `inpaint` the smoothest surface that meets the picture
    around each segment (Laplace's equation); `noise` Gaussian, with the picture's mean and deviation.

    Raises:
        OptionError: there is no such fill.
    """
    if fill == "segment_mean":
        return _segment_means(query.pixels, regions.labels)
    if fill == "inpaint":
        return _inpainted(query.pixels, regions.labels)
    if fill == "noise":
        return _noise(query)
    return filled(query.pixels, fill)


def _segment_means(pixels: Pixels, labels: Tensor) -> Pixels:
    flat, index = pixels[0].flatten(1), labels.flatten().to(pixels.device)
    sums = torch.zeros(len(flat), int(labels.max()) + 1, dtype=flat.dtype, device=flat.device).index_add_(
        1, index, flat
    )
    means = sums / torch.bincount(index)
    return means[:, index].view_as(pixels)


def _noise(query: Query) -> Pixels:
    pixels = query.pixels
    drawn = torch.randn(pixels.shape, generator=query.generator("noise"), dtype=torch.float32, device="cpu")
    mean, deviation = pixels.mean((2, 3), keepdim=True), pixels.std((2, 3), correction=0, keepdim=True)
    return (mean + deviation * drawn.to(pixels)).clamp(0, 1)


def _inpainted(pixels: Pixels, labels: Tensor) -> Pixels:
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    values = pixels[0].flatten(1).T.double().cpu().numpy()
    index = torch.arange(labels.numel(), device="cpu").view_as(labels)
    down, across = ((index[:-1], index[1:]), (index[:, :-1], index[:, 1:]))
    edges = torch.cat([torch.stack([a.flatten(), b.flatten()], 1) for a, b in (down, across)])
    edges = torch.cat([edges, edges.flip(1)]).numpy()
    here, there = edges.T
    inside = (labels.flatten()[here] == labels.flatten()[there]).numpy()
    n = len(values)
    rows, columns = here[inside], there[inside]
    degree = np.bincount(here, minlength=n).astype(float)
    laplacian = sparse.coo_matrix((-np.ones(len(rows)), (rows, columns)), shape=(n, n)) + sparse.diags(degree)
    around = np.zeros_like(values)
    np.add.at(around, here[~inside], values[there[~inside]])
    solved = spsolve(laplacian.tocsc(), around).reshape(values.shape)
    return torch.from_numpy(solved.T.copy()).view_as(pixels).to(pixels).clamp(0, 1)
