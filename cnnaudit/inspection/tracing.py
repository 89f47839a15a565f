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
from cnnaudit.inspection.failing import forward_errors, grey
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
_NUMBERS_OUT = (Tensor.numpy, Tensor.__array__, Tensor.tolist)
"""Those behind which the values are numbers, with which anything can be computed."""
_IN_PIECES = "it is written to piece by piece"
_BY_NUMBERS = "numbers that depend on the picture may come back from outside torch"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of one module, as it stood when the module returned.

    Attributes:
        output: the shape of the first tensor that it returned; None where there was none.
        memory: bytes of that tensor.
        is_leaf: whether no other module ran inside.
        used: parameters that operations had met by then.
        sees: the receptive field of that tensor, or in words why there is none.
        by_place: whether the first dimension behind that of the pictures runs along the picture and not over
            channels; None where it cannot be told.
    """

    name: str
    module: nn.Module
    output: tuple[int, ...] | None
    memory: int
    is_leaf: bool
    used: Set[nn.Parameter]
    sees: ReceptiveField | str
    by_place: bool | None = None


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
    open_calls: list[str] = []  # by name, the outermost first
    callers: set[int] = set()  # how deep the open ones lie that have called others

    def enters(name: str, _inputs: tuple[Any, ...]) -> None:
        callers.add(len(open_calls) - 1)
        open_calls.append(name)

    def returns(name: str, output: Any) -> None:
        while open_calls.pop() != name:  # one that raised, and whose caller went on
            callers.discard(len(open_calls))
        calls.append(_call(name, modules[name], output, len(open_calls) not in callers, sights))
        callers.discard(len(open_calls))

    with (
        hooks.borrowed(classifier.network),
        hooks.fed(modules, enters),
        hooks.watched(modules, returns),
        torch.no_grad(),
        _following(sights),
    ):
        with forward_errors(classifier, f"a picture of shape {tuple(picture.shape)}"):
            logits = classifier.logits(picture)
        if not calls:  # a scripted network takes no hooks
            calls.append(_call("", classifier.network, logits, True, sights))
    return calls


def _picture(classifier: Classifier, pixels: Pixels | None) -> Pixels:
    if pixels is None:
        return grey(classifier)
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


def _call(name: str, module: nn.Module, output: Any, is_leaf: bool, sights: "_Sights") -> Call:
    found, used = tensors(list(output.values()) if isinstance(output, Mapping) else output), sights.used
    if not found:
        return Call(name, module, None, 0, is_leaf, used, "it returns no tensor")
    tensor, sight = found[0], sights.of(found[0])
    memory = tensor.numel() * tensor.element_size()
    by_place = sight.moves(1) if isinstance(sight, Field) and tensor.ndim > 2 else None
    return Call(name, module, tuple(tensor.shape), memory, is_leaf, used, _receptive_field(sight), by_place)


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
        self._left = self._left_as_numbers = False
        self._sights: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        for tensor in (*network.parameters(), *network.buffers()):
            self._sights[tensor] = None
        self._sights[pixels] = Field.of_pixels(pixels.shape)
        self._written: set[int] = set()
        self.used: Set[nn.Parameter] = frozenset()

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
        if self.of(tensor) is not None:
            self._left = True
            self._left_as_numbers |= way in _NUMBERS_OUT
        return way(tensor, *args, **kwargs)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result, given = func(*args, **(kwargs or {})), tensors([*args, *(kwargs or {}).values()])
        if new := {tensor for tensor in given if isinstance(tensor, nn.Parameter)} - self.used:
            self.used = self.used | new  # another set each time: calls keep theirs
        if func is torch.ops.aten._local_scalar_dense.default and given[0].dtype != torch.bool:
            self._left_as_numbers |= self.of(given[0]) is not None  # `item`, `float`; an `if` alone takes a bool
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
        if self._left_as_numbers:
            return [_BY_NUMBERS] * len(returned)
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
