"""Properties moved in pixels, each with a placebo that changes as much of the picture and leaves the property alone."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cnnaudit.auditing.measures import brightness, contrast, luma, saturation, sharpness
from cnnaudit.data.resizing import LUMA
from cnnaudit.shapes import Pixels

Values = Float[Tensor, " n"]
Family = Callable[[Float[Tensor, "n 1 1 1"]], Pixels]
"""Pictures for a strength each, in which something rises with the strength."""

Mover = Callable[[Pixels, float, torch.Generator], tuple[Pixels, Pixels]]
"""Pictures with a property moved to a value, and their placebo."""

_HALVINGS = 10
_STRONGEST = 4.0
_SHARPEST = 8.0
_NOTHING = 1e-6  # of a property that is divided by
_SPREADS = tuple(0.35 * 1.4**k for k in range(11))  # of Gaussians, in pixels; each takes clearly more than the last


def solved(family: Family, value: Callable[[Pixels], Values], target: Values, low: float, high: float) -> Pixels:
    """The pictures of a family whose value comes nearest to a target each, by halving; `value` rises with strength."""
    below, above = torch.full_like(target, low), torch.full_like(target, high)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        under = value(family(_wide(middle))) < target
        below, above = torch.where(under, middle, below), torch.where(under, above, middle)
    return family(_wide((below + above) / 2))


def changed(after: Pixels, before: Pixels) -> Values:
    """Root mean square of the change of a picture's values."""
    return (after - before).square().mean((1, 2, 3)).sqrt()


def matched(family: Family, before: Pixels, after: Pixels, high: float) -> Pixels:
    """The pictures of a family that are changed as much as the edited ones."""
    return solved(family, lambda pixels: changed(pixels, before), changed(after, before), 0.0, high)


def halves(pixels: Pixels, generator: torch.Generator) -> Float[Tensor, "n 1 h w"]:
    """For each picture a smooth step from one side to the other in a random direction, mean 0 and mean square 1."""
    n, _, h, w = pixels.shape
    turn = torch.rand(n, 1, 1, 1, generator=generator) * (2 * math.pi)
    y, x = torch.linspace(-1, 1, h).view(1, 1, h, 1), torch.linspace(-1, 1, w).view(1, 1, 1, w)
    step = torch.sin((turn.sin() * y + turn.cos() * x).clamp(-1, 1) * (math.pi / 2))
    return step / step.square().mean((1, 2, 3), keepdim=True).sqrt()


