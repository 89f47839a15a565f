"""Which operation takes from which, and in which module, in one forward pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.inspection.failing import forward_errors, grey
from cnnaudit.inspection.operations import tensors

PICTURE = -1
"""The source of what is made from the pixels alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One operation that depends on the picture.

    Attributes:
        name: torch's, without the underscore of one that works in place.
        calls: the calls of modules that it ran in, the outermost first: numbers of `Flow.modules`.
        sources: the operations whose results it takes, by number, each once.
        shape: of its result, without the batch.
    """

    name: str
    calls: tuple[int, ...]
    sources: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """All operations in order; for each call of a module, the module's name and what called it."""

    runs: tuple[Run, ...]
    modules: tuple[str, ...]
    callers: tuple[int | None, ...]


def flow(classifier: Classifier) -> Flow:
    """What runs for a grey picture.

    Raises:
        ModelError: the network fails on it.
    """
    picture = grey(classifier)
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if not isinstance(module, torch.jit.ScriptModule) and "parametrizations" not in name.split(".")
    }
    watch = _Watch(picture)
    with (
        hooks.borrowed(classifier.network),
        hooks.fed(modules, watch.enter),
        hooks.watched(modules, watch.leave),
        torch.no_grad(),
        watch,
        forward_errors(classifier, "a grey picture"),
    ):
        classifier.logits(picture)
    return Flow(tuple(watch.runs), tuple(watch.modules), tuple(watch.callers))


class _Watch(TorchDispatchMode):
    """Notes each operation on what is made from the picture, and which of them made each tensor."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.runs: list[Run] = []
        self.modules: list[str] = []
        self.callers: list[int | None] = []
        self._open: list[int] = []
        self._makers: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._makers[picture] = PICTURE

    def enter(self, name: str, inputs: tuple[Any, ...]) -> None:
        """A module is called."""
        self.callers.append(self._open[-1] if self._open else None)
        self._open.append(len(self.modules))
        self.modules.append(name)

    def leave(self, name: str, output: Any) -> None:
        """It returns."""
        self._open.pop()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given, returned = tensors([*args, *(kwargs or {}).values()]), tensors(result)
        sources = dict.fromkeys(self._makers[tensor] for tensor in given if tensor in self._makers)
        if sources and returned:
            name = func._schema.name.partition("::")[2].removesuffix("_")
            for tensor in returned:
                self._makers[tensor] = len(self.runs)
            shape = tuple(returned[0].shape[1:])
            self.runs.append(Run(name, tuple(self._open), tuple(sources), shape))
        return result
