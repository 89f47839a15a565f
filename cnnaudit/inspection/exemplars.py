"""The patches of a set of pictures that excite the units of a network most."""

import math
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnaudit.classifier import Classifier
from cnnaudit.errors import ModelError, OptionError
from cnnaudit.inspection.asking import asked_units
from cnnaudit.inspection.best import Best
from cnnaudit.inspection.convolutions import known_layers
from cnnaudit.inspection.extents import extent_of
from cnnaudit.inspection.meanings import Meanings, Parts
from cnnaudit.inspection.photo_sets import Photos, PhotoSet, photo_set
from cnnaudit.inspection.points import layer_of
from cnnaudit.inspection.receptive_field import receptive_fields
from cnnaudit.inspection.units import some_layers
from cnnaudit.inspection.watching import Progress, called, watch
from cnnaudit.results import Exemplars, LayerExemplars, Meaning, Patch, ReceptiveField, UnitExemplars
from cnnaudit.results.effective_fields import Box
from cnnaudit.shapes import Photo, Pixels

_AGAIN = 64
_MEANT = 30  # best patches by which it is told what a unit shows, at most a tenth of the pictures


def exemplars(
    classifier: Classifier,
    photos: Photos,
    *,
    layers: Sequence[str] | None = None,
    k: int = 9,
    units: int | Sequence[int] | None = None,
    classes: Sequence[str | int] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Exemplars:
    """For each unit of some layers the patches that activate it most, one a picture, all in one pass.

    A unit is a channel; its activation in a picture is its largest value there, and the patch what the
    position with this value sees of the picture. Memory does not grow with the number of pictures: each unit
    keeps its best `k`, and pictures are read again at the end for the patches.

    Args:
        photos: a dataset (its first test counts) or a part of one at the network's input size, pixels
            `n c h w` in [0, 1], a folder of pictures, or a list of files.
        layers: modules that return `n c h w`, `n c length` or `n c`, or places behind them (`conv1:ReLU`); by
            default up to four activation functions behind convolutions, spread through the network, the last
            among them.
        k: patches a unit.
        units: channels, the same ones of each layer; or how many of each: those whose best patches stand out
            most (see `UnitExemplars.prominence`); by default all.
        classes: the true class of each picture, where `photos` does not say.
        batch_size: pictures that the network is given at a time; by default the smaller they are, the more.
        progress: told after each batch.

    Returns:
        For each layer the units with their patches. A unit that is the same everywhere has none.

    Raises:
        OptionError: an option is out of range, or `photos` is nothing that can be read.
        LayerError: no such layer, it does not run, or it has no channels.
        NotApplicableError: no layers are named and there is no convolution, or the network cannot be watched.
        DataError: no picture can be read.
        ModelError: the network fails on the pictures, or an activation is not finite.
    """
    if k < 1:
        raise OptionError(f"k is at least 1; got {k}.")
    units = None if units is None else asked_units(units)
    found = photo_set(classifier, photos, classes)
    names = some_layers(classifier) if layers is None else known_layers(layers)
    probed = called(classifier, names)
    meanings = Meanings.of(photos, classifier.input_size)
    kept = min(len(found), max(k, min(_MEANT, len(found) // 10) if meanings else 0))
    best = {name: Best(shape[0], kept, classifier.device) for name, (_, shape) in probed.items()}
    calls = {name: times for name, (times, _) in probed.items()}
    pictures = watch(
        classifier, found, calls, lambda name, *seen: best[name].add(*seen), batch_size=batch_size, progress=progress
    )
    fields = receptive_fields(classifier)
    holders = {name: layer_of(classifier.network, name) for name in names}
    watched = [_watched(name, fields.get(holders[name]), probed[name][1], best[name], k, units) for name in names]
    cut = _cut(classifier, found, watched)
    return Exemplars(
        pictures,
        found.truth is not None,
        _whole(found),
        tuple(_layer(layer, cut, found, meanings) for layer in watched),
        tuple(found.unread),
    )


@dataclass(frozen=True, slots=True)
class _Win:
    """A picture among a unit's best, where in the layer's output its largest value is, and that value."""

    place: int
    position: tuple[int, ...]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """What a pass has found of one layer.

    Attributes:
        wins: of each unit that varies, the pictures and positions of its best patches with the values there.
        shown: how many of these patches are cut out; all of them tell what the unit shows.
        mean, deviation, prominence: of each unit, see `UnitExemplars`.
        units: the chosen ones.
    """

    name: str
    shape: tuple[int, ...]
    field: ReceptiveField | None
    wins: Mapping[int, Sequence[_Win]]
    shown: int
    mean: Sequence[float]
    deviation: Sequence[float]
    prominence: Sequence[float]
    units: tuple[int, ...]

    @property
    def silent(self) -> tuple[int, ...]:
        """The units that are the same everywhere."""
        return tuple(unit for unit in range(self.shape[0]) if unit not in self.wins)

    def best(self, unit: int) -> Sequence[_Win]:
        """Of the patches that are cut out; none of a unit that is the same everywhere."""
        return self.wins.get(unit, ())[: self.shown]

    def box(self, position: tuple[int, ...], picture: tuple[int, int]) -> Box:
        """What a position sees."""
        if self.field is None:
            return 0, 0, picture[0] - 1, picture[1] - 1
        return extent_of(self.field, position or (0,), picture)


def _watched(
    name: str,
    field: ReceptiveField | None,
    shape: tuple[int, ...],
    best: Best,
    k: int,
    units: int | Sequence[int] | None,
) -> _Layer:
    if not best.finite:
        raise ModelError(f"{name!r} returns values that are not finite. Are the weights damaged?")
    mean, deviation = best.spread()
    values, places, positions = best.won()
    reached = values[:, :k].double()
    reached = reached.where(reached > -torch.inf, torch.nan).nanmean(1)
    prominence = torch.where(deviation > 0, (reached - mean) / deviation, 0.0)
    wins = _wins(values, places, positions, shape[1:], set(best.silent.tolist()))
    order = [unit for unit in prominence.argsort(descending=True, stable=True).tolist() if unit in wins]
    chosen = _units(name, shape[0], units, order)
    spread = mean.tolist(), deviation.tolist(), prominence.tolist()
    return _Layer(name, shape, field, wins, k, *spread, chosen)


def _wins(
    values: Tensor, places: Tensor, positions: Tensor, grid: tuple[int, ...], silent: Container[int]
) -> dict[int, list[_Win]]:
    if grid:
        where = np.stack(np.unravel_index(positions.numpy() % math.prod(grid), grid), 2).tolist()
    else:
        where = [[()] * places.shape[1]] * len(places)
    rows = zip(places.tolist(), where, values.tolist(), strict=True)
    return {
        unit: [_Win(place, tuple(position), value) for place, position, value in zip(*row, strict=True) if place >= 0]
        for unit, row in enumerate(rows)
        if unit not in silent
    }


def _units(name: str, channels: int, units: int | Sequence[int] | None, order: Sequence[int]) -> tuple[int, ...]:
    if units is None:
        return tuple(sorted(order))
    if isinstance(units, int):
        return tuple(order[:units])
    if not units or any(not 0 <= unit < channels for unit in units):
        raise OptionError(f"Units of {name!r} are whole numbers from 0 to {channels - 1}; got {list(units)}.")
    return tuple(dict.fromkeys(units))


_Key = tuple[str, int, tuple[int, ...]]
"""A layer, a picture and a position."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """What a second reading of the winners gives: the patches, and each picture's class."""

    patches: Mapping[_Key, tuple[Box, Photo]]
    labels: Mapping[int, str]


def _cut(classifier: Classifier, found: PhotoSet, layers: Sequence[_Layer]) -> _Cut:
    wanted: dict[int, set[tuple[_Layer, tuple[int, ...]]]] = defaultdict(set)
    for layer in layers:
        for win in (win for unit in layer.units for win in layer.best(unit)):
            wanted[win.place].add((layer, win.position))
    patches: dict[_Key, tuple[Box, Photo]] = {}
    labels: dict[int, str] = {}
    order = torch.tensor(sorted(wanted), dtype=torch.long)
    for pixels, numbers in found.batches(order, _AGAIN) if wanted else ():
        places = numbers.tolist()
        labels |= _labels(classifier, found, pixels, places)
        pictures = pixels.mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        for picture, place in zip(pictures, places, strict=True):
            for layer, position in wanted[place]:
                top, left, bottom, right = box = layer.box(position, picture.shape[:2])
                patch = np.ascontiguousarray(picture[top : bottom + 1, left : right + 1])
                patches[layer.name, place, position] = box, patch
    return _Cut(patches, labels)


def _labels(classifier: Classifier, found: PhotoSet, pixels: Pixels, places: Sequence[int]) -> dict[int, str]:
    """The true classes, or what the network says."""
    if found.truth is not None:
        return {place: found.labels[found.truth[place]] for place in places}
    answers = classifier.scores(pixels).argmax(1).tolist()
    return {place: classifier.labels[answer] for place, answer in zip(places, answers, strict=True)}


def _layer(layer: _Layer, cut: _Cut, found: PhotoSet, meanings: Meanings | None) -> LayerExemplars:
    channels, *grid = layer.shape
    parts = meanings.for_layer(layer.field, grid) if meanings else None
    units = tuple(_unit(layer, unit, cut, found, parts) for unit in layer.units)
    rows, columns = [1, 1, *grid][-2:]
    return LayerExemplars(layer.name, (channels, rows, columns), layer.field, layer.silent, units)


def _unit(layer: _Layer, unit: int, cut: _Cut, found: PhotoSet, parts: Parts | None) -> UnitExemplars:
    patches = tuple(
        Patch(
            win.place,
            found.names[win.place] if found.names else "",
            cut.labels[win.place],
            win.value,
            win.position,
            *cut.patches[key],
        )
        for win in layer.best(unit)
        if (key := (layer.name, win.place, win.position)) in cut.patches
    )
    return UnitExemplars(
        unit=unit,
        mean=layer.mean[unit],
        deviation=layer.deviation[unit],
        prominence=layer.prominence[unit],
        patches=patches,
        meaning=_meaning(layer, unit, parts) if parts else None,
    )


def _meaning(layer: _Layer, unit: int, parts: Parts) -> Meaning | None:
    return parts.of([(win.place, win.position) for win in layer.wins.get(unit, ())])


def _whole(found: PhotoSet) -> tuple[tuple[str, float], ...]:
    if found.truth is None:
        return ()
    counts = Counter(found.truth).most_common()
    return tuple((found.labels[index], count / len(found)) for index, count in counts)
