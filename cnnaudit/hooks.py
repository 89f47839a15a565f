"""Every change ever made to a model, each undone on leaving a `with`.

`borrowed` is the outer shell: whatever happens inside, the network is handed back as it came. The
others are the changes that explanations need: watching a module's output, and replacing operations
while a forward pass runs. Replacing works on operations (`torch.relu`, `F.max_pool2d`, …) and not on
modules, so in-place, reused and functional forms are all met.
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import eq, is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnaudit import memory


@contextmanager
def borrowed(network: nn.Module) -> Iterator[nn.Module]:
    """Lend the network in evaluation mode, frozen, with gradients on.

    Afterwards, also after an exception, these are as before: every module's identity, `training`,
    attributes and hooks; every parameter's identity, `requires_grad` and `.grad`; every buffer's
    identity and bits; grad and inference mode; and the global random state of torch, NumPy and Python.
    Parameters are frozen inside, so nothing can write to their `.grad`. In-place activations stay in
    place: a network may rely on what they overwrite. Compiled parts run as they were written.
    """
    modules = [_ModuleState.of(module) for module in network.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    buffers = [(b, b.detach().clone()) for b in network.buffers()]
    with ExitStack() as stack:
        stack.enter_context(memory.kept())
        stack.enter_context(preserved_randomness())
        stack.callback(_restore, modules, parameters, buffers)
        if "torch._dynamo" in sys.modules:  # else nothing is compiled; compiled parts would call no hooks
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for state in modules:
            state.module.training = False
        for parameter, _, _ in parameters:
            parameter.requires_grad_(False)
        yield network


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Leave the global random state of torch (CPU and CUDA), NumPy and Python as it was."""
    ours = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    numpy, python = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(ours)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        np.random.set_state(numpy)
        random.setstate(python)


@contextmanager
def watched(modules: Mapping[str, nn.Module], seen: Callable[[str, Any], Tensor | None]) -> Iterator[None]:
    """Call `seen(name, output)` after each forward of the modules; a tensor it returns takes the output's place.

    An in-place operation behind the module may overwrite `output` later: keep a clone, or return one.
    """
    with ExitStack() as stack:
        for name, module in modules.items():
            handle = module.register_forward_hook(lambda _m, _i, output, name=name: seen(name, output))
            stack.callback(handle.remove)
        yield


@contextmanager
def fed(modules: Mapping[str, nn.Module], seen: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Call `seen(name, inputs)` before each forward of the modules, with what it is given by position, then by name."""
    with ExitStack() as stack:
        for name, module in modules.items():

            def called(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
                seen(name, (*args, *kwargs.values()))

            handle = module.register_forward_pre_hook(called, with_kwargs=True)
            stack.callback(handle.remove)
        yield


@contextmanager
def intercepted(replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> Iterator[None]:
    """Route torch operations to replacements while inside; each is called with the operation's own arguments.

    The first of these comes by position, also where it was given as `input=`. A replacement may call the
    operation it replaces: interception is off while it runs. One of an operation that works in place ends with
    `x.copy_(result)`, since others may hold `x`.
    """
    with _Interception(replacements):
        yield


class _Interception(TorchFunctionMode):
    def __init__(self, replacements: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
        super().__init__()
        self.replacements = replacements

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        replacement = self.replacements.get(func)
        if replacement is None:
            return func(*args, **(kwargs or {}))
        named = dict(kwargs or {})
        first = (named.pop("input"),) if not args and "input" in named else args
        return replacement(*first, **named)


@dataclass(frozen=True, slots=True)
class _ModuleState:
    """What one module was like: its attributes, and the contents of those that are tables, lists or sets."""

    module: nn.Module
    training: bool
    attributes: Mapping[str, Any]
    tables: Sequence[tuple[dict[Any, Any], Mapping[Any, Any]]]
    lists: Sequence[tuple[list[Any], Sequence[Any]]]
    sets: Sequence[tuple[set[Any], frozenset[Any]]]

    @classmethod
    def of(cls, module: nn.Module) -> "_ModuleState":
        attributes = dict(vars(module))
        tables = [(table, dict(table)) for table in attributes.values() if isinstance(table, dict)]
        lists = [(each, list(each)) for each in attributes.values() if isinstance(each, list)]
        sets = [(each, frozenset(each)) for each in attributes.values() if isinstance(each, set)]
        return cls(module, module.training, attributes, tables, lists, sets)

    def restore(self) -> None:
        self.module.training = self.training  # a scripted module keeps it elsewhere than in its attributes
        _put_back(vars(self.module), self.attributes)
        for table, before in self.tables:
            _put_back(table, before)
        for each, items in self.lists:
            if len(each) != len(items) or not all(map(is_, each, items)):
                each[:] = items
        for each, members in self.sets:
            if each ^ members:
                each.clear()
                each.update(members)


def _put_back(table: dict[Any, Any], before: Mapping[Any, Any]) -> None:
    if not table and not before:  # most tables of most modules: this runs around every method
        return
    same_keys = len(table) == len(before) and all(map(eq, table, before))
    if not (same_keys and all(map(is_, table.values(), before.values()))):
        table.clear()
        table.update(before)


def _restore(
    modules: Sequence[_ModuleState],
    parameters: Sequence[tuple[nn.Parameter, bool, Tensor | None]],
    buffers: Sequence[tuple[Tensor, Tensor]],
) -> None:
    for state in modules:
        state.restore()
    with torch.inference_mode():  # outside, tensors that were made in inference mode could not be changed back
        for parameter, requires_grad, grad in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for buffer, before in buffers:
            if not buffer.is_meta and not torch.equal(buffer, before):
                buffer.copy_(before)
