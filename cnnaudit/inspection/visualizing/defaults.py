"""What is visualised unless it is told."""

from collections.abc import Sequence
from typing import TypeVar

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import NotApplicableError
from cnnaudit.inspection.convolutions import convolutions
from cnnaudit.inspection.visualizing.objectives import Objective, channel, class_logit
from cnnaudit.inspection.visualizing.watching import Watcher, grey_picture

Item = TypeVar("Item")
_LAYERS = 4
_FEW_CLASSES = 10


def default_objectives(
    classifier: Classifier, *, layers: Sequence[str] | None = None, channels: int = 4
) -> tuple[Objective, ...]:
    """What a report visualises unless it is told: channels of some convolutions, and classes where there are few.

    Args:
        classifier: the network.
        layers: by default four convolutions, evenly from the second to the last.
        channels: of each layer, evenly from all. Of no more than ten classes, all are added; where there is
            no convolution, the first ten.

    Raises:
        LayerError: there is no such layer.
    """
    names = _evenly(_convolutions(classifier)[1:], _LAYERS) if layers is None else list(layers)
    found = [
        channel(name, index)
        for name, width in _widths(classifier, names).items()
        for index in _evenly(range(width), channels)
    ]
    if classifier.classes <= _FEW_CLASSES or not found:
        found += [class_logit(classifier, index) for index in range(min(classifier.classes, _FEW_CLASSES))]
    return tuple(found)


def _convolutions(classifier: Classifier) -> list[str]:
    try:
        names = list(convolutions(classifier))
    except NotApplicableError:
        return []
    return names if len(names) > 1 else names * 2  # the only one is not passed over


def _widths(classifier: Classifier, names: Sequence[str]) -> dict[str, int]:
    """How many channels each layer has."""
    if not names:
        return {}
    with hooks.borrowed(classifier.network):
        shapes = Watcher(classifier, frozenset(names)).probe(grey_picture(classifier, classifier.input_size)).shapes
    return {name: shapes[name][0] for name in names}


def _evenly(items: Sequence[Item], count: int) -> list[Item]:
    """So many of them, the last one among them."""
    last = len(items) - 1
    places = {round(last - step * last / max(1, count - 1)) for step in range(count)} if items else set()
    return [items[place] for place in sorted(places)]
