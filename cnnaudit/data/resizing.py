"""Datasets at another size, or with another number of channels."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from cnnaudit.data.splits import Dataset, Files, Request, Shape, Split
from cnnaudit.errors import OptionError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_LUMA_16 = (19595, 38470, 7471)  # the same in 65536ths, as Pillow has them
_AT_ONCE = 4096


def checked(request: Request) -> Request:
    """The same request.

    Raises:
        OptionError: its size or channels cannot be had.
    """
    if request.size is not None and (len(request.size) != 2 or min(request.size) < 1):
        raise OptionError(f"The size is {request.size}; give height and width, each at least 1 pixel.")
    if request.channels not in (None, 1, 3):
        raise OptionError(f"{request.channels} channels were asked for; give 1 (grey) or 3 (colour).")
    if request.seed < 0:
        raise OptionError(f"The seed is {request.seed}; give a whole number from 0 up.")
    return request


def adapted(dataset: Dataset, request: Request) -> Dataset:
    """The dataset at the size and with the channels that are asked for; the same one where it has them.

    Sizes change by antialiased bilinear interpolation; grey is repeated in three channels, colour becomes
    ITU-R BT.601 luma, its mean and deviation weighted likewise (which is exact for channels that vary
    together, and else a little large for the deviation). What would then be too large for memory is made
    picture by picture, when it is asked for.
    """
    c, h, w = dataset.train.shape
    shape = (request.channels or c, *(request.size or (h, w)))
    if shape == (c, h, w):
        return dataset
    splits = (dataset.train, dataset.validation, *dataset.tests.values())
    sample = dataset.train[0] if isinstance(dataset.train, Files) else dataset.train.images[0]
    total = sum(map(len, splits)) * prod(shape) * sample.element_size()
    fit = partial(_split, shape=shape, in_memory=total <= request.memory)
    return replace(
        dataset,
        train=fit(dataset.train),
        validation=fit(dataset.validation),
        tests={name: fit(test) for name, test in dataset.tests.items()},
        mean=for_channels(dataset.mean, shape[0]),
        std=for_channels(dataset.std, shape[0]),
    )


def for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """A value a channel: repeated for three, weighted by luma for one."""
    if len(values) == channels:
        return values
    return values * channels if channels == 3 else (sum(w * v for w, v in zip(LUMA, values, strict=True)),)


def _split(split: Split | Files, *, shape: Shape, in_memory: bool) -> Split | Files:
    if isinstance(split, Split) and in_memory:
        batches = [resized(batch, shape) for batch in split.images.split(_AT_ONCE)]
        return Split(torch.cat(batches), split.labels)
    read: Callable[[int], Tensor] = split.__getitem__ if isinstance(split, Files) else split.images.__getitem__
    return Files(split.labels, shape, partial(_one, read, shape), split.paths if isinstance(split, Files) else ())


def _one(read: Callable[[int], Tensor], shape: Shape, index: int) -> Tensor:
    return resized(read(index).unsqueeze(0), shape).squeeze(0)


def resized(images: Tensor, shape: Shape) -> Tensor:
    """Pictures `n c h w` as `n` of `shape`, in their own type, grey or in colour."""
    channels, height, width = shape
    if images.shape[1] == 3 and channels == 1:
        images = _grey(images)
    if images.shape[-2:] != (height, width):
        images = _covering(images, height, width)
    return images.expand(-1, channels, -1, -1).contiguous()


def _covering(images: Tensor, height: int, width: int) -> Tensor:
    """Resized until they just cover the size, then cropped to its centre, as `Classifier.prepare` does it."""
    h, w = images.shape[-2:]
    scale = max(height / h, width / w)
    new_h, new_w = max(height, round(h * scale)), max(width, round(w * scale))
    floats = nn.functional.interpolate(images.float(), (new_h, new_w), mode="bilinear", antialias=True)
    top, left = round((new_h - height) / 2), round((new_w - width) / 2)
    floats = floats[..., top : top + height, left : left + width]
    return floats if images.is_floating_point() else floats.round().to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Luma, for bytes rounded as Pillow does."""
    if images.is_floating_point():
        return (images * images.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    weighted = images.int() * torch.tensor(_LUMA_16, dtype=torch.int32, device=images.device).view(3, 1, 1)
    return ((weighted.sum(1, keepdim=True) + 0x8000) >> 16).to(torch.uint8)
