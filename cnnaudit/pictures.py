"""From whatever the caller has (a file, an array, pixels) to the pixels that a network is given."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.data.images import from_array, read_image
from cnnaudit.errors import OptionError
from cnnaudit.results import Image
from cnnaudit.shapes import Pixels

Picture = str | Path | Image | Tensor | np.ndarray | PILImage.Image
"""A file, a decoded picture (ours, NumPy's or Pillow's), or pixels `1 c h w` (or `c h w`) in [0, 1] as
`Classifier.prepare` makes them."""


def opened(classifier: Classifier, image: Picture) -> tuple[Image, Pixels]:
    """The picture, and the pixels `1 c h w` that the network is given.

    Raises:
        ImageError: it cannot be read.
        OptionError: it is nothing that can be read, or its pixels do not suit the network.
    """
    with torch.inference_mode(False):  # a tensor made in inference mode could not be differentiated
        if isinstance(image, Tensor):
            pixels = _valid_pixels(classifier, image)
            seen = pixels[0] if pixels.shape[1] in (1, 3) else pixels[0, :1]  # no picture has other channels
            return from_array((seen.permute(1, 2, 0).cpu() * 255).round().byte().numpy(), name="pixels"), pixels
        picture = _decoded(image)
        return picture, classifier.prepare(picture)


def _decoded(image: str | Path | Image | np.ndarray | PILImage.Image) -> Image:
    if isinstance(image, Image):
        return image
    if isinstance(image, np.ndarray | PILImage.Image):
        return from_array(image)
    if isinstance(image, str | Path):
        return read_image(image)
    raise OptionError(f"A picture is a file, an Image, an array, or a tensor of pixels; got {type(image).__name__}.")


def _valid_pixels(classifier: Classifier, pixels: Tensor) -> Pixels:
    pixels = pixels.clone() if pixels.is_inference() else pixels.detach()
    pixels = pixels.unsqueeze(0) if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] != classifier.channels:
        raise OptionError(
            f"Pixels are one picture, (1, {classifier.channels}, height, width); got {tuple(pixels.shape)}."
        )
    if not pixels.is_floating_point() or not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise OptionError("Pixels are floating-point values in [0, 1], before normalisation.")
    return pixels.to(classifier.device, torch.float32)
