"""The parts that pictures fall into, each with numbers that say what it looks like to us and to the network."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_layer, find_module
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.shapes import Pixels

BATCH = 32
_SCALE = 300.0
_SMALLEST = 0.004  # of the picture
_MOST = 250
_LARGEST = 1e15
"""Values of maps that are larger, or no numbers, count as 0: their squares, summed, would overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """The segments of one picture.

    Attributes:
        labels: which segment each pixel belongs to, 0 to K-1 without a gap.
        area: the share of the picture that each covers.
        border: the share of the picture's outermost pixels that each holds.
        colour: mean and deviation of each channel, `K 2c`.
        features: mean of the network's maps over it, `K d`; of width 0 where it has none.
        attribution: its share of the absolute attribution of the answer (HiResCAM); NaN where there are no maps, or
            the sum overflows.
    """

    labels: UInt8[np.ndarray, "h w"]
    area: Float32[np.ndarray, " k"]
    border: Float32[np.ndarray, " k"]
    colour: Float32[np.ndarray, "k e"]
    features: Float32[np.ndarray, "k d"]
    attribution: Float32[np.ndarray, " k"]


def segment(picture: Float32[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w"]:
    """The parts of a picture with pixels in [0, 1], by their edges, 0 to K-1 without a gap.

    Felzenszwalb and Huttenlocher, IJCV 59, 2004: a part grows while its inner differences are larger than those at
    its edge, so that an evenly textured ground is one part, and a small tag is one too.
    """
    from skimage.segmentation import felzenszwalb

    smallest = max(4, round(picture.shape[0] * picture.shape[1] * _SMALLEST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pictures that have other than three channels
        found = felzenszwalb(picture, scale=_SCALE, sigma=0.6, min_size=smallest)
    found = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    return np.minimum(found, _MOST).astype(np.uint8)


def segmented(
    classifier: Classifier, pictures: Pictures, places: Sequence[int], *, watched: bool = True
) -> Iterator[tuple[int, Segmented]]:
    """The segments of the pictures at some places, one picture after the other.

    Args:
        watched: whether the network is asked as well, for `features` and `attribution`.

    Raises:
        ModelError: the network fails on the pictures.
    """
    layer = map_layer(classifier) if watched else None
    for start in range(0, len(places), BATCH):
        some = list(places[start : start + BATCH])
        pixels = pictures.read(some)
        maps, shares = looked_at(classifier, pixels, layer) if layer else (None, None)
        for k, place in enumerate(some):
            yield place, _one(pixels[k], None if maps is None else maps[k], None if shares is None else shares[k])


def map_layer(classifier: Classifier) -> str | None:
    """The layer whose maps say what a network looks at; None where it has none."""
    try:
        return find_layer(classifier, torch.full((1, classifier.channels, *classifier.input_size), 0.5))
    except NotApplicableError:
        return None


def looked_at(classifier: Classifier, pixels: Pixels, layer: str, *, label: int | None = None) -> tuple[Tensor, Tensor]:
    """A layer's maps, `n d u v`, and their shares in a logit, `n u v`, on the CPU.

    Args:
        label: the logit's class; None: of each picture, its answer.

    Raises:
        ModelError: the network fails on the pictures.
    """
    if classifier.one_at_a_time and len(pixels) > 1:
        each = [looked_at(classifier, picture, layer, label=label) for picture in pixels.split(1)]
        return torch.cat([maps for maps, _ in each]), torch.cat([shares for _, shares in each])
    seen: list[Tensor] = []

    def keep(_name: str, output: Tensor) -> Tensor:
        seen.append(output.clone())
        return seen[-1]

    module = find_module(classifier, layer)
    told = batch_errors(classifier, pixels)
    with hooks.borrowed(classifier.network), hooks.watched({layer: module}, keep), told:
        logits = classifier.logits(pixels.to(classifier.device).detach().requires_grad_())
        wanted = logits.max(1).values if label is None else logits[:, label]
        gradients = torch.autograd.grad(wanted.sum(), seen[-1])[0]
    maps = seen[-1].detach().float()
    return maps.cpu(), (maps * gradients.float()).sum(1).cpu()


def _one(pixels: Float32[Tensor, "c h w"], maps: Tensor | None, shares: Tensor | None) -> Segmented:
    picture = pixels.permute(1, 2, 0).numpy()
    labels = segment(picture)
    count = int(labels.max()) + 1
    index = torch.from_numpy(labels.astype(np.int64))
    area = torch.bincount(index.flatten(), minlength=count).float()
    rim = torch.cat([index[0], index[-1], index[1:-1, 0], index[1:-1, -1]])
    means = _pooled(pixels, index, count)
    deviations = (_pooled(pixels**2, index, count) - means**2).clamp(min=0).sqrt()
    none = np.zeros((count, 0), np.float32), np.full(count, np.nan, np.float32)
    features, attribution = none if maps is None or shares is None else _seen(index, count, maps, shares)
    return Segmented(
        labels,
        (area / index.numel()).numpy(),
        (torch.bincount(rim, minlength=count).float() / len(rim)).numpy(),
        torch.cat([means, deviations], 1).numpy(),
        features,
        attribution,
    )


def _pooled(values: Float32[Tensor, "c h w"], index: Int64[Tensor, "h w"], count: int) -> Float32[Tensor, "k c"]:
    """The mean of each channel over each segment."""
    flat = values.flatten(1).T.double()
    sums = torch.zeros(count, flat.shape[1], dtype=torch.float64).index_add_(0, index.flatten(), flat)
    return (sums / torch.bincount(index.flatten(), minlength=count)[:, None]).float()


def _seen(index: Tensor, count: int, maps: Tensor, shares: Tensor) -> tuple[np.ndarray, np.ndarray]:
    cover = F.interpolate(F.one_hot(index, count).permute(2, 0, 1)[None].float(), tuple(maps.shape[1:]), mode="area")[
        0
    ].flatten(1)
    weights = cover / cover.sum(1, keepdim=True).clamp(min=1e-12)
    attribution = cover @ shares.flatten().abs()
    usable = torch.where(maps.abs() < _LARGEST, maps, 0)
    whole = attribution.sum().clamp(min=1e-12)
    share = attribution / whole if whole.isfinite() else attribution.new_full((count,), torch.nan)
    return (weights @ usable.flatten(1).T).numpy(), share.numpy()
