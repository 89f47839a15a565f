"""A network made ready for copies of one picture: in which form, from which memory, by patches or as a whole."""

import time
from copy import copy

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.devices import Form, agreement, limit, synchronise
from cnnaudit.hooks import preserved_randomness
from cnnaudit.perturbation.incremental import patched
from cnnaudit.perturbation.masks import Masks, Windows
from cnnaudit.shapes import Logits, Pixels

_TRIED = 6  # windows at a time, first where they begin and then twice in the middle
_FASTER = 0.8  # share of the time that incremental inference may take to be preferred


class Stage:
    """The network in one form, and the memory in which the copies for it are composed.

    Args:
        classifier: already borrowed.
        form: of the network.
        kept, fill: normalised, `1 c h w`.
    """

    def __init__(self, classifier: Classifier, form: Form, kept: Pixels, fill: Pixels) -> None:
        self.classifier, self.form = classifier, form
        self.patches = False  # whether copies behind windows are asked about by incremental inference
        self.network = form.network(classifier)
        self._kept, self._fill = (each.to(form.dtype or classifier.dtype).contiguous() for each in (kept, fill))
        self._memory: tuple[Tensor, Tensor, Tensor] | None = None

    def with_patches(self) -> "Stage":
        """The same, with incremental inference where copies are behind windows."""
        other = copy(self)
        other.patches = True
        return other

    def scores(self, masks: Masks, start: int, stop: int, room: int) -> Logits:
        """The scores of the copies `start` to `stop`, `n k`; memory is kept for `room` of them."""
        return self.ask(self.composed(masks, start, stop, room))

    def ask(self, given: Tensor) -> Logits:
        """The scores of what the network is given."""
        scores = self.classifier.read(self.network(given), len(given))
        return scores.clone()  # they may be a view of what the network was given, which the next copies overwrite

    def composed(self, masks: Masks, start: int, stop: int, room: int) -> Tensor:
        """The copies `start` to `stop` as the network is given them; overwritten by the next ones."""
        if self.patches and isinstance(masks, Windows):
            return patched(masks, start, stop, self._kept, self._fill)
        painted, flat, given = (each[: stop - start] for each in self._reserved(room))
        masks.paint(start, stop, painted)
        torch.lerp(self._fill, self._kept, painted[:, None], out=flat)  # exact where the mask is 0 or 1
        return given.copy_(flat) if self.form.channels_last else flat

    def _reserved(self, room: int) -> tuple[Tensor, Tensor, Tensor]:
        """Room for masks, copies, and copies in the form's layout: composing plane by plane is several times faster."""
        if self._memory is None or len(self._memory[0]) != room:
            self._memory = None
            flat = self._kept.new_empty((room, *self._kept.shape[1:]))
            given = torch.empty_like(flat, memory_format=torch.channels_last) if self.form.channels_last else flat
            self._memory = flat.new_empty((room, *flat.shape[2:])), flat, given
        return self._memory


def by_patches(stage: Stage, masks: Windows) -> Stage | None:
    """The same with incremental inference, if it is faster and gives the same scores for some of these windows."""
    other = stage.with_patches()
    middle = max(0, len(masks) // 2 - _TRIED)
    times: dict[Stage, list[float]] = {stage: [], other: []}
    with preserved_randomness():
        try:
            for start in (0, middle, middle):
                window = (start, min(start + _TRIED, len(masks)))
                expected, scores = (_timed(each, masks, *window, times[each]) for each in (stage, other))
                if not agreement(scores, expected).within(limit(stage.form)):
                    return None
        except Exception:  # what a forward does with its maps may be impossible with patches
            return None
    whole, patches = (min(times[each][1:]) for each in (stage, other))  # the first time was a warm-up
    return other if patches < _FASTER * whole else None


def _timed(stage: Stage, masks: Windows, start: int, stop: int, times: list[float]) -> Logits:
    clock = time.perf_counter()
    scores = stage.scores(masks, start, stop, stop - start)
    synchronise(stage.classifier.device)
    times.append(time.perf_counter() - clock)
    return scores
