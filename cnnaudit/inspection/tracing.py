"""One forward pass, watched: which modules ran, what they returned, and what that sees of the picture."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, OptionError
from cnnaudit.inspection.failing import forward_errors
from cnnaudit.inspection.fields import Field
from cnnaudit.inspection.operations import Operation, tensors
from cnnaudit.inspection.rules import follow
from cnnaudit.results import ReceptiveField
from cnnaudit.shapes import Pixels

Sight = Field | str | None
"""What a tensor sees: None for nothing of the picture, and in words why it cannot be told."""

_WAYS_OUT: tuple[Callable[..., Any], ...] = (
    *(Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.tolist),
    *(Tensor.__deepcopy__, Tensor.__reduce_ex__),
)
"""By which values leave torch, perhaps to come back changed."""
_IN_PIECES = "it is written to piece by piece"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of one module, as it stood when the module returned.

    Attributes:
        output: the shape of the first tensor that it returned; None where there was none.
        memory: bytes of that tensor.
        is_leaf: whether no other module ran inside.
        used: parameters that operations have met so far.
        sees: the receptive field of that tensor, or in words why there is none.
    """

    name: str
    module: nn.Module
    output: tuple[int, ...] | None
    memory: int
    is_leaf: bool
    used: Set[nn.Parameter]
    sees: ReceptiveField | str


def trace(classifier: Classifier, pixels: Pixels | None = None) -> list[Call]:
    """Every call of every module in the order in which they return, for one picture (by default a grey one).

    Raises:
        OptionError: there is no picture in `pixels`, or it is not `n c h w`.
        ModelError: the network fails on it.
    """
    picture = _picture(classifier, pixels)
    modules = _observable(classifier.network)
    sights = _Sights(picture, classifier.network)
    calls: list[Call] = []

    def seen(name: str, output: Any) -> None:
        calls.append(_call(name, modules.get(name, classifier.network), output, calls[-1:], sights))

    with hooks.borrowed(classifier.network), hooks.watched(modules, seen), torch.no_grad(), _following(sights):
        with forward_errors(classifier, f"a picture of shape {tuple(picture.shape)}"):
            logits = classifier.logits(picture)
        if not calls:  # a scripted network takes no hooks
            seen("", logits)
    return calls


def _picture(classifier: Classifier, pixels: Pixels | None) -> Pixels:
    if pixels is None:
        return torch.full((1, classifier.channels, *classifier.input_size), 0.5, device=classifier.device)
    if pixels.ndim != 4 or not len(pixels):
        raise OptionError(
            f"pixels have shape {tuple(pixels.shape)}; give at least one picture, n x c x h x w in [0, 1]."
        )
    return pixels[:1].detach().to(classifier.device)


def _observable(network: nn.Module) -> dict[str, nn.Module]:
    """The modules whose calls can be watched; one that computes another's weights is a part of that one."""
    return {
        name: module
        for name, module in network.named_modules()
        if not isinstance(module, torch.jit.ScriptModule) and "parametrizations" not in name.split(".")
    }


def _call(name: str, module: nn.Module, output: Any, before: Sequence[Call], sights: "_Sights") -> Call:
    inside = {id(other) for other in module.modules()} - {id(module)}
    is_leaf = not any(id(call.module) in inside for call in before)
    found = tensors(list(output.values()) if isinstance(output, Mapping) else output)
    if not found:
        return Call(name, module, None, 0, is_leaf, sights.used, "it returns no tensor")
    tensor = found[0]
    memory = tensor.numel() * tensor.element_size()
    return Call(name, module, tuple(tensor.shape), memory, is_leaf, sights.used, _receptive_field(sights.of(tensor)))


def _receptive_field(sight: Sight) -> ReceptiveField | str:
    if not isinstance(sight, Field):
        return sight or "its output does not depend on the picture"
    try:
        return sight.receptive_field()
    except LayerError as error:
        return str(error)


@contextmanager
def _following(sights: "_Sights") -> Iterator[None]:
    with hooks.intercepted({way: partial(sights.leave, way) for way in _WAYS_OUT}), sights:
        yield


