"""How properties of whole pictures are put in and taken out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image as Pillow
from torch import Tensor

from cnnaudit import memory
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Edited
from cnnaudit.auditing.dealing import dealt
from cnnaudit.auditing.frames import thickness, with_ring
from cnnaudit.auditing.moving import Mover, blurred, changed, matched, turned, unevenly
from cnnaudit.data.images import from_array, read_image
from cnnaudit.errors import ImageError
from cnnaudit.results import Image
from cnnaudit.results.audits import Operation
from cnnaudit.shapes import Pixels

_SEEN = 1 / 255  # root mean square below which nothing was changed that 8 bits could show
_MOST_GAIN = 4.0  # of contrast, either way
_BATCH = 64
_SOFT = 1.5  # pixels: the Gaussian that takes away as much as JPEG does


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Moves a property of pictures that have the cue to where it usually is without, and the other way round.

    Attributes:
        present: in which pictures the cue is.
        inside, outside: medians of the property with the cue in the class, and without it in the others.
    """

    asked: Asked
    present: Bool[Tensor, " n"]
    mover: Mover
    inside: float
    outside: float

    def __call__(self, operation: Operation, places: Sequence[int], generator: torch.Generator) -> Edited | None:
        """As `Editor` says."""
        chosen = concerned(self.asked, operation, places, self.present)
        if not chosen:
            return None
        before = self.asked.pictures.read(chosen)
        target = self.outside if operation == "remove" else self.inside
        return _kept(chosen, before, *self.mover(before, target, generator))


@dataclass(frozen=True, slots=True, eq=False)
class Tinted:
    """Gives pictures the colours of those with a cast, and takes these from them.

    Each channel is stretched and shifted so that the usual mean and deviation within a picture become those of the
    others (Reinhard et al., IEEE Computer Graphics and Applications 21, 2001, "Color transfer between images", from
    group to group): a tint that is mixed in fades what lies below it, which a shift alone does not.

    Attributes:
        present: in which pictures the cue is.
        gain, offset: of each channel, from a picture without the cue to one with it.
    """

    asked: Asked
    present: Bool[Tensor, " n"]
    gain: Float[Tensor, "3 1 1"]
    offset: Float[Tensor, "3 1 1"]

    @classmethod
    def of(cls, asked: Asked, present: Bool[Tensor, " n"], inside: Sequence[int], outside: Sequence[int]) -> "Tinted":
        """From some pictures with the cue, and some without it."""
        (mean, spread), (usual, width) = (_colours(asked, side) for side in (inside, outside))
        gain = (spread / width.clamp(min=_SEEN)).clamp(1 / _MOST_GAIN, _MOST_GAIN)
        return cls(asked, present, gain.view(3, 1, 1), (mean - gain * usual).view(3, 1, 1))

    def __call__(self, operation: Operation, places: Sequence[int], generator: torch.Generator) -> Edited | None:
        """As `Editor` says."""
        chosen = concerned(self.asked, operation, places, self.present)
        if not chosen:
            return None
        before = self.asked.pictures.read(chosen)
        if operation == "insert":
            after = (before * self.gain + self.offset).clamp(0, 1)
            return _kept(chosen, before, after, turned(before, after, generator))
        after = ((before - self.offset) / self.gain).clamp(0, 1)
        return _kept(chosen, before, after, unevenly(before, after, generator))


def _colours(asked: Asked, places: Sequence[int]) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """The mean and the deviation of each channel in a picture, the means over pictures."""
    rows = (torch.stack([each.mean((2, 3)), each.std((2, 3), correction=0)], 1) for each in _read(asked, places))
    mean, spread = memory.rows_of(rows, len(places)).double().mean(0).float()
    return mean, spread


