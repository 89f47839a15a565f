"""One pass over a set of pictures that hands the maps of chosen layers on as they are made."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.devices import EXACT, agreement
from cnnaudit.errors import DataError, LayerError, OptionError
from cnnaudit.inspection import points
from cnnaudit.inspection.failing import batch_errors, forward_errors, probe
from cnnaudit.inspection.layouts import Turning, by_place, not_channels_first
from cnnaudit.inspection.operations import tensors
from cnnaudit.inspection.photo_sets import PhotoSet
from cnnaudit.training.preparing import layout_for, normaliser
from cnnaudit.twins import can_have_twin, twin

Seen = Callable[[str, Tensor, Tensor], None]
"""Called with a layer's name, what it returned for a batch (`n c`, then its directions), and the pictures' places."""

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and of how many."""

_TRIED = 3
_FEWEST, _MOST, _NUMBERS = 16, 512, 1 << 22  # pictures of a batch, and numbers in it where those limits allow


def watch(
    classifier: Classifier,
    photos: PhotoSet,
    calls: Mapping[str, int],
    seen: Seen,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Send all pictures through the network and call `seen` once for each layer and batch.

    What a layer returns is handed on the moment it returns, since an operation in place may overwrite it
    later; only for a layer that is called several times a copy of each output is kept until the last, and
    they are handed on as one, `n c positions`. Where each layer is called once, the network stops behind
    the last one of them.

    Args:
        calls: how often each layer is called for a picture, as `called` found it.
        batch_size: by default the smaller the pictures are, the more.

    Returns:
        How many pictures could be read.

    Raises:
        OptionError: the batch size is below 1.
        DataError: none could be.
        LayerError: a layer is called more or less often than before, or returns something without channels.
        ModelError: the network fails on the pictures.
    """
    if batch_size is not None and batch_size < 1:
        raise OptionError(f"batch_size is at least 1; got {batch_size}.")
    network = laid_out(classifier, tuple(calls))
    layout = torch.contiguous_format if network is classifier.network else torch.channels_last
    device, dtype = classifier.device, classifier.dtype
    normalise = normaliser(classifier.mean, classifier.std, device, layout)
    fitting = _NUMBERS // (classifier.channels * math.prod(classifier.input_size))
    done, size = 0, batch_size or max(_FEWEST, min(_MOST, fitting))
    batch = _Batch(calls, seen)
    watching = points.watched(network, tuple(calls), batch.returned)
    with hooks.borrowed(classifier.network), torch.inference_mode(), watching:
        for pixels, places in photos.batches(torch.arange(len(photos)), size):
            batch.begins(places.to(device))
            given = normalise(pixels).to(dtype, memory_format=layout)  # which one channel alone does not tell
            with batch_errors(classifier, pixels), suppress(_Stop):
                network(given)
            batch.check(classifier)
            done += len(places)
            if progress:
                progress(done, len(photos))
    if not done:
        raise DataError(f"None of {len(photos)} pictures can be read. {' '.join(photos.unread[:3])}")
    return done


def called(
    classifier: Classifier, layers: Sequence[str], *, required: bool = True
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """How often each layer is called for a grey picture, and the shape of what it returns, without the batch.

    Args:
        layers: modules, or places behind them (see `points`).
        required: whether each layer must do; else those that do not are left out.

    Raises:
        LayerError: there is no such layer, it does not run, or it does not return channels, always as many.
        NotApplicableError: the network is scripted, and what its layers return cannot be watched.
        ModelError: the network fails on a grey picture.
    """
    points.need_watchable(classifier, layers)
    probed = _probed(classifier, layers, 1 if classifier.one_at_a_time else 2)
    if probed.rows - {2} and not classifier.one_at_a_time:
        alone = _probed(classifier, layers, 1)
        if alone.rows == {1} and all(probed.found[name][0] == 2 * times for name, (times, _) in alone.found.items()):
            classifier.one_at_a_time = True  # since it takes its batch apart itself
            probed = alone
    found, reasons = probed.found, probed.reasons
    maps = [name for name, (_, shape) in found.items() if len(shape) > 1]
    for name in by_place(classifier, maps, turns=probed.turns):
        reasons.setdefault(name, not_channels_first(name))
    for name in layers if required else ():
        if name in reasons:
            raise reasons[name]
        if name not in found:
            raise LayerError(f"{classifier.name} does not run {name!r} when it is evaluated. Name a layer that runs.")
    return {name: found[name] for name in layers if name in found and name not in reasons}


@dataclass(slots=True)
class _Probed:
    """What one forward pass shows of layers.

    Attributes:
        found: what `called` returns.
        reasons: what is wrong with other layers.
        rows: how many rows the layers return.
        turns: whether dimensions change places anywhere.
    """

    found: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    reasons: dict[str, LayerError] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    turns: bool = False

    def seen(self, name: str, output: Any) -> None:
        try:
            count, *channels = channels_of(name, output).shape
            times, shape = self.found.get(name, (0, tuple(channels)))
            if tuple(channels) != shape:
                raise LayerError(f"{name!r} is called several times and returns maps of several sizes. Name another.")
            self.found[name] = times + 1, shape
            self.rows.add(count)
        except LayerError as error:
            self.reasons.setdefault(name, error)


def _probed(classifier: Classifier, layers: Sequence[str], pictures: int) -> _Probed:
    probed = _Probed()
    with points.watched(classifier.network, layers, probed.seen), Turning() as turning:
        probe(classifier, pictures)
    probed.turns = turning.met
    return probed


def channels_of(name: str, output: Any) -> Tensor:
    """The first tensor that a layer returned, `n c` and up to two directions.

    Raises:
        LayerError: it has no channels.
    """
    found = tensors(output)
    if found and 2 <= found[0].ndim <= 4 and found[0].is_floating_point():
        return found[0]
    shape = tuple(found[0].shape) if found else type(output).__name__
    raise LayerError(f"{name!r} returns {shape}; units are channels of n c h w, n c length or n c. Name another layer.")


class _Stop(BaseException):
    """Leaves a forward pass behind the last layer that is wanted; no `except Exception` of its own may catch it."""


class _Batch:
    """What the layers return for one batch after another."""

    def __init__(self, calls: Mapping[str, int], seen: Seen) -> None:
        self._calls, self._seen = calls, seen
        self._stops = all(times == 1 for times in calls.values())
        self._places = torch.empty(0)
        self._times: Counter[str] = Counter()
        self._kept: dict[str, list[Tensor]] = {}

    def begins(self, places: Tensor) -> None:
        self._places = places
        self._times.clear()
        self._kept.clear()

    def returned(self, name: str, output: Any) -> None:
        maps = channels_of(name, output)
        self._times[name] += 1
        if self._calls[name] == 1 == self._times[name]:
            self._handed(name, maps)
        elif self._times[name] <= self._calls[name]:
            self._kept.setdefault(name, []).append(
                maps.flatten(2).clone() if maps.ndim > 2 else maps[..., None].clone()
            )
            if self._times[name] == self._calls[name]:
                self._handed(name, torch.cat(self._kept.pop(name), 2))
        if self._stops and len(self._times) == len(self._calls):
            raise _Stop

    def check(self, classifier: Classifier) -> None:
        for name, expected in self._calls.items():
            if self._times[name] != expected:
                raise LayerError(
                    f"{classifier.name} calls {name!r} {expected} times for one picture and {self._times[name]} times "
                    "for others. Name a layer that is always called alike."
                )

    def _handed(self, name: str, maps: Tensor) -> None:
        if len(maps) != len(self._places):
            raise LayerError(f"{name!r} returns {len(maps)} rows for {len(self._places)} pictures. Name another layer.")
        self._seen(name, maps, self._places)


def laid_out(classifier: Classifier, layers: Sequence[str]) -> nn.Module:
    """The network, or a twin of it whose maps lie channels last, where convolutions profit and it does the same."""
    network = classifier.network
    if layout_for(network, classifier.device) is not torch.channels_last or not can_have_twin(network):
        return network
    if classifier.one_at_a_time:
        return network
    key = f"channels last with {', '.join(layers)}"
    if key not in classifier.found:
        with hooks.borrowed(network), torch.no_grad():
            classifier.found[key] = _does_the_same(classifier, _twin(classifier), layers)
    return _twin(classifier) if classifier.found[key] else network


def _twin(classifier: Classifier) -> nn.Module:
    return twin(classifier.network, dtype=classifier.dtype, channels_last=True).eval()


def _does_the_same(classifier: Classifier, network: nn.Module, layers: Sequence[str]) -> bool:
    """Whether the twin's own layers run, and its scores are those of the network."""
    shape = (_TRIED, classifier.channels, *classifier.input_size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(classifier.device)
    given, ran = classifier.normalised(noise).to(classifier.dtype), set[str]()
    with forward_errors(classifier, "pictures of noise"):
        expected = classifier.read(classifier.network(given.clone()), _TRIED)
    try:
        with points.watched(network, layers, lambda name, _: ran.add(name)):
            scores = classifier.read(network(given.to(memory_format=torch.channels_last)), _TRIED)
    except Exception:  # a forward may rely on its layout
        return False
    return len(ran) == len(layers) and agreement(scores, expected).within(EXACT)