class _Sights(TorchDispatchMode):
    """Remembers what each tensor sees, by the tensor's identity, as operations make them."""

    def __init__(self, pixels: Pixels, network: nn.Module) -> None:
        super().__init__()
        self._scripted = any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())
        self._left = False
        self._sights: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        for tensor in (*network.parameters(), *network.buffers()):
            self._sights[tensor] = None
        self._sights[pixels] = Field.of_pixels(pixels.shape)
        self._written: set[int] = set()
        self.used: set[nn.Parameter] = set()

    def of(self, tensor: Tensor) -> Sight:
        """What a tensor sees. One that no operation here has made was there before, or is from outside torch."""
        if tensor not in self._sights:
            self._sights[tensor] = self._found(tensor)
        return self._sights[tensor]

    def _found(self, tensor: Tensor) -> Sight:
        if (sight := self._by_another_name(tensor)) is not None:
            return sight
        if _storage(tensor) in self._written:
            return _IN_PIECES
        return "scripted code may have fused what made it" if self._scripted else None

    def _by_another_name(self, tensor: Tensor) -> Sight:
        """What others see that share a tensor's memory, as `.data` does, or may share its values."""
        place = _storage(tensor)
        for other, sight in self._sights.items():
            if sight is not None and other is not tensor and _storage(other) == place:
                return sight if _layout(tensor) == _layout(other) else _IN_PIECES
        return "values come back from outside torch" if self._left else None

    def leave(self, way: Callable[..., Any], tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Let values out of torch: those that come in from now on may have been made from them."""
        self._left = self._left or self.of(tensor) is not None
        return way(tensor, *args, **kwargs)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result, given = func(*args, **(kwargs or {})), tensors([*args, *(kwargs or {}).values()])
        self.used.update(tensor for tensor in given if isinstance(tensor, nn.Parameter))
        returned = tensors(result)
        sights = self._follow(func, args, kwargs or {}, returned)
        if func._schema.is_mutable:
            sights = self._written_to(given, returned, sights)
        for tensor, sight in zip(returned, sights, strict=True):
            self._sights[tensor] = sight
        return result

    def _written_to(self, given: Sequence[Tensor], returned: Sequence[Tensor], sights: Sequence[Sight]) -> list[Sight]:
        """What the results of an operation in place see; what shares their memory is marked."""
        if not returned and any(self.of(tensor) is not None for tensor in given):
            for tensor in given:
                self._write(tensor, _IN_PIECES)
                self._sights[tensor] = _IN_PIECES
        for tensor, sight in zip(returned, sights, strict=True):
            self._write(tensor, sight)
        pairs = zip(returned, sights, strict=True)
        return [self._by_another_name(tensor) if sight is None else sight for tensor, sight in pairs]

    def _follow(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], returned: Sequence[Tensor]
    ) -> Sequence[Sight]:
        numbers = func is torch.ops.aten.lift_fresh.default and not self._left  # `torch.tensor(…)`
        if numbers or all(self.of(tensor) is None for tensor in tensors([*args, *kwargs.values()])):
            return [None] * len(returned)
        try:
            fields = follow(Operation.called(func, args, kwargs, returned, self._field))
        except LayerError as error:
            return [str(error)] * len(returned)
        except (TypeError, ValueError, LookupError):  # better none than a wrong one, and no reason to stop the network
            return [f"{str(func)!r} is called in a form that is not followed"] * len(returned)
        return fields if isinstance(fields, list) else [fields] * len(returned)

    def _field(self, tensor: Tensor) -> Field | None:
        sight = self.of(tensor)
        if isinstance(sight, str):
            raise LayerError(sight)
        return sight

    def _write(self, tensor: Tensor, sight: Sight) -> None:
        """Where an operation in place changes what a tensor sees, others that share its memory cannot be told."""
        before = self.of(tensor)
        if before is sight or (isinstance(before, Field) and isinstance(sight, Field) and before.same(sight)):
            return
        place = _storage(tensor)
        self._written.add(place)
        for other in list(self._sights):
            if other is not tensor and _storage(other) == place:
                self._sights[other] = _IN_PIECES


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _layout(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.dtype
