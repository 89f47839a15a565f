"""Finding the layer whose maps the CAM methods use, by watching a forward pass."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import pooling

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, NotApplicableError, near_matches
from cnnaudit.shapes import Pixels

_PASSED_OVER = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    pooling._MaxPoolNd,
    pooling._AvgPoolNd,
    pooling._LPPoolNd,
    pooling._AdaptiveAvgPoolNd,
    pooling._AdaptiveMaxPoolNd,
)
"""Modules behind the last activation that only thin it out; the map before them is finer."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One module's forward: which module, and what it returned."""

    name: str
    module: nn.Module
    output: Any


def find_layer(classifier: Classifier, pixels: Pixels) -> str:
    """The name of the last activation with spatial extent on the way to the logits.

    Every module's output is recorded in one forward pass. Counted is a map `n c u v` with more than
    one place and about the picture's own proportions. Pooling and dropout behind it are passed over;
    of modules that return the same tensor the outermost is named (`layer4`, not `layer4.2.relu`).

    Raises:
        NotApplicableError: there is none, or the network goes on with tokens (a vision transformer),
            whose maps would be the patch embedding and explain nothing.
    """
    key = f"cam layer at {tuple(pixels.shape[1:])}"
    if key not in classifier.found:
        try:
            classifier.found[key] = _last_spatial(_record(classifier, pixels), pixels)
        except NotApplicableError as error:
            classifier.found[key] = str(error), None
    found = classifier.found[key]
    if isinstance(found, tuple):
        raise NotApplicableError(found[0])
    return found


def find_module(classifier: Classifier, name: str) -> nn.Module:
    """The module of this name.

    Raises:
        LayerError: there is none; the message names near matches.
    """
    modules = {n: m for n, m in classifier.network.named_modules() if n}
    if name not in modules:
        some = ", ".join(list(modules)[-5:]) or "none"
        raise LayerError(
            f"{classifier.name} has no layer {name!r}.{near_matches(name, modules)} Its last ones are: {some}."
        )
    return modules[name]


def _record(classifier: Classifier, pixels: Pixels) -> list[_Call]:
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule)
    }
    calls: list[_Call] = []

    def seen(name: str, output: Any) -> None:
        calls.append(_Call(name, modules[name], output))

    with hooks.borrowed(classifier.network), hooks.watched(modules, seen), torch.no_grad():
        classifier.logits(pixels)
    return calls


def _last_spatial(calls: list[_Call], pixels: Pixels) -> str:
    for call in reversed(calls):
        if _is_tokens(call.output, len(pixels)):
            raise NotApplicableError(
                f"this network ends in a sequence of tokens ({call.name}), not in convolutional maps. "
                "Use a gradient or perturbation method, or name a layer with spatial maps yourself."
            )
        if not is_spatial(call.output, pixels):
            continue
        same = [other for other in calls if other.output is call.output]
        if not isinstance(same[0].module, _PASSED_OVER) or _overwritten(same):
            return _outermost(same, calls)
    raise NotApplicableError(
        "this network has no convolutional maps (no module returns n c u v with more than one place). "
        "Use a gradient or perturbation method."
    )


def is_spatial(output: Any, pixels: Pixels) -> bool:
    """Whether this is a map `n c u v` with more than one place, of about the picture's proportions."""
    if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != len(pixels):
        return False
    u, v = output.shape[2:]
    stretch = (u / v) / (pixels.shape[2] / pixels.shape[3])
    return u * v > 1 and 0.5 <= stretch <= 2


def _is_tokens(output: Any, n: int) -> bool:
    return isinstance(output, Tensor) and output.ndim == 3 and len(output) == n and output.shape[1] > 1


def _overwritten(same: list[_Call]) -> bool:
    """Whether an in-place activation went over the first module's output; a module around it returns it too."""
    return any(
        not isinstance(call.module, _PASSED_OVER) and not same[0].name.startswith(f"{call.name}.") for call in same
    )


def _outermost(same: list[_Call], calls: list[_Call]) -> str:
    """Of modules that return one tensor: one called once, the least nested, the last (an in-place activation)."""
    times = Counter(call.name for call in calls)
    active = [call.name for call in same if not isinstance(call.module, _PASSED_OVER)]
    once = [name for name in active if times[name] == 1]
    return min(reversed(once or active), key=lambda name: name.count("."))
