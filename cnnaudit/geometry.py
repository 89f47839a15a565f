"""From a photo of any size to the pixels that a network is given."""

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import numpy as np
from PIL import Image as PILImage

from cnnaudit.errors import OptionError
from cnnaudit.shapes import Photo

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_RESAMPLING: dict[str, PILImage.Resampling] = {
    "nearest": PILImage.Resampling.NEAREST,
    "bilinear": PILImage.Resampling.BILINEAR,
    "bicubic": PILImage.Resampling.BICUBIC,
}


def fit(
    photo: Photo, size: tuple[int, int], resize_size: int | None, interpolation: Interpolation, channels: int
) -> Photo:
    """Resize on Pillow's antialiased filters, crop the centre, convert to 1 or 3 channels: uint8 `h w c`."""
    picture = PILImage.fromarray(photo.squeeze(-1) if photo.shape[-1] == 1 else photo)
    picture = picture.convert("L" if channels == 1 else "RGB")
    picture = _resize_and_crop(picture, size, resize_size, _RESAMPLING[interpolation])
    return np.array(picture, dtype=np.uint8).reshape(*size, channels)


def known_interpolation(interpolation: Interpolation) -> Interpolation:
    """The same word, checked.

    Raises:
        OptionError: it is none of nearest, bilinear, bicubic.
    """
    if interpolation not in _RESAMPLING:
        raise OptionError(f"interpolation must be one of {', '.join(_RESAMPLING)}; got {interpolation!r}.")
    return interpolation


def known_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, checked.

    Raises:
        OptionError: they are not two positive whole numbers.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(side != int(side) or side < 1 for side in sides):
        raise OptionError(f"input_size must be two positive numbers, height and width; got {size}.")
    return int(sides[0]), int(sides[1])


def known_resize(resize_size: int | None) -> int | None:
    """The side to resize to, checked. One below the crop pads with black, as torchvision does.

    Raises:
        OptionError: it is not positive.
    """
    if resize_size is not None and resize_size < 1:
        raise OptionError(f"resize_size must be a positive number of pixels; got {resize_size}.")
    return resize_size


def per_channel(values: Sequence[float] | float | None, default: float, channels: int, what: str) -> tuple[float, ...]:
    """A value of the normalisation for each channel, checked.

    Raises:
        OptionError: there are too many or too few, or they are not finite, or a deviation is not positive.
    """
    if values is None:
        return (default,) * channels
    values = (values,) if isinstance(values, int | float) else values
    if len(values) not in (1, channels):
        raise OptionError(f"{what} has {len(values)} values; this network takes {channels} channels.")
    if not all(isfinite(value) for value in values) or (what == "std" and min(values) <= 0):
        raise OptionError(f"{what} must be finite{', and positive' * (what == 'std')}; got {tuple(values)}.")
    return tuple(float(v) for v in values) * (channels if len(values) == 1 else 1)


def _resize_and_crop(
    picture: PILImage.Image, size: tuple[int, int], resize_size: int | None, resampling: PILImage.Resampling
) -> PILImage.Image:
    """The shorter side to `resize_size` (else just covering `size`), then the centre, as torchvision rounds."""
    (height, width), (w, h) = size, picture.size
    if resize_size is None:
        scale = max(height / h, width / w)
        new_w, new_h = max(width, round(w * scale)), max(height, round(h * scale))
    else:
        short = min(w, h)
        new_w, new_h = (
            (resize_size, int(resize_size * h / w)) if w <= h else (int(resize_size * w / short), resize_size)
        )
    resized = picture if (new_w, new_h) == (w, h) else picture.resize((new_w, new_h), resampling)
    left, top = round((new_w - width) / 2), round((new_h - height) / 2)
    return resized.crop((left, top, left + width, top + height))
