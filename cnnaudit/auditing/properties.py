"""Properties of whole pictures: measured in the one pass, and made cues where they go with a class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy import stats
from torch import Tensor

from cnnaudit import numbers
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.association import SURE_Z, Link, links, within_classes
from cnnaudit.auditing.casts import CAST, CHANNELS, cast_links, casts_of, direction, named
from cnnaudit.auditing.columns import values_of
from cnnaudit.auditing.cues import Cue, Editor, slug
from cnnaudit.auditing.cutting import drawn
from cnnaudit.auditing.measures import COLOUR, GREY, of_files, of_pixels
from cnnaudit.auditing.moving import Mover, move_brightness, move_contrast, move_saturation, move_sharpness
from cnnaudit.auditing.property_edits import Framed, Moved, Recompressed, Tinted
from cnnaudit.auditing.surroundings import around, of_surroundings
from cnnaudit.auditing.together import Together, together
from cnnaudit.auditing.wording import called
from cnnaudit.results.audits import CuePatch, Operation
from cnnaudit.shapes import Pixels

Values = Mapping[str, Float[np.ndarray, " n"]]

_TESTED, _TOLD = 6, 3  # cues that can be tested by an edit, and others
_STRONGEST, _PUREST, _USEFUL = 3, 2, 1  # of those tested, the first so many by each measure
_SAME = 0.9  # rank correlation from which two properties are one
_A_CLASS = 2  # cues of one property, each with another class
_SHOWN = 6
_LATTER = 0.6  # of the pictures: of two classes, a cue is rather what fewer pictures have
_MARKED = {"sharpness": -1, "JPEG quality": -1, "bytes per pixel": -1}
"""What a cue rather is, if as many have it as have not: low values of these, and high ones of others."""

_MOVERS: dict[str, Mover] = {
    "brightness": move_brightness,
    "contrast": move_contrast,
    "saturation": move_saturation,
    "sharpness": move_sharpness,
}
_CASTS = (*CHANNELS, CAST)
_COLOURS = 200  # pictures of either side that say what a cast does to colours
_CLEAR = 20  # pictures that frames and colours are taken from at least, if there are so many


def measured(pixels: Pixels, paths: Sequence[Path]) -> dict[str, Float32[Tensor, " n"]]:
    """The properties of some pictures, and of their files where there are any (one path a picture).

    A property that does not apply to a picture is NaN; grey pictures have no properties of colour.
    """
    return of_pixels(pixels) | (of_files(paths) if paths else {})


def property_cues(asked: Asked) -> list[Cue]:
    """The properties and columns that go with a class: those that tell most of it, and those that are purest.

    Two of the same class that rank the pictures alike are one. A property that goes with a class but does not sway
    the network among pictures of one class is none that it leans on, however an edit of the whole picture, object
    and all, may disturb it: snow makes pictures bright, and a network that looks at the animal alone still answers
    otherwise once the animal is darkened. None where no class has ten pictures.
    """
    values = _properties(asked) | values_of(asked.pictures.columns)
    truth = asked.pictures.truth.numpy()
    found = _distinct(asked, [link for link in _links(asked, values) if _sways(link, asked)])
    if not found:
        return []
    jointly = together(values, truth, asked.seed)
    editable = [link for link in found if _can_be_edited(link, asked)]
    others = [link for link in found if link not in editable]
    chosen = [*_best(editable, jointly), *others[:_TOLD]]
    places, beside = of_surroundings(asked)
    return [_located(asked, _cue(asked, link, jointly), link, places, beside) for link in chosen]


def _links(asked: Asked, values: Values) -> list[Link]:
    """Of each property, and of a cast in the direction that tells most of each class besides."""
    truth, predicted = asked.pictures.truth.numpy(), asked.survey.predicted.numpy()
    found, colours = links(values, truth, predicted), _properties(asked)
    return found + cast_links(casts_of(colours), truth, predicted) if CHANNELS[0] in colours else found


def _located(
    asked: Asked, cue: Cue, link: Link, places: Int64[Tensor, " m"], beside: Mapping[str, Float32[Tensor, " m"]]
) -> Cue:
    """With what the surroundings have of it; a border, and what is not measured in pixels, has no other place."""
    if link.name == "border" or link.name not in (*GREY, *COLOUR, CAST):
        return replace(cue, object_share=0.0)
    if not beside:
        return cue  # what stands in the pictures fills them
    if link.name == CAST:
        column = torch.stack([beside[name] for name in CHANNELS], 1) @ _towards(asked, link)
    else:
        column = beside[link.name]
    sides = ((of[places] == link.label).cpu() for of in (asked.pictures.truth, asked.survey.predicted))
    found = around(torch.from_numpy(link.present)[places], column, link.sign, sides)
    return replace(cue, around=found, object_share=found.object_share if found else None)


def _towards(asked: Asked, link: Link) -> Float32[Tensor, " 3"]:
    """The direction of a cast."""
    casts = casts_of(_properties(asked))
    return torch.from_numpy(direction(casts, (asked.pictures.truth == link.label).numpy())).float()


def _properties(asked: Asked) -> dict[str, np.ndarray]:
    return {name: column.double().numpy() for name, column in asked.survey.properties.items()}


def _sways(link: Link, asked: Asked) -> bool:
    score = _swayed(link, asked)
    return score is None or score > SURE_Z


def _swayed(link: Link, asked: Asked) -> float | None:
    """How the probability of the class goes with the cue within classes.

    It is known of pictures of the class, and of those that are answered so; of the others it is taken for 0, but
    where there are only two classes it is what the other leaves.
    """
    survey, own = asked.survey, (asked.pictures.truth == link.label).numpy()
    answered = torch.where(survey.predicted == link.label, survey.confidence, torch.zeros(()))
    others = 1 - survey.truthful if asked.classifier.classes == 2 else answered
    return within_classes(link.present, own, np.where(own, survey.truthful.numpy(), others.numpy()))


def _distinct(asked: Asked, found: Sequence[Link]) -> list[Link]:
    """Links of which no two say the same; of two classes, what goes with one goes against the other."""
    kept: list[Link] = []
    classes = len(asked.pictures.truth.unique())
    for link in sorted(found, key=partial(_rank, asked)):
        same_class = [other for other in kept if other.label == link.label or classes == 2]
        often = sum(other.name == link.name for other in kept) >= _A_CLASS
        if not often and not any(_alike(link, other) for other in same_class):
            kept.append(link)
    return kept


def _rank(asked: Asked, link: Link) -> tuple[float, bool, bool]:
    return -round(link.bits, 6), bool(link.present.mean() > _LATTER), not _is_marked(asked, link)


def _is_marked(asked: Asked, link: Link) -> bool:
    """Whether a cue rather is what these pictures have than what the others have; a cast is farther from grey."""
    if link.name not in _CASTS:
        return link.sign == _MARKED.get(link.name, 1)
    casts = casts_of(_properties(asked))
    here, others = (np.nanmean(casts[side], 0) for side in (link.present, ~link.present))
    return bool(np.linalg.norm(here) > np.linalg.norm(others))


def _alike(link: Link, other: Link) -> bool:
    """Whether two properties are one; a cast in one channel shows in the others as well."""
    if _is(link, other.name):
        return True
    first, second = link.values, other.values
    both = np.isfinite(first) & np.isfinite(second)
    if min(len(np.unique(first[both])), len(np.unique(second[both]))) < 2:
        return False
    ranks = stats.rankdata(first[both]), stats.rankdata(second[both])
    return abs(float(np.corrcoef(*ranks)[0, 1])) > _SAME


def _is(link: Link, name: str) -> bool:
    return link.name == name or (link.name in _CASTS and name in _CASTS)


def _can_be_edited(link: Link, asked: Asked) -> bool:
    recompressed = link.name == "JPEG quality" and bool(asked.pictures.paths)
    return recompressed or link.name in (*_MOVERS, *_CASTS, "border")


def _best(found: Sequence[Link], jointly: Together | None) -> list[Link]:
    """The strongest, the purest, and what the model of all properties uses most; then again the strongest."""
    pure = sorted(found, key=lambda link: -link.purity)
    useful = [link for name in (jointly.useful if jointly else ()) for link in found if _is(link, name)]
    order = [*found[:_STRONGEST], *pure[:_PUREST], *useful[:_USEFUL], *found]
    return list(dict.fromkeys(order))[:_TESTED]


def _cue(asked: Asked, link: Link, jointly: Together | None) -> Cue:
    present = torch.from_numpy(link.present)
    edit, operations = _editor(asked, link, present)
    label = asked.classifier.labels[link.label]
    return Cue(
        id=f"property-{slug(link.name)}-{slug(label)}",
        kind="property",
        name=_called(asked, link),
        label=link.label,
        present=present,
        association=max(link.area, 0.5),
        edit=edit,
        operations=operations,
        evidence=tuple(_evidence(asked, link, label, operations, jointly)),
        patches=partial(_pictures, asked, link),
    )


def _evidence(
    asked: Asked, link: Link, label: str, operations: tuple[Operation, ...], jointly: Together | None
) -> Iterator[str]:
    own = (asked.pictures.truth == link.label).numpy()
    yield (
        f"{link.name[0].upper()}{link.name[1:]} alone tells {label} from the rest with AUROC {link.area:.2f}, and what "
        f"the network calls {label} from the rest with {link.answered:.2f}."
    )
    words = _called(asked, link)
    yield (
        f"{words[0].upper()}{words[1:]}: {_of(link.present, own)} pictures of {label}, "
        f"{_of(link.present, ~own)} others."
    )
    score = _swayed(link, asked)
    if score is not None:
        yield (
            f"Among pictures of one class the network leans towards {label} where there is this, by a rank sum of "
            f"{score:.1f} standard errors."
        )
    if jointly:
        yield (
            f"All properties together tell {jointly.classes} classes apart with a mean recall of "
            f"{jointly.accuracy:.2f} on held-out pictures (guessing: {1 / jointly.classes:.2f})"
            + (f"; without {link.name} it is lower." if any(_is(link, name) for name in jointly.useful) else ".")
        )
    if not operations:
        yield "It cannot be changed in the pixels, so it is not tested whether the network leans on it."


def _of(present: np.ndarray, side: np.ndarray) -> str:
    return f"{numbers.count(int(present[side].sum()))} of {numbers.count(int(side.sum()))}"


def _called(asked: Asked, link: Link) -> str:
    return named(_towards(asked, link).numpy()) if link.name == CAST else called(link.name, link.sign)


def _editor(asked: Asked, link: Link, present: Tensor) -> tuple[Editor, tuple[Operation, ...]]:
    """How the property is moved, and which way that can be done."""
    own, read = asked.pictures.truth == link.label, torch.from_numpy(np.isfinite(link.values))
    inside, outside = own & present & read, ~own & ~present & read
    if not bool(inside.any()) or not bool(outside.any()) or not _can_be_edited(link, asked):
        return _never, ()
    if link.name == "border":
        framed = present if link.sign > 0 else ~present & read
        return Framed(asked, present, link.sign > 0, _clear(link, framed)), ("remove", "insert")
    if link.name in _CASTS:
        sides = (drawn(asked, side, _COLOURS) for side in (_clear(link, inside), outside))
        return Tinted.of(asked, present, *sides), ("remove", "insert")
    target, usual = (float(np.median(link.values[side.numpy()])) for side in (inside, outside))
    if link.name == "JPEG quality":
        lower, operation = (target, "insert") if link.sign < 0 else (usual, "remove")
        return Recompressed(asked, present, int(lower)), (operation,)
    return Moved(asked, present, _MOVERS[link.name], target, usual), ("remove", "insert")


def _clear(link: Link, shown: Tensor) -> Tensor:
    """Of pictures with a frame or a cast, the half in which it is more marked: near the threshold there are others."""
    marked = link.values * (1 if link.name == "border" else link.sign)
    order = np.argsort(-np.where(shown.numpy(), marked, -np.inf), kind="stable")
    clear = torch.zeros_like(shown)
    clear[torch.from_numpy(order[: max(_CLEAR, int(shown.sum()) // 2)].copy())] = True
    return clear & shown


def _never(operation: Operation, places: Sequence[int], generator: torch.Generator) -> None:
    """The editor of what cannot be edited."""


def _pictures(asked: Asked, link: Link) -> tuple[CuePatch, ...]:
    """The pictures of the class in which the property is most marked, whole."""
    own = (asked.pictures.truth == link.label).numpy() & link.present & (asked.survey.predicted >= 0).numpy()
    order = np.argsort(-link.sign * link.values, kind="stable")
    places = [int(place) for place in order if own[place]][:_SHOWN]
    pixels = asked.pictures.read(places).permute(0, 2, 3, 1).mul(255).round().clamp(0, 255).byte().numpy()
    return tuple(CuePatch(asked.pictures.names[place], shown) for place, shown in zip(places, pixels, strict=True))
