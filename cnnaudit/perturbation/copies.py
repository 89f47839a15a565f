"""Altered copies of one picture, composed where the network is and scored as fast as it can go."""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.devices import AS_IS, Form, Forms, agreement, forms, limit
from cnnaudit.errors import NotFiniteError, OptionError, OutOfTimeError
from cnnaudit.hooks import preserved_randomness
from cnnaudit.memory import is_out_of_memory
from cnnaudit.perturbation.answers import Answer, Answers, digest
from cnnaudit.perturbation.budget import Budget
from cnnaudit.perturbation.loop import BatchSize, Loop
from cnnaudit.perturbation.masks import Grid, Masks, Segments, Windows
from cnnaudit.perturbation.stage import Stage, by_patches
from cnnaudit.shapes import Logits, Pixels

Precision = Literal["auto", "float32"]
"""`auto` takes bfloat16 or float16 where that is faster and agrees; `float32` only changes layout and form."""

_PROBED = 4  # copies whose scores must agree before another form is used
_DIGESTED = Segments | Windows | Grid  # masks that are told apart by what they hold
_FIXED = {"cpu": 16}  # copies at once where nothing is measured; 64 on other devices
_GROWING = {"cpu": (8, 32)}  # the first size and the largest where batches are timed; 32 and 512 on others


