"""The maps of a network for one photo, the most active first."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, ModelError, NotApplicableError, OptionError
from cnnaudit.inspection.convolutions import convolutions, known_layers
from cnnaudit.inspection.failing import forward_errors
from cnnaudit.inspection.following import Following
from cnnaudit.inspection.layouts import need_channels_first
from cnnaudit.pictures import Picture, opened
from cnnaudit.results import Activations, FeatureMaps

Stage = Literal["layer", "activation"]

_FEW, _MANY = 4, 20  # blocks in the strip


def activations(
    classifier: Classifier,
    image: Picture,
    *,
    layers: Sequence[str] | None = None,
    channels: int = 16,
    stage: Stage = "layer",
) -> Activations:
    """The feature maps of layers for one photo.

    Args:
        classifier: the network, which runs on the photo once.
        image: a file, a picture, or pixels `1 c h w` in [0, 1].
        layers: names of modules that return maps; by default all convolutions that run.
        channels: at most so many maps of each are kept: those with the largest mean |value|.
        stage: "layer" for the values that the layer itself returns, "activation" for those behind the
            normalisation and the activation function that follow, where these are called on the layer's
            output alone and nothing is added in between.

    Returns:
        A record for each call of each layer, in the order in which they return; values are never rescaled.

    Raises:
        ImageError: the picture cannot be read.
        LayerError: no such layer, it does not run, it returns no maps, or their channels come last.
        NotApplicableError: the network has no convolution, or cannot be watched.
        OptionError: an option is out of range, or the pixels do not suit the network.
        ModelError: a value is not finite, or the network fails on the photo.
    """
    if channels < 1 or stage not in ("layer", "activation"):
        raise OptionError(
            f"activations takes channels of at least 1, and stage 'layer' or 'activation'; got {channels}, {stage!r}."
        )
    picture, pixels = opened(classifier, image)
    names = tuple(convolutions(classifier)) if layers is None else known_layers(layers)
    modules = {name: find_module(classifier, name) for name in names}
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules.values()):
        raise NotApplicableError(f"{classifier.name} is scripted: what its layers return cannot be watched.")
    need_channels_first(classifier, names)
    recorder = _Recorder(names, channels)
    following = Following(recorder.replace) if stage == "activation" else None

    def seen(name: str, output: Any) -> None:
        place = recorder.add(name, output, required=layers is not None)
        if following and place is not None:
            following.follow(output, place)

    watched = hooks.intercepted(following.replacements() if following else {})
    told = forward_errors(classifier, f"a picture of shape {tuple(pixels.shape)}")
    with hooks.borrowed(classifier.network), torch.no_grad(), hooks.watched(modules, seen), watched, told:
        classifier.logits(pixels)
    _all_ran(classifier, names, recorder)
    made = tuple(recorder.made)
    predictions = tuple(classifier.predict(pixels)[:5])
    return Activations(picture.name, pixels[0].cpu().numpy(), made, _strip(made), predictions)


class _Recorder:
    """Reduces each output to what is kept of it as soon as it is there, so that memory stays small."""

    def __init__(self, names: Sequence[str], channels: int) -> None:
        self._channels = channels
        self._blocks = _blocks(names)
        self.calls: dict[str, int] = {}
        self.made: list[FeatureMaps] = []

    def add(self, name: str, output: Any, *, required: bool) -> int | None:
        """Record an output; its place among those that are recorded, or None where it is passed over."""
        self.calls[name] = self.calls.get(name, 0) + 1
        if not _is_map(output):
            if required:
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise LayerError(f"{name!r} returns {found}, not maps of one picture (1, c, h, w). Name another layer.")
            return None
        self.made.append(self._reduced(name, self.calls[name], output, ()))
        return len(self.made) - 1

    def replace(self, place: int, output: Tensor, behind: tuple[str, ...]) -> None:
        """Record what became of an output instead."""
        before = self.made[place]
        self.made[place] = self._reduced(before.layer, before.call, output, behind)

    def _reduced(self, name: str, call: int, output: Tensor, behind: tuple[str, ...]) -> FeatureMaps:
        values = output[0].unsqueeze(1) if output.ndim == 3 else output[0]
        if not bool(torch.isfinite(values).all()):
            raise ModelError(f"{name!r} returns values that are not finite. Are the weights damaged?")
        flat = values.flatten(1)
        activity = flat.double().abs().mean(1).cpu()
        chosen = activity.argsort(descending=True, stable=True)[: self._channels]
        return FeatureMaps(
            layer=name,
            call=call,
            behind=behind,
            block=self._blocks[name],
            shape=(values.shape[0], values.shape[1], values.shape[2]),
            channels=tuple(chosen.tolist()),
            maps=values[chosen.to(values.device)].float().cpu().numpy().astype(np.float32),
            activity=tuple(activity[chosen].tolist()),
            silent=int((flat == 0).all(1).sum()),
            low=float(values.min()),
            high=float(values.max()),
        )


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == 1 and output.numel() > 0


def _all_ran(classifier: Classifier, names: Sequence[str], recorder: _Recorder) -> None:
    missing = [name for name in names if name not in recorder.calls]
    if missing:
        raise LayerError(
            f"{classifier.name} does not run {missing[0]!r} when it is evaluated, or runs it in a way that cannot be "
            "watched. Name a layer that runs."
        )
    if not recorder.made:
        raise NotApplicableError(f"No convolution of {classifier.name} returns maps of one picture.")


def _blocks(names: Sequence[str]) -> dict[str, str]:
    """For each layer the part of the network that it is in: the shortest names that tell a few parts apart."""
    deepest = max(name.count(".") for name in names) + 1
    for depth in range(1, deepest + 1):
        blocks = {name: ".".join(name.split(".")[:depth]) for name in names}
        if len(set(blocks.values())) >= _FEW:
            return blocks
    return {name: name for name in names}


def _strip(made: Sequence[FeatureMaps]) -> tuple[int, ...]:
    """The last record of each run of records of one block, evenly thinned where there are many."""
    ends = [place for place, maps in enumerate(made) if [m.block for m in made[place + 1 : place + 2]] != [maps.block]]
    if len(ends) <= _MANY:
        return tuple(ends)
    kept = np.linspace(0, len(ends) - 1, _MANY).round().astype(int)
    return tuple(ends[place] for place in kept.tolist())
