"""Channels that never answer: they cost time and memory, and say nothing of any picture."""

from collections.abc import Sequence

from torch import nn

from cnnaudit.classifier import Classifier
from cnnaudit.inspection.best import Still
from cnnaudit.inspection.convolutions import known_layers
from cnnaudit.inspection.photo_sets import Photos, photo_set
from cnnaudit.inspection.points import find_point
from cnnaudit.inspection.units import unit_layers
from cnnaudit.inspection.watching import Progress, called, watch
from cnnaudit.results import DeadUnits


def dead_units(
    classifier: Classifier,
    photos: Photos,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> dict[str, DeadUnits]:
    """The channels that have one and the same value at every position of every picture, in one pass.

    They are watched behind the activation function, be it a module of its own, a function, or one that serves several
    layers, so a ReLU that is never passed counts. A channel of a layer whose output goes elsewhere first, such as into
    a residual sum, is only dead if the layer makes nothing of its input.

    Args:
        photos: a dataset (its first test counts) or a part of one, pixels `n c h w` in [0, 1], a folder of
            pictures, or a list of files.
        layers: modules that return channels, which are watched themselves, or places behind them (`conv1:ReLU`); by
            default all convolutions and linear layers that run.
        batch_size: pictures that the network is given at a time; by default the smaller they are, the more.
        progress: told after each batch.

    Returns:
        A record for each layer, by its name.

    Raises:
        OptionError: an option is out of range, or `photos` is nothing that can be read.
        LayerError: no such layer, it does not run, or it has no channels.
        NotApplicableError: there is no convolution or linear layer, or the network cannot be watched.
        DataError: no picture can be read.
        ModelError: the network fails on the pictures.
    """
    found = photo_set(classifier, photos)
    behind = unit_layers(classifier, linear=True) if layers is None else {name: name for name in known_layers(layers)}
    probed = called(classifier, tuple(dict.fromkeys(behind.values())), required=layers is not None)
    still = {name: Still(shape[0], classifier.device) for name, (_, shape) in probed.items()}
    calls = {name: times for name, (times, _) in probed.items()}
    pictures = watch(
        classifier, found, calls, lambda name, maps, _: still[name].add(maps), batch_size=batch_size, progress=progress
    )
    return {
        layer: DeadUnits(layer, name, probed[name][1][0], tuple(still[name].channels.tolist()), pictures)
        for layer, name in behind.items()
        if name in probed and not _is_by_token(classifier, layer, probed[name][1])
    }


def _is_by_token(classifier: Classifier, layer: str, shape: tuple[int, ...]) -> bool:
    """Whether a linear layer runs at many places, so that what comes first behind the batch is no channel."""
    return isinstance(find_point(classifier, layer), nn.Linear) and len(shape) > 1
