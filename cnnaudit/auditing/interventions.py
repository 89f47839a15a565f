"""Does the network lean on a cue? Put it in, take it out, and compare with a placebo on the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.cues import Cue, Edited
from cnnaudit.auditing.shelf import Outcome
from cnnaudit.classifier import Classifier
from cnnaudit.inspection.failing import batch_errors
from cnnaudit.results import Change, Edit, Effect, Exchange
from cnnaudit.results.audits import Operation
from cnnaudit.shapes import Pixels
from cnnaudit.training.metrics import share

Tested: TypeAlias = tuple[Cue, tuple[Effect, ...], tuple[Edit, ...]]

MOST = 96
"""Pictures that a cue is put into, or taken out of."""
MOST_COPIED = 4 * MOST
"""The same of a copy: a third of the effect counts of it, which takes more pictures to tell from none."""
SCREENED = 14
"""Pictures that a candidate is tried on before it is chosen to be tested, on others."""
_BATCH = 32
_DRAWS = 4999
_SHOWN = 3


def tested(asked: Asked, cues: Sequence[Cue]) -> list[Tested]:
    """The effects of each cue on the probability of its class, with some pictures to look at.

    p is that of a test by random signs of the differences to the placebo, one-sided in the direction in which the
    cue would act, and adjusted over all cues and operations (Benjamini and Hochberg, JRSS B 57, 1995).
    """
    found: list[Tested] = []
    for done, cue in enumerate(cues):
        asked.told(done, len(cues))
        found.append((cue, *asked.shelf.outcome(cue, partial(_outcome, asked, cue))))
    return _adjusted(found)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One effect, p not yet adjusted, and pictures of it.

    Attributes:
        rows: of each picture before, after and with the placebo: the probability of the cue's class, and whether it is
            the answer (1) or not (0).
    """

    effect: Effect
    edits: tuple[Edit, ...]
    rows: Float64[np.ndarray, "n 6"]


def _outcome(asked: Asked, cue: Cue) -> Outcome:
    made = [each for operation in cue.operations if (each := measured(asked, cue, operation)) is not None]
    rows = {each.effect.operation: each.rows for each in made}
    effects = [
        replace(each.effect, exchange=exchanged(rows["insert"], rows["remove"]))
        if each.effect.operation == "insert" and "remove" in rows
        else each.effect
        for each in made
    ]
    return tuple(effects), tuple(edit for each in made for edit in each.edits)


def exchanged(put_in: Float64[np.ndarray, "n 6"], taken_out: Float64[np.ndarray, "m 6"]) -> Exchange:
    """How often the answers go with a cue that leaves one picture and is in another, in pairs drawn at random.

    It is not carried from the one to the other: both are drawn at random, each has an edit of its own, and what is put
    in comes from any picture that has the cue, or from none.
    """
    pairs = min(len(put_in), len(taken_out))
    without, having = (rows[:pairs, 1::2].astype(bool) for rows in (put_in, taken_out))
    before = having[:, 0] & ~without[:, 0]
    after, placebo = ((without[:, k] & ~having[:, k]) for k in (1, 2))
    return Exchange(*(share(int(each.sum()), pairs) for each in (before, after, placebo)))


def recipients(asked: Asked, cue: Cue, operation: Operation) -> list[int]:
    """Pictures to put the cue into: of other classes, without it; or to take it out of: of its class, with it."""
    own = asked.pictures.truth == cue.label
    fitting = (own & cue.present) if operation == "remove" else (~own & ~cue.present)
    return fitting.nonzero().squeeze(1).tolist()


