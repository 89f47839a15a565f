"""The layers of a network in the order in which they run."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.inspection.tracing import Call, trace
from cnnaudit.results import ArchitectureFacts, LayerFacts, ReceptiveField
from cnnaudit.shapes import Pixels


def summarize(classifier: Classifier, *, pixels: Pixels | None = None) -> ArchitectureFacts:
    """One row for each call of a module that calls no other, or that holds or uses parameters itself.

    Multiply-adds are counted as torchinfo 1.8 counts them: each weight and bias of a convolution once
    for each position of the output, those of every other layer once (also of a linear layer that runs
    at many positions, and of attention none).

    Args:
        classifier: its network runs once, on one picture.
        pixels: whose first picture is used; by default a grey one of the network's input size.

    Returns:
        The rows in the order in which the calls return. `parameters` also counts those of modules that
        did not run.

    Raises:
        OptionError: there is no picture in `pixels`, or it is not `n c h w`.
        ModelError: the network fails on it.
    """
    parameters = list(classifier.network.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    calls = trace(classifier, pixels)
    with hooks.borrowed(classifier.network), torch.no_grad():
        layers = tuple(_layers(calls))
    return ArchitectureFacts(
        layers=layers,
        parameters=sum(p.numel() for p in parameters),
        trainable=trainable,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        memory=sum(layer.memory for layer in layers),
    )


def _layers(calls: list[Call]) -> Iterator[LayerFacts]:
    ran, counted = {call.module for call in calls}, set[nn.Parameter]()
    for call in calls:
        own = _own_parameters(call, ran, counted)
        if own or call.is_leaf:
            yield _layer(call, sum(p.numel() for p in own - counted))
        counted |= own


def _own_parameters(call: Call, ran: set[nn.Module], counted: set[nn.Parameter]) -> set[nn.Parameter]:
    """Those that the module holds itself, and new ones of modules in it that it uses without calling them."""
    if call.is_leaf:
        return set(call.module.parameters())
    idle = (module for module in call.module.modules() if module not in ran)
    lent = {p for module in idle for p in module.parameters(recurse=False) if p in call.used}
    return (lent - counted) | set(call.module.parameters(recurse=False))


def _layer(call: Call, parameters: int) -> LayerFacts:
    kind = str(getattr(call.module, "original_name", type(call.module).__name__))  # of a scripted module
    output = call.output or ()
    return LayerFacts(
        name=call.name,
        kind=kind,
        kernel=_window(call, "kernel_size"),
        stride=_window(call, "stride"),
        padding=_window(call, "padding"),
        dilation=_window(call, "dilation"),
        output_shape=output[1:],
        parameters=parameters,
        multiply_adds=_multiply_adds(call.module, kind, output),
        memory=call.memory,
        receptive_field=call.sees if isinstance(call.sees, ReceptiveField) else None,
    )


def _window(call: Call, name: str) -> tuple[int, ...] | None:
    """An attribute of a module that slides a window, a number for each direction; a user's own may mean anything."""
    if not hasattr(call.module, "kernel_size"):
        return None
    value = getattr(call.module, name, None)
    if name == "padding" and value in ("same", "valid"):  # the padding that keeps the size, and none
        kernel = _window(call, "kernel_size") or ()
        dilation = _window(call, "dilation") or (1,) * len(kernel)
        return tuple(d * (k - 1) // 2 if value == "same" else 0 for k, d in zip(kernel, dilation, strict=False)) or None
    if isinstance(value, int):
        return (value,) * max(1, len(call.output or ()) - 2)
    if not isinstance(value, tuple | list) or not value or not all(isinstance(size, int) for size in value):
        return None
    return tuple(value)


def _multiply_adds(module: nn.Module, kind: str, output: tuple[int, ...]) -> int:
    if any(name != "parametrizations" for name, _ in module.named_children()):
        return 0
    total = 0
    for name, weight in _weights(module):
        if name in ("weight", "bias"):
            total += weight.numel() * math.prod(output[:1] + output[2:] if "Conv" in kind else output[:1])
        elif "weight" in name or "bias" in name:  # of a recurrent layer
            total += weight.numel() * math.prod(output[:2])
    return total


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights that a module computes with, also where they are computed from its parameters."""
    for name, parameter in module.named_parameters(recurse=False):
        yield name.removesuffix("_orig"), parameter
    for name, child in module.named_children():
        if name == "parametrizations":
            yield from ((computed, getattr(module, computed)) for computed, _ in child.named_children())
