"""How properties of whole pictures are put in and taken out."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import torch
from jaxtyping import Bool
from PIL import Image as Pillow
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Edited
from cnnaudit.auditing.frames import thickness, with_ring, within, without
from cnnaudit.auditing.moving import Mover, blurred, changed, matched
from cnnaudit.data.images import from_array, read_image
from cnnaudit.errors import ImageError
from cnnaudit.results import Image
from cnnaudit.results.audits import Operation
from cnnaudit.shapes import Pixels

_SEEN = 1 / 255  # root mean square below which nothing was changed that 8 bits could show
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
class Framed:
    """Puts frames of other pictures round pictures, and takes frames away.

    The placebo of a frame is the same outer part of a picture that has none. The placebo of taking it away is to do
    the same one frame further in, which loses at least as much of the picture, and leaves the frame.

    Attributes:
        present: in which pictures the cue is.
        frame: whether the cue is a frame, rather than that there is none.
    """

    asked: Asked
    present: Bool[Tensor, " n"]
    frame: bool

    def __call__(self, operation: Operation, places: Sequence[int], generator: torch.Generator) -> Edited | None:
        """As `Editor` says."""
        chosen = concerned(self.asked, operation, places, self.present)
        if not chosen:
            return None
        before = self.asked.pictures.read(chosen)
        adding = (operation == "insert") == self.frame
        if not adding:
            return _kept(chosen, before, *_taken_away(before))
        donors = self._drawn(self.present == self.frame, len(chosen), generator)
        return _kept(chosen, before, *self._added(before, donors, generator), donors)

    def _added(self, before: Pixels, donors: Sequence[int], generator: torch.Generator) -> tuple[Pixels, Pixels]:
        framed = self.asked.pictures.read(donors)
        plain = self.asked.pictures.read(self._drawn(self.present != self.frame, len(donors), generator))
        rows = [tuple(row) for row in thickness(framed).tolist()]
        pairs = [
            (with_ring(picture, donor, row), with_ring(picture, other, row))
            for picture, donor, other, row in zip(before.split(1), framed.split(1), plain.split(1), rows, strict=True)
        ]
        after, placebo = zip(*pairs, strict=True)
        return torch.cat(after), torch.cat(placebo)

    def _drawn(self, among: Bool[Tensor, " n"], count: int, generator: torch.Generator) -> list[int]:
        places = (among & (self.asked.survey.predicted >= 0)).nonzero()[:, 0]
        return places[torch.randint(len(places), (count,), generator=generator)].tolist()


def _taken_away(before: Pixels) -> tuple[Pixels, Pixels]:
    rows = [tuple(row) for row in thickness(before).tolist()]
    pictures = before.split(1)
    after = [without(picture, row) for picture, row in zip(pictures, rows, strict=True)]
    placebo = [within(picture, row) for picture, row in zip(pictures, rows, strict=True)]
    return torch.cat(after), torch.cat(placebo)


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