def _read(asked: Asked, places: Sequence[int]) -> Iterator[Pixels]:
    for start in range(0, len(places), _BATCH):
        yield asked.pictures.read(places[start : start + _BATCH])


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """Puts frames of other pictures round pictures, and what lies there in pictures without one.

    Each is the other's placebo: the same outer part of the picture is covered, once with a frame and once without.

    Attributes:
        present: in which pictures the cue is.
        frame: whether the cue is a frame, rather than that there is none.
        clear: the framed pictures that are taken from: not those of which it is doubtful.
    """

    asked: Asked
    present: Bool[Tensor, " n"]
    frame: bool
    clear: Bool[Tensor, " n"]

    def __call__(self, operation: Operation, places: Sequence[int], generator: torch.Generator) -> Edited | None:
        """As `Editor` says."""
        chosen = concerned(self.asked, operation, places, self.present)
        if not chosen:
            return None
        before = self.asked.pictures.read(chosen)
        framed, plain = (
            dealt(self._read(side), chosen, generator) for side in (self.clear, self.present != self.frame)
        )
        adding = (operation == "insert") == self.frame
        rows = thickness(self.asked.pictures.read(framed) if adding else before)
        with_frame, without = (_ringed(before, self.asked.pictures.read(each), rows) for each in (framed, plain))
        after, placebo = (with_frame, without) if adding else (without, with_frame)
        return _kept(chosen, before, after, placebo, framed)

    def _read(self, among: Bool[Tensor, " n"]) -> list[int]:
        return (among & (self.asked.survey.predicted >= 0)).nonzero()[:, 0].tolist()


def _ringed(before: Pixels, others: Pixels, rows: Int64[Tensor, "n 4"]) -> Pixels:
    pairs = zip(before.split(1), others.split(1), rows.tolist(), strict=True)
    return torch.cat([with_ring(picture, other, tuple(row)) for picture, other, row in pairs])


@dataclass(frozen=True, slots=True, eq=False)
class Recompressed:
    """Saves files again as JPEG of a lower quality; a higher one cannot be had back.

    The placebo is a blur that changes as much: JPEG too takes fine detail away, but leaves the blocks.

    Attributes:
        quality: the median of the side to which pictures are brought.
    """

    asked: Asked
    present: Bool[Tensor, " n"]
    quality: int

    def __call__(self, operation: Operation, places: Sequence[int], generator: torch.Generator) -> Edited | None:
        """As `Editor` says."""
        chosen = concerned(self.asked, operation, places, self.present)
        found = {place: image for place in chosen if (image := self._read(place)) is not None}
        if not found:
            return None
        prepare = self.asked.classifier.prepare
        before = torch.cat([prepare(image) for image in found.values()]).cpu()
        after = torch.cat([prepare(saved_again(image, self.quality)) for image in found.values()]).cpu()
        soft = blurred(before, _SOFT)
        placebo = matched(lambda strength: before + strength * (soft - before), before, after, 1.0)
        return _kept(list(found), before, after, placebo)

    def _read(self, place: int) -> Image | None:
        try:
            return read_image(self.asked.pictures.paths[place])
        except ImageError:  # it could be read when the pictures were surveyed; it is left out
            return None


def saved_again(image: Image, quality: int) -> Image:
    """What is left of a picture after JPEG at this quality, 1 to 100."""
    stream = BytesIO()
    pixels = image.pixels[..., 0] if image.pixels.shape[2] == 1 else image.pixels
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return from_array(Pillow.open(stream), name=image.name)


def concerned(asked: Asked, operation: Operation, places: Sequence[int], present: Bool[Tensor, " n"]) -> list[int]:
    """The places at which there is something to take out, or into which it can be put; not those that were lost."""
    read = asked.survey.predicted >= 0
    return [place for place in places if bool(read[place]) and bool(present[place]) == (operation == "remove")]


def _kept(
    places: Sequence[int], before: Pixels, after: Pixels, placebo: Pixels, donors: Sequence[int] = ()
) -> Edited | None:
    """Those pictures that were changed at all."""
    seen = changed(after, before) >= _SEEN
    if not bool(seen.any()):
        return None
    kept = tuple(place for place, shown in zip(places, seen.tolist(), strict=True) if shown)
    from_where = tuple(donor for donor, shown in zip(donors, seen.tolist(), strict=False) if shown)
    return Edited(kept, before[seen], after[seen], placebo[seen], from_where)
