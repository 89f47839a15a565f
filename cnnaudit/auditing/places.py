"""Fixed places: what is at one place in pictures of a class, a watermark, a border or a ruler, however faint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool

from cnnaudit import memory
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.association import Link, links
from cnnaudit.auditing.candidates import FEWEST
from cnnaudit.auditing.cues import Cue, slug
from cnnaudit.auditing.cutting import cut, drawn
from cnnaudit.auditing.interventions import screened
from cnnaudit.auditing.looks import Looks, beside, described
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.patches import on_object, patches_of
from cnnaudit.auditing.place_statistics import Place, batches, places, small
from cnnaudit.auditing.scenery import Scenery, View

_TRIED = 12
_CUES = 4
_DONORS = 64
_CUT = 100  # pictures whose parts say what is surroundings
_SAME, _MORE = 0.5, 1 / 40
"""Variance of the detail among pictures, in energies of its mean, below which it is the same in all of them: by itself,
and of what it is elsewhere in them, since parts of objects that are all placed alike are much the same too."""
_FAINTEST = 1 / 255  # root mean square of detail, below which a place is plain


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A place, and in which pictures its class's content is seen there."""

    place: Place
    link: Link


def place_cues(asked: Asked) -> list[Cue]:
    """The fixed places where pictures of a class show all but the same, those that most change the answer first.

    Other differences at a place are where a class's objects mostly stand.
    """
    found = _seen(asked, places(asked)[:_TRIED])
    if not found:
        return []
    scenery, _ = cut(asked, _CUT)
    truth = asked.pictures.truth.numpy()
    tried: list[tuple[float, Cue]] = []
    for done, each in enumerate(found):
        asked.told(done, len(found))
        cue = _cue(asked, scenery, each)
        if not cue.copied:
            continue
        common = float(each.link.present[truth == each.place.label].mean())
        tried.append((common * screened(asked, cue), cue))
    return [cue for _, cue in sorted(tried, key=lambda each: -each[0])[:_CUES]]


def _seen(asked: Asked, found: Sequence[Place]) -> list[_Seen]:
    """The places at which single pictures can be told, and in which pictures what the class shows there is.

    A picture is compared with the difference between the means, in colour and in detail, whichever tells more; the
    threshold is where it tells most, so that what a fifth of a class has is not said to be in all of it.
    """
    if not found:
        return []
    weights = torch.from_numpy(np.concatenate([place.weights for place in found])).flatten(1)
    n = len(asked.pictures)
    rows = (small(asked.pictures.read(some)).flatten(1) @ weights.T for some in batches(n))
    scores = memory.rows_of(rows, n).numpy()
    kept: list[_Seen] = []
    for k, place in enumerate(found):
        own, said = (
            (each == place.label).numpy().astype(np.int64) for each in (asked.pictures.truth, asked.survey.predicted)
        )
        columns = {"colour": scores[:, 2 * k], "detail": scores[:, 2 * k + 1]}
        told = [link for link in links(columns, own, said) if link.label == 1 and link.sign > 0]
        link = next(iter(told), None)
        if link is not None and _enough(link.present, own == 1):
            kept.append(_Seen(place, link))
    return kept


def _enough(present: Bool[np.ndarray, " n"], own: Bool[np.ndarray, " n"]) -> bool:
    return min((present & own).sum(), (~present & ~own).sum()) >= FEWEST


@dataclass(frozen=True, slots=True, eq=False)
class _At:
    """The same place in every picture."""

    inside: Bool[np.ndarray, "h w"]

    def __call__(self, _view: View) -> Bool[np.ndarray, "h w"]:
        return self.inside


def _cue(asked: Asked, scenery: Scenery, seen: _Seen) -> Cue:
    place, present = seen.place, torch.from_numpy(seen.link.present)
    own = asked.pictures.truth == place.label
    where = _At(_full(place.inside, asked.classifier.input_size))
    donors, without = (drawn(asked, side, _DONORS) for side in (present & own, ~present & ~own))
    views = scenery.views(donors)
    share = on_object(scenery, views, where)
    looks = described(views, where, around=share is not None and share < 0.5)
    same = looks.copied or _same(views, where, place)
    label = asked.classifier.labels[place.label]
    return Cue(
        id=f"place-{place.peak[0]}-{place.peak[1]}-{slug(label)}",
        kind="place",
        name=looks.name,
        label=place.label,
        present=present,
        association=seen.link.area,
        edit=Pasting(scenery, where, False, donors, without),
        attribution=place.attribution,
        object_share=share,
        area=float(where.inside.mean()),
        copied=same,
        evidence=_evidence(looks, same),
        patches=partial(patches_of, asked, scenery, where, donors),
    )


def _evidence(looks: Looks, same: bool) -> tuple[str, ...]:
    if looks.copied or not same:
        return looks.evidence
    return (*looks.evidence, "It is a copy, if a faint one: the fine detail there is all but the same.")


def _same(views: Sequence[View], where: Callable[[View], Bool[np.ndarray, "h w"]], place: Place) -> bool:
    """Whether the detail at the place is much the same in these pictures: what single ones add is less than it.

    And far less than elsewhere in them.
    """
    if len(views) < FEWEST:
        return False
    values = small(torch.from_numpy(np.stack([view.pixels for view in views])))
    detail = values[:, values.shape[1] // 2 :, torch.from_numpy(place.inside)].flatten(1).double()
    energy = detail.mean(0).square()
    if float(energy.mean().sqrt()) < _FAINTEST:
        return False
    varies = float(detail.var(0).sum() / energy.sum())
    return varies < min(_SAME, _MORE * beside([(view, where(view)) for view in views]))


def _full(inside: Bool[np.ndarray, "u v"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    rows, columns = (np.arange(full) * part // full for full, part in zip(size, inside.shape, strict=True))
    return inside[rows[:, None], columns]
