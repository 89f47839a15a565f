"""Which layers return their channels last: what stands in the channels' place is rows of the picture, or tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.modules import batchnorm, instancenorm, pooling
from torch.utils._python_dispatch import TorchDispatchMode

from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError
from cnnaudit.inspection.convolutions import is_convolution
from cnnaudit.inspection.failing import probe
from cnnaudit.inspection.operations import tensors
from cnnaudit.inspection.points import layer_of
from cnnaudit.inspection.tracing import Call, trace

_CHANNELS_FIRST = (
    *(batchnorm._NormBase, instancenorm._InstanceNorm, nn.GroupNorm, nn.Dropout2d),
    *(pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveAvgPoolNd, pooling._AdaptiveMaxPoolNd),
)


def by_place(classifier: Classifier, layers: Sequence[str], *, turns: bool | None = None) -> frozenset[str]:
    """Those of the layers whose first dimension behind that of the pictures runs over places and not over channels.

    That is told by what the dimension sees of the picture; where that is lost, as behind attention, linear layers
    and layer normalisation, which work on the last dimension, are taken to have their channels there.

    Args:
        turns: whether dimensions change places anywhere (see `Turning`), by a pass of its own where that is not known.

    Raises:
        ModelError: the network fails on a grey picture.
    """
    holders = {name: layer_of(classifier.network, name) for name in layers}
    named = {layer: classifier.network.get_submodule(layer) for layer in holders.values()}
    if all(is_convolution(module) or isinstance(module, _CHANNELS_FIRST) for module in named.values()):
        return frozenset()
    if not (_turns(classifier) if turns is None else turns):
        return frozenset()
    found = {call.name for call in trace(classifier) if call.name in named and _is_by_place(call)}
    return frozenset(name for name, layer in holders.items() if layer in found)


def need_channels_first(classifier: Classifier, layers: Sequence[str]) -> None:
    """See that none of the layers is one of these.

    Raises:
        LayerError: one is.
        ModelError: the network fails on a grey picture.
    """
    found = by_place(classifier, layers)
    for name in layers:
        if name in found:
            raise not_channels_first(name)


def not_channels_first(name: str) -> LayerError:
    """What is wrong with such a layer."""
    return LayerError(
        f"{name!r} returns its channels last, places first; maps are n c h w or n c length. Name a layer whose "
        "channels come first, such as a convolution before it."
    )


def _is_by_place(call: Call) -> bool:
    if is_convolution(call.module) or isinstance(call.module, _CHANNELS_FIRST) or len(call.output or ()) < 3:
        return False
    if call.by_place is not None:
        return call.by_place
    return isinstance(call.module, nn.Linear) or type(call.module) is nn.LayerNorm  # others permute in their forward


def _turns(classifier: Classifier) -> bool:
    with Turning() as turning:
        probe(classifier)
    return turning.met


class Turning(TorchDispatchMode):
    """Notices whether dimensions change places anywhere; where none do, channels come first everywhere."""

    met = False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        turns = func._schema.name in ("aten::permute", "aten::transpose")
        self.met = self.met or (turns and any(tensor.ndim > 2 for tensor in tensors(args[0])))
        return func(*args, **(kwargs or {}))