def measured(asked: Asked, cue: Cue, operation: Operation, *, screening: bool = False) -> Measured | None:
    """What putting a cue in, or taking it out, does; None where there is nothing to edit.

    Args:
        screening: on the few pictures that are set apart for choosing what to test.
    """
    random = torch.Generator().manual_seed(asked.seed)
    fitting = recipients(asked, cue, operation)
    order = torch.randperm(len(fitting), generator=random).tolist()
    apart = min(SCREENED, len(order) // 4)
    most = MOST_COPIED if cue.copied else MOST
    order = order[:apart] if screening else order[apart : apart + most]
    rows: list[Tensor] = []
    donors: list[int] = []
    shown: list[Edit] = []
    for start in range(0, len(order), _BATCH):
        edited = cue.edit(operation, [fitting[k] for k in order[start : start + _BATCH]], random)
        if edited is None:
            continue
        answers = _asked(asked.classifier, edited, cue.label)
        told = answers.isfinite().all(1)  # a network may fail on an edited picture
        rows.append(answers[told])
        donors += [donor for donor, known in zip(edited.donors, told.tolist(), strict=False) if known]
        if len(shown) < _SHOWN and bool(told.all()):
            shown += _edits(asked, operation, edited, answers)[: _SHOWN - len(shown)]
    if sum(map(len, rows)) < 2:
        return None
    found = torch.cat(rows).double().numpy()
    return Measured(_effect(operation, found, donors, random), tuple(shown), found)


def screened(asked: Asked, cue: Cue) -> float:
    """How much the cue changes the answers in a few pictures, over the placebo; the larger of putting in and out."""
    made = [measured(asked, cue, operation, screening=True) for operation in cue.operations]
    return max((each.effect.size for each in made if each), default=0.0)


def _asked(classifier: Classifier, edited: Edited, label: int) -> Tensor:
    """Of each picture before, after and with the placebo: the class's probability, and whether it is the answer."""
    columns: list[Tensor] = []
    for pixels in (edited.before, edited.after, edited.placebo):
        probabilities = answers(classifier, pixels)
        columns += [probabilities[:, label], (probabilities.argmax(1) == label).float()]
    return torch.stack(columns, 1)


def answers(classifier: Classifier, pixels: Pixels) -> Tensor:
    """The probability of each class, `n k`, float32, on the CPU."""
    with hooks.borrowed(classifier.network), torch.no_grad(), batch_errors(classifier, pixels):
        return classifier.logits(pixels.to(classifier.device)).float().softmax(1).cpu()


def _effect(
    operation: Operation, rows: Float64[np.ndarray, "n 6"], donors: Sequence[int], random: torch.Generator
) -> Effect:
    before, was, after, now, placebo, then = rows.T
    weights = _weights(len(rows), donors, random)
    turns = 1 if operation != "remove" else -1
    flips, placebo_flips = ((turns * (each - was) > 0).sum() for each in (now, then))
    return Effect(
        operation,
        len(rows),
        effect=_mean(after - before, weights),
        placebo=_mean(placebo - before, weights),
        difference=_mean(after - placebo, weights),
        flips=int(flips),
        placebo_flips=int(placebo_flips),
        p=_chance(turns * (after - placebo), donors, random),
        p_adjusted=1.0,
        donors=len(set(donors)) if donors else None,
    )


def _weights(n: int, donors: Sequence[int], random: torch.Generator) -> Float64[np.ndarray, "b n"]:
    """How often each row is in a bootstrap sample.

    Each edited picture is another one, but several may have the cue from the same donor. Donors are drawn with all
    their rows, which takes in both sources of chance (Cameron, Gelbach and Miller, Review of Economics and Statistics
    90, 2008).
    """
    group, count = _groups(n, donors)
    draws = torch.randint(count, (_DRAWS, count), generator=random)
    times = torch.zeros(_DRAWS, count, dtype=torch.float64)
    times.scatter_add_(1, draws, torch.ones(draws.shape, dtype=torch.float64))
    return times.numpy()[:, group]


def _groups(n: int, donors: Sequence[int]) -> tuple[Int64[np.ndarray, " n"], int]:
    """The number of each row's donor, and how many there are; each row is its own, where there are none."""
    if not donors:
        return np.arange(n), n
    known, group = np.unique(donors, return_inverse=True)
    return group, len(known)


def _mean(values: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, "b n"]) -> Change:
    low, high = np.quantile(weights @ values / weights.sum(1), [0.025, 0.975])
    return Change(float(values.mean()), float(low), float(high))


def _chance(values: Float64[np.ndarray, " n"], donors: Sequence[int], random: torch.Generator) -> float:
    """How likely so large a mean is if each donor's values were as likely negative."""
    group, count = _groups(len(values), donors)
    sums = np.bincount(group, values, count)
    signs = torch.randint(2, (_DRAWS, count), generator=random).double().mul(2).sub(1).numpy()
    as_large = (signs @ sums >= sums.sum() - 1e-12).sum()
    return float((as_large + 1) / (_DRAWS + 1))


def _adjusted(found: list[Tested]) -> list[Tested]:
    from scipy.stats import false_discovery_control

    ps = [effect.p for _, effects, _ in found for effect in effects]
    adjusted = iter(false_discovery_control(ps).tolist() if ps else [])
    return [
        (cue, tuple(replace(effect, p_adjusted=float(next(adjusted))) for effect in effects), edits)
        for cue, effects, edits in found
    ]


def _edits(asked: Asked, operation: Operation, edited: Edited, rows: Tensor) -> list[Edit]:
    trio = (edited.before, edited.after, edited.placebo)
    return [
        Edit(
            asked.pictures.names[place],
            operation,
            *(_photo(pixels[k]) for pixels in trio),
            probability_before=float(rows[k, 0]),
            probability_after=float(rows[k, 2]),
            probability_placebo=float(rows[k, 4]),
        )
        for k, place in enumerate(edited.places)
    ]


def _photo(pixels: Tensor) -> np.ndarray:
    return pixels.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
