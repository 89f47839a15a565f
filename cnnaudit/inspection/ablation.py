"""What units are for: how the network's answers change when they are set to their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cnnaudit.classifier import Classifier
from cnnaudit.errors import OptionError
from cnnaudit.inspection.asking import asked_units
from cnnaudit.inspection.claims import claim, group_claim
from cnnaudit.inspection.exemplars import exemplars
from cnnaudit.inspection.groups import Alike, by_class, by_part, others
from cnnaudit.inspection.meanings import Meanings
from cnnaudit.inspection.photo_sets import Photos, photo_set
from cnnaudit.inspection.silencing import Surveyed
from cnnaudit.inspection.tallying import Run, Tally
from cnnaudit.inspection.units import activated_layers, some_layers
from cnnaudit.inspection.watching import Progress, called
from cnnaudit.results import Ablation, GroupAblation, Loss, Meaning, Share, UnitAblation

_LEVEL = 0.05
_LEAST = 0.05  # change of log-odds that is told of: of many pictures the least one is sure


def ablation(
    classifier: Classifier,
    photos: Photos,
    *,
    layer: str | None = None,
    units: int | Sequence[int] = 8,
    groups: Sequence[Sequence[int]] | None = None,
    classes: Sequence[str | int] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Ablation:
    r"""Accuracy, recall of each class, its logit and its log-odds without units, with 95 % intervals.

    A unit is set to its mean over all positions and pictures, wherever the layer returns it. The units that matter
    are found to first order: with the activations $a_p$ of a unit, their mean $\bar a$ and the log-odds $\ell$ of
    class $k$, in pictures of it those with the lowest mean of $\sum_p (\bar a - a_p)\, \partial \ell / \partial a_p$
    among the units that are more active there than on average, one class after the other (the estimate is that of
    Molchanov et al., CVPR 2019, arXiv 1906.10771, equation 8, with the mean in the place of zero). What is reported
    of them is measured, on the same pictures.

    What many units say is not lost with one of them, so groups are set to their means together: the units that fire on
    the same part of the pictures where parts are marked, and those on any background or any subject; else the units
    that help a class most by that estimate. Where recall changes, it is also measured without as many others.

    Args:
        photos: as in `exemplars`. Where the classes are not known, or not the network's own, what it answers with
            all its units counts as right.
        layer: a module that returns one tensor with channels, or a place behind one (`conv1:ReLU`); by default the
            last but one activation function behind a convolution. Behind the last, maps are often only averaged,
            and a unit's mean then shifts all classes alike. Unless it is named, groups that fire on the same are
            also of a few other layers.
        units: at most how many, or which channels.
        groups: channels of the layer to silence together; none where units are named, unless groups are.
        classes: the true class of each picture, where `photos` does not say.
        batch_size: pictures that the network is given at a time, at most.
        progress: told after each batch, of three times as many pictures as there are for each layer: each is looked
            at twice, and a third time where the recall of a group changes.

    Returns:
        The units and the groups, those first without which most changes; of groups those that stand out. Intervals
        of shares are Newcombe's for paired samples, of logits and log-odds Student's.

    Raises:
        OptionError: an option is out of range, or `photos` is nothing that can be read.
        LayerError: no such layer, it does not run, it has no channels, or no gradient leads to it.
        NotApplicableError: no layer is named and there is no convolution, or the network cannot be watched.
        DataError: no picture can be read.
        ModelError: the network fails on the pictures, or a score is not finite.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size is at least 1; got {batch_size}.")
    units = asked_units(units)
    groups = None if groups is None else [_several(group) for group in groups]
    found = photo_set(classifier, photos, classes)
    name = activated_layers(classifier)[-2:][0] if layer is None else layer
    channels = called(classifier, [name])[name][1][0]
    known = None if isinstance(units, int) else _known(name, channels, units)
    named = [] if known and groups is None else _named(name, channels, groups)
    meant = Meanings.of(photos, classifier.input_size)
    more = some_layers(classifier) if layer is None and named is None and meant else ()
    shapes = {each: shape for each, (_, shape) in called(classifier, list(dict.fromkeys([name, *more]))).items()}
    meanings = _meanings(classifier, photos, list(shapes)) if meant else {}

    def alike(each: str, surveyed: Surveyed) -> list[Alike]:
        if named is not None:
            return named
        return by_part(meanings[each], meant.regions) if meant else by_class(surveyed)

    run = Run(classifier, found, batch_size, progress, 3 * len(shapes))
    silent: list[_Silent] = []
    for each, shape in shapes.items():
        surveyed = run.survey(each, shape[0], estimate=each == name and known is None)
        count = units if isinstance(units, int) and each == name else 0
        chosen = surveyed.chosen(count) if count else dict.fromkeys(known or () if each == name else (), 0.0)
        silent.append(_Silent.of(run, each, shape, surveyed, chosen, alike(each, surveyed)))
    comparisons = sum(each.comparisons for each in silent)
    made = silent[0].units(meanings.get(name, {}), comparisons)
    grouped = [group for each in silent for group in each.groups(comparisons)]
    run.finish()
    unread = tuple(dict.fromkeys(found.unread))
    return Ablation(
        name,
        channels,
        silent[0].tally.pictures,
        run.labelled,
        known is None,
        tuple(sorted(made, key=_effect, reverse=True)),
        unread,
        tuple(sorted(grouped, key=lambda each: (each.stands_out, *_effect(each)), reverse=True)),
    )


