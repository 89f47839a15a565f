"""What can be measured of a picture as a whole: in its pixels, and in its file."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image as Pillow
from torch import Tensor

from cnnaudit.data.images import FORMATS
from cnnaudit.data.resizing import LUMA
from cnnaudit.shapes import Pixels

_FRAME = 0.15  # of a side: how deep an added frame is looked for
_SMALLEST = 16  # a side with room for a frame and for what usually lies inside it
_DARKEST = 1e-8  # a variance of which a logarithm can be taken
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 are pictures that lie on their side
_NOT_READ = (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError)


def luma(pixels: Pixels) -> Float[Tensor, "n 1 h w"]:
    """Brightness of each pixel (ITU-R BT.601); a grey picture is its own."""
    if pixels.shape[1] != 3:
        return pixels.mean(1, keepdim=True)
    return (pixels * pixels.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def brightness(pixels: Pixels) -> Float[Tensor, " n"]:
    """Mean luma, 0 to 1."""
    return luma(pixels).mean((1, 2, 3))


def contrast(pixels: Pixels) -> Float[Tensor, " n"]:
    """Standard deviation of luma, 0 to 0.5."""
    return luma(pixels).std((1, 2, 3), correction=0)


def cast(pixels: Pixels) -> Float[Tensor, "n 3"]:
    """Mean of each channel less mean luma: 0 in grey, and what its opponent colour lowers."""
    means = pixels.mean((2, 3))
    return means - (means * means.new_tensor(LUMA)).sum(1, keepdim=True)


def saturation(pixels: Pixels) -> Float[Tensor, " n"]:
    """Mean of the largest channel less the smallest, 0 to 1: unlike their ratio it is no noise in dark pixels."""
    return (pixels.amax(1) - pixels.amin(1)).mean((1, 2))


def sharpness(pixels: Pixels, where: Bool[Tensor, "n h w"] | None = None) -> Float[Tensor, " n"]:
    """Logarithm of the variance of luma's Laplacian; NaN where a picture is too small for it.

    Args:
        where: pixels that count; the Laplacian is taken where all nine that it looks at do.
    """
    if min(pixels.shape[2:]) < 3:
        return pixels.new_full((len(pixels),), math.nan)
    kernel = pixels.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    found = F.conv2d(luma(pixels), kernel)
    if where is None:
        return found.var((1, 2, 3), correction=0).clamp(min=_DARKEST).log()
    counts = (-F.max_pool2d(-where[:, None].to(found), 3, 1)).bool()
    rows = [each[inside] for each, inside in zip(found, counts, strict=True)]
    return torch.stack([(row - row.mean()).square().mean() for row in rows]).clamp(min=_DARKEST).log()


def border(pixels: Pixels) -> Float[Tensor, " n"]:
    """How clearly a frame of one colour stands out, 0 if not at all; NaN where a picture is too small for one.

    Along each side, rows are compared with the next ones further in, by the median pixel of the row: what a frame
    changes at once along a whole side, a picture seldom does. From the largest such step in the outer 15 % the usual
    one further in is taken away, and the spread of the outermost row, which in a frame is next to none. The second
    largest of the four sides counts: cropping may have cut the frame off at two.
    """
    if min(pixels.shape[2:]) < _SMALLEST:
        return pixels.new_full((len(pixels),), math.nan)
    return torch.stack([_stands_out(side) for side in four_sides(pixels)], 1).sort(1).values[:, 2].clamp(min=0)


def _stands_out(side: Pixels) -> Float[Tensor, " n"]:
    rows, outermost = steps(side), side[:, :, 0]
    spread = (outermost - outermost.median(2, keepdim=True).values).abs().mean((1, 2))
    return rows[:, : rows.shape[1] // 2].amax(1) - usual(rows) - spread


def four_sides(pixels: Pixels) -> tuple[Pixels, ...]:
    """The picture turned so that its top, bottom, left and right side come first among the rows."""
    lying = pixels.transpose(2, 3)
    return pixels, pixels.flip(2), lying, lying.flip(2)


def steps(side: Pixels) -> Float[Tensor, "n r"]:
    """From each of the first rows to the next: the median over the row; as many more rows as a frame can have."""
    rows = 2 * max(1, round(_FRAME * side.shape[2]))
    outer = side[:, :, : rows + 1]
    return (outer[:, :, 1:] - outer[:, :, :-1]).abs().amax(1).median(2).values


def usual(steps: Float[Tensor, "n r"]) -> Float[Tensor, " n"]:
    """The median step further in than a frame reaches."""
    return steps[:, steps.shape[1] // 2 :].median(1).values


GREY: dict[str, Callable[[Pixels], Tensor]] = {
    "brightness": brightness,
    "contrast": contrast,
    "sharpness": sharpness,
    "border": border,
}
"""Of any picture."""

COLOUR: dict[str, Callable[[Pixels], Tensor]] = {
    "red cast": lambda pixels: cast(pixels)[:, 0],
    "green cast": lambda pixels: cast(pixels)[:, 1],
    "blue cast": lambda pixels: cast(pixels)[:, 2],
    "saturation": saturation,
}
"""Of pictures with three channels."""

FILE = ("height", "width", "aspect ratio", "bytes per pixel", "JPEG quality")
"""Of files; bytes as their logarithm."""


def of_pixels(pixels: Pixels) -> dict[str, Float[Tensor, " n"]]:
    """Every measure that these pictures have."""
    measures = GREY | (COLOUR if pixels.shape[1] == 3 else {})
    return {name: measure(pixels).float().cpu() for name, measure in measures.items()}


def of_files(paths: Sequence[Path]) -> dict[str, Float[Tensor, " n"]]:
    """What the headers of files tell; NaN where one cannot be read."""
    rows = torch.tensor([_file(path) for path in paths], dtype=torch.float32).view(-1, len(FILE))
    return dict(zip(FILE, rows.unbind(1), strict=True))


def _file(path: Path) -> tuple[float, ...]:
    try:
        size = path.stat().st_size
        with Pillow.open(path, formats=FORMATS) as image:
            width, height = image.size
            if image.getexif().get(_ORIENTATION, 1) in range(5, 9):
                width, height = height, width
            quality = jpeg_quality(image)
    except _NOT_READ:
        return (math.nan,) * len(FILE)
    return height, width, width / height, math.log(max(size, 1) / (width * height)), quality


def jpeg_quality(image: Pillow.Image) -> float:
    """The quality, 1 to 100, whose brightness table in libjpeg comes nearest to the picture's; NaN if it is no JPEG."""
    tables = getattr(image, "quantization", None)
    if not tables:
        return math.nan
    total = sum(tables[min(tables)])
    return 1.0 + min(range(100), key=lambda place: abs(_coarseness()[place] - total))


@cache
def _coarseness() -> tuple[int, ...]:
    """The sum of the brightness table at each quality from 1 to 100: it falls with every step."""
    return tuple(sum(_table(quality)) for quality in range(1, 101))


def _table(quality: int) -> Sequence[int]:
    stream = BytesIO()
    Pillow.new("L", (8, 8)).save(stream, "JPEG", quality=quality)
    with Pillow.open(stream) as image:
        return getattr(image, "quantization")[0]  # noqa: B009 (only pictures read as JPEG have it)