def move_brightness(pixels: Pixels, target: float, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """Light added or taken away everywhere; placebo: added on one side and taken away on the other.

    Uneven light touches every pixel as even light does, and leaves the mean where it was: what clipping takes from
    it is given back. It is never stronger than the even light is, though in a picture that is nearly white or black
    it then changes less: forced to change as much, it would leave nothing of the picture.
    """
    after = solved(lambda s: (pixels + s).clamp(0, 1), brightness, pixels.new_full((len(pixels),), target), -1, 1)
    lit = (pixels + _wide(changed(after, pixels)) * halves(pixels, generator)).clamp(0, 1)
    return after, (lit + _wide(brightness(pixels) - brightness(lit))).clamp(0, 1)


def move_contrast(pixels: Pixels, target: float, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """Distances from the mean luma stretched or shrunk; placebo: stretched on one side and shrunk on the other."""
    return _stretched(pixels, _wide(brightness(pixels)), contrast, target, generator)


def move_saturation(pixels: Pixels, target: float, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """Distances from grey stretched or shrunk; placebo: stretched on one side and shrunk on the other."""
    return _stretched(pixels, luma(pixels), saturation, target, generator)


def _stretched(
    pixels: Pixels, middle: Tensor, value: Callable[[Pixels], Values], target: float, generator: torch.Generator
) -> tuple[Pixels, Pixels]:
    """The placebo is brought back as a whole to the value that the picture had, which rises with its two halves.

    So it cannot change a picture as much as more than doubling the distances does; it then changes what it can.
    """
    away, before = pixels - middle, value(pixels)
    goal = pixels.new_full((len(pixels),), target)
    after = solved(lambda s: (middle + s * away).clamp(0, 1), value, goal, 0, _STRONGEST)
    step = halves(pixels, generator)

    def uneven(strength: Tensor) -> Pixels:
        pulled = (1 + strength * step).clamp(min=0) * away
        back = before / value(middle + pulled).clamp(min=_NOTHING)
        return (middle + _wide(back) * pulled).clamp(0, 1)

    return after, matched(uneven, pixels, after, _STRONGEST)


def turned(pixels: Pixels, after: Pixels, generator: torch.Generator) -> Pixels:
    """The placebo of colour that is put in: the same change of light, and its colour turned by 90 degrees round grey.

    So it changes a picture as much, and has no part of the change's own colour; a turn by 120 degrees would also move
    the picture half as far away from it, which is an edit of its own. Which way it is turned is drawn.
    """
    light = luma(after) - luma(pixels)
    colour = after - pixels - light
    axis = F.normalize(pixels.new_tensor(LUMA), dim=0).view(1, 3, 1, 1).expand_as(colour)
    side = torch.linalg.cross(axis, colour, dim=1)
    signs = _wide(torch.randint(0, 2, (len(pixels),), generator=generator) * 2.0 - 1)
    return matched(lambda s: (pixels + s * (light + signs * side)).clamp(0, 1), pixels, after, 2.0)


def unevenly(pixels: Pixels, after: Pixels, generator: torch.Generator) -> Pixels:
    """The placebo of colour that is taken out: taken out on one side, and as much put in on the other.

    It changes a picture as much, and the colour is still there. Turned, what is taken out would take it along.
    """
    step, change = halves(pixels, generator), after - pixels
    return matched(lambda s: (pixels + s * step * change).clamp(0, 1), pixels, after, 2.0)


def move_sharpness(pixels: Pixels, target: float, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """Blurs pictures that are sharper than the target, and sharpens the others."""
    after, placebo = pixels.clone(), pixels.clone()
    sharp = sharpness(pixels) > target
    if bool(sharp.any()):
        after[sharp], placebo[sharp] = _soften(pixels[sharp], target)
    if not bool(sharp.all()):
        after[~sharp], placebo[~sharp] = _sharpen(pixels[~sharp], target, generator)
    return after, placebo


def _soften(pixels: Pixels, target: float) -> tuple[Pixels, Pixels]:
    """A blur takes detail away. Its placebo puts detail of the mirrored picture in the place of most of it.

    What the detail told is lost just as well, the picture changes as much, and is as sharp as before: with
    cos(s) of its own detail and sin(s) of the other its energy stays.
    """
    after = _blurred_to(pixels, target)
    detail = pixels - after

    def mixed(turn: Tensor) -> Pixels:
        return (after + turn.cos() * detail + turn.sin() * detail.flip(3)).clamp(0, 1)

    return after, matched(mixed, pixels, after, math.pi)


def _sharpen(pixels: Pixels, target: float, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """An unsharp mask adds contrast in small; its placebo changes as much by uneven light."""
    mask, goal = pixels - blurred(pixels, 1.0), pixels.new_full((len(pixels),), target)
    after = solved(lambda s: (pixels + s * mask).clamp(0, 1), sharpness, goal, 0, _SHARPEST)
    step = halves(pixels, generator)
    return after, matched(lambda s: (pixels + s * step).clamp(0, 1), pixels, after, 1.0)


def _blurred_to(pixels: Pixels, target: float) -> Pixels:
    """Each picture with the Gaussian after which it comes nearest to the target."""
    best, nearest = pixels.clone(), pixels.new_full((len(pixels),), math.inf)
    for spread in _SPREADS:
        softer = blurred(pixels, spread)
        away = sharpness(softer) - target
        best = torch.where(_wide(away.abs() < nearest), softer, best)
        nearest = torch.minimum(nearest, away.abs())
        if bool((away < 0).all()):
            break
    return best


def blurred(pixels: Pixels, spread: float) -> Pixels:
    """After a Gaussian of this standard deviation in pixels; beyond its sides a picture goes on as its last pixels."""
    reach = max(1, math.ceil(3 * spread))
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / spread).square())
    bell = (bell / bell.sum()).to(pixels)
    channels = pixels.shape[1]
    wide = F.pad(pixels, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(wide, bell.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, bell.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