def _effect(each: UnitAblation | GroupAblation) -> tuple[float, float]:
    """How much recall, and the log-odds, of any class change."""
    odds = [abs(loss.odds.value) for loss in each.classes if loss.odds]
    return max(abs(loss.change.value) for loss in each.classes), max(odds, default=0.0)


def _several(units: Sequence[int]) -> Sequence[int]:
    if isinstance(units, int) or isinstance(found := asked_units(units), int):
        raise OptionError(f"A group is a list of channels; got {units!r}.")
    return found


def _known(layer: str, channels: int, units: Sequence[int]) -> list[int]:
    if not units or any(not 0 <= unit < channels for unit in units):
        raise OptionError(f"Units of {layer!r} are whole numbers from 0 to {channels - 1}; got {list(units)}.")
    return list(dict.fromkeys(units))


def _named(layer: str, channels: int, groups: Sequence[Sequence[int]] | None) -> list[Alike] | None:
    return None if groups is None else [Alike(tuple(_known(layer, channels, units))) for units in groups]


def _meanings(classifier: Classifier, photos: Photos, layers: Sequence[str]) -> dict[str, dict[int, Meaning | None]]:
    """What the best patches of all units show, by layer."""
    found = exemplars(classifier, photos, layers=layers)
    return {layer.layer: {each.unit: each.meaning for each in layer.units} for layer in found.layers}