class Copies:
    """Copies of one picture, each partly replaced by a fill, and the scores that the network gives them.

    The network may be run in another form (`cnnaudit.devices`): one that was found to be faster on this
    machine, and whose scores of a few of these very copies agree with the network's own. A network that
    is small, or is asked about few copies, is run as it is; so are the first few copies of many where they
    are too few to tell whether a form agrees.

    How many copies are sent at once does not decide which are asked about, and in one form changes their
    scores by rounding only: by less than 1e-4 of the largest in float32. Memory does not grow with their number,
    but for the scores.

    Args:
        classifier: already borrowed (`hooks.borrowed`), as long as copies are asked about.
        pixels, fill: `1 c h w` in [0, 1]; a copy is the fill where its mask is 0.
        expected: about how many copies there will be.
        precision: how exact scores must be.
        batch: copies sent through the network at once; by default what is fastest.
        budget: the time there is, and who is told how far it is.
        answers: what is known of copies of this picture; a block that is known there is not asked about again.

    Raises:
        OptionError: picture and fill differ in shape, or a number makes no sense.
    """

    def __init__(
        self,
        classifier: Classifier,
        pixels: Pixels,
        fill: Pixels,
        *,
        expected: int,
        precision: Precision = "auto",
        batch: int | None = None,
        budget: Budget | None = None,
        answers: Answers | None = None,
    ) -> None:
        if len(pixels) != 1 or pixels.shape != fill.shape:
            raise OptionError(
                f"Copies takes one picture and a fill of its shape; got {tuple(pixels.shape)}, {tuple(fill.shape)}."
            )
        self.classifier, self.precision = classifier, precision
        self._kept, self._fill = (classifier.normalised(each.to(classifier.device)) for each in (pixels, fill))
        size = BatchSize(_FIXED.get(classifier.device.type, 64) if batch is None else batch, 0, settled=True)
        self._grows = batch is None
        self._loop = Loop(size, classifier.device, expected=expected, budget=budget)
        self._stage: Stage | None = None
        self._notes: list[str] = []
        self._types: dict[str, None] = {}  # of the numbers, in the order in which they were used
        self._answered = 0
        self._answers = answers
        self._about = "" if answers is None else digest(self._kept, self._fill, precision, expected)

    def scores(self, masks: Masks) -> Logits:
        """The logits of one copy for each mask, `n k`, float32, on the CPU.

        Raises:
            OutOfTimeError: time is up before the last copy.
            NotFiniteError: a score is not finite.
            MethodError: memory does not suffice.
        """
        logits = self._scores(masks)
        if len(logits) < len(masks):
            raise OutOfTimeError(
                f"Time was up after {len(logits)} of {len(masks)} pictures, and all are needed. Allow more of it."
            )
        return logits

    def first(self, masks: Masks) -> Logits:
        """The same, for as many of the first masks as there is time for."""
        return self._scores(masks)

    def stream(self, blocks: Iterable[Masks]) -> Iterator[Logits]:
        """The logits for each block of masks; the next block is only asked for when the last was answered.

        When time is up, the block at hand is answered in part, and the stream ends.

        Raises:
            NotFiniteError: a score is not finite.
            MethodError: memory does not suffice.
        """
        for number, masks in enumerate(blocks):
            if number and self._loop.budget.is_up():
                return
            yield self._scores(masks)

    @property
    def done(self) -> int:
        """Copies scored so far, those included whose scores were known."""
        return self._answered

    @property
    def asked(self) -> int:
        """Copies sent through the network so far, those included that overflowed and were sent again."""
        return self._loop.done

    @property
    def late(self) -> bool:
        """True when the time limit left some of them out."""
        return self._loop.budget.late

    @property
    def precision_used(self) -> str:
        """The type of the numbers that the network was run in, such as `float32`, or `float16 and float32`."""
        return " and ".join(self._types) or self._type(AS_IS)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know: a faster form that did not agree, memory that ran out."""
        return tuple(dict.fromkeys((*self._notes, *self._loop.notes)))

    def _scores(self, masks: Masks) -> Logits:
        if not len(masks) or masks.size != tuple(self._kept.shape[2:]):
            raise OptionError(
                f"{len(masks)} masks of {masks.size} were given for a picture of {tuple(self._kept.shape[2:])}."
            )
        known = self._answers if isinstance(masks, _DIGESTED) else None
        logits = self._asked(masks) if known is None else self._remembered(masks, known)
        self._answered += len(logits)
        return logits

    def _remembered(self, masks: Masks, answers: Answers) -> Logits:
        """What is known of these copies, or else what the network says, known from now on."""
        key = digest(self._about, masks)
        answer = answers.recall(key)
        if answer is None:
            logits = self._asked(masks)
            if len(logits) == len(masks):  # else time was up
                answers.keep(key, Answer(logits, tuple(self._types), self.notes, torch.get_rng_state()))
            return logits
        self._notes += answer.notes
        self._types |= dict.fromkeys(answer.types)
        torch.set_rng_state(answer.randomness)
        self._loop.skip(len(answer.logits))
        return answer.logits

    def _asked(self, masks: Masks) -> Logits:
        with torch.no_grad():
            stage = self._stage_for(masks)
            logits = self._loop.run(len(masks), lambda start, stop: stage.scores(masks, start, stop, self._room))
        if bool(logits.isfinite().all()):
            if stage is self._stage:
                self._types[self._type(stage.form)] = None
            return logits
        if stage.form.dtype is None:
            raise NotFiniteError(
                f"{self.classifier.name} gives scores that are not finite for some copies of this picture; it "
                "overflows or divides by zero there. Try another fill."
            )
        self._notes.append(f"{self._type(stage.form)} overflows on some copies, so the network is run as it is.")
        self._stage = self._in(AS_IS)
        return self._asked(masks)

    @property
    def _room(self) -> int:
        return self._loop.batch.size

    def _type(self, form: Form) -> str:
        return str(form.dtype or self.classifier.dtype).removeprefix("torch.")

    def _stage_for(self, masks: Masks) -> Stage:
        if self._stage is None and len(masks) >= _PROBED:
            self._stage = self._found(masks)
        return self._stage or self._in(AS_IS)

    def _in(self, form: Form) -> Stage:
        return Stage(self.classifier, form, self._kept, self._fill)

    def _found(self, masks: Masks) -> Stage:
        """`_prepared`, or the network as it is where memory does not suffice for that."""
        try:
            return self._prepared(masks)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        self._notes.append("Memory is too short to find a faster form of this network, so it is run as it is.")
        return self._in(AS_IS)

    def _prepared(self, masks: Masks) -> Stage:
        """The network in the fastest form whose scores of some of these copies agree with its own."""
        plain = self._in(AS_IS)
        rows = [i * (len(masks) - 1) // (_PROBED - 1) for i in range(_PROBED)]
        probe = torch.cat([plain.composed(masks, row, row + 1, 1).clone() for row in rows])
        found = forms(self.classifier, probe, self._loop.expected)
        if found is None:
            return plain
        self._notes += _refused(found, reduced=self.precision == "auto")
        wanted = (found.reduced, found.exact) if self.precision == "auto" else (found.exact,)
        stage = self._first_that_agrees([form for form in wanted if form], plain, probe)
        if isinstance(masks, Windows):
            stage = by_patches(stage, masks) or stage
        if self._grows:
            place = f"batch of {stage.form}, patches {stage.patches}, at {tuple(probe.shape[1:])}"
            first, largest = _GROWING.get(self.classifier.device.type, (32, 512))
            self._loop.batch = self.classifier.found.setdefault(place, BatchSize(first, largest))
        return stage

    def _first_that_agrees(self, wanted: list[Form], plain: Stage, probe: Tensor) -> Stage:
        if wanted[0] == AS_IS:
            return plain
        with preserved_randomness():
            expected = plain.ask(probe.clone())
            for form in wanted:
                stage = plain if form == AS_IS else self._agreeing(form, probe, expected)
                if stage is not None:
                    return stage
                self._notes.append(_disagrees(form))
        return plain

    def _agreeing(self, form: Form, probe: Tensor, expected: Logits) -> Stage | None:
        """The network in this form, if it gives these scores."""
        try:
            stage = self._in(form)
            scores = stage.ask(form.given(self.classifier, probe))
        except Exception:  # the network may have been taken apart since its forms were measured
            return None
        return stage if agreement(scores, expected).within(limit(form)) else None


def _refused(found: Forms, *, reduced: bool) -> Iterator[str]:
    """What measuring has found to be faster, and did not take; types of less precision only if asked for."""
    names = [form.words for form in found.refused if reduced or form.dtype is None]
    if names:
        yield f"Faster here, but not used, as it gives other scores or overflows: {'; '.join(names)}."


def _disagrees(form: Form) -> str:
    if form.dtype is None:
        return "A faster form of this network gives other scores, so it is run as it is."
    return (
        f"{str(form.dtype).removeprefix('torch.')} is faster here, but changes these scores by more than "
        f"{limit(form).deviation:.0%} of what the copies differ, so it is not used."
    )