@dataclass(frozen=True, slots=True, eq=False)
class _Silent:
    """One layer, and what became of the answers without its units, then without each group.

    Attributes:
        shape: of what it returns for a picture.
        chosen: single units, with their estimates.
    """

    run: Run
    layer: str
    shape: Sequence[int]
    surveyed: Surveyed
    chosen: Mapping[int, float]
    alike: Sequence[Alike]
    tally: Tally

    @classmethod
    def of(
        cls,
        run: Run,
        layer: str,
        shape: Sequence[int],
        surveyed: Surveyed,
        chosen: Mapping[int, float],
        alike: Sequence[Alike],
    ) -> "_Silent":
        """Ask the network without them."""
        sets = [*((unit,) for unit in chosen), *(each.units for each in alike)]
        return cls(run, layer, shape, surveyed, chosen, alike, run.without(layer, shape, sets, surveyed))

    @property
    def comparisons(self) -> int:
        """Of one class without one unit or group each."""
        return (len(self.chosen) + len(self.alike)) * self.tally.classes

    def units(self, meanings: Mapping[int, Meaning | None], comparisons: int) -> list[UnitAblation]:
        """The single units, with what they fire on where that is known."""
        made = []
        for place, (unit, estimate) in enumerate(self.chosen.items()):
            whole, *classes = self._losses(self.tally, place, [unit])
            hurt = next(iter(_hurt(classes, comparisons)), None)
            doubted, meaning = _doubted(classes, comparisons), meanings.get(unit)
            said = claim(self.layer, unit, classes, hurt, doubted, meaning, labelled=self.run.labelled)
            mean, cause = float(self.surveyed.mean[unit]), self._chosen_for(unit, estimate)
            made.append(UnitAblation(unit, mean, estimate, whole, tuple(classes), hurt, doubted, meaning, said, cause))
        return made

    def _chosen_for(self, unit: int, estimate: float) -> str | None:
        """The class of which the estimate is."""
        if not estimate:
            return None
        return self.run.classifier.labels[int((self.surveyed.estimates[:, unit] - estimate).abs().argmin())]

    def groups(self, comparisons: int) -> list[GroupAblation]:
        """The groups; where recall changes the network is now asked about as many other units, too."""
        losses = [
            self._losses(self.tally, place, each.units) for place, each in enumerate(self.alike, len(self.chosen))
        ]
        hurt = [_hurt(classes, comparisons) for _, *classes in losses]
        rest = {
            place: drawn
            for place, each in enumerate(self.alike)
            if hurt[place] and (drawn := others(each.units, self.shape[0], place))
        }
        shares: dict[int, tuple[Share, ...]] = {}
        if rest:
            tally = self.run.without(self.layer, self.shape, list(rest.values()), self.surveyed)
            for row, (place, units) in enumerate(rest.items()):
                shares[place] = tuple(loss.after for loss in self._losses(tally, row, units)[1:])
        return [
            self._group(each, losses[place], hurt[place], comparisons, rest.get(place), shares.get(place, ()))
            for place, each in enumerate(self.alike)
        ]

    def _losses(self, tally: Tally, place: int, units: Sequence[int]) -> list[Loss]:
        return tally.losses(place, self.surveyed.activity[:, list(units)].mean(1))

    def _group(
        self,
        each: Alike,
        losses: Sequence[Loss],
        hurt: Sequence[int],
        comparisons: int,
        rest: tuple[int, ...] | None,
        shares: tuple[Share, ...],
    ) -> GroupAblation:
        whole, *classes = losses
        group = GroupAblation(
            layer=self.layer,
            channels=self.shape[0],
            units=each.units,
            parts=each.parts,
            helped=None if each.helped is None else self.run.classifier.labels[each.helped],
            whole=whole,
            classes=tuple(classes),
            hurt=tuple(hurt),
            doubted=_doubted(classes, comparisons),
            others=rest,
            without_others=shares,
            claim="",
        )
        return replace(group, claim=group_claim(group, labelled=self.run.labelled))


def _hurt(classes: Sequence[Loss], comparisons: int) -> list[int]:
    """The places of those whose recall changes by more than chance, the largest change first."""
    surely = [place for place, loss in enumerate(classes) if loss.p * comparisons <= _LEVEL]
    return sorted(surely, key=lambda place: -abs(classes[place].change.value))


def _doubted(classes: Sequence[Loss], comparisons: int) -> int | None:
    """The place of one whose log-odds surely change, and not by too little to matter: a fall, else the largest rise."""
    sure = {
        place: loss.odds.value
        for place, loss in enumerate(classes)
        if loss.odds and abs(loss.odds.value) >= _LEAST and loss.odds_p * comparisons <= _LEVEL
    }
    falls = [place for place, change in sure.items() if change < 0]
    if falls:
        return max(falls, key=lambda place: classes[place].activity)
    return max(sure, key=lambda place: sure[place], default=None)
