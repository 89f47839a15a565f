"""The outputs of chosen layers, from a forward pass that goes no further than it must."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnaudit.classifier import Classifier
from cnnaudit.errors import CnnAuditError, LayerError, ModelError, NotApplicableError
from cnnaudit.inspection import points
from cnnaudit.memory import is_out_of_memory
from cnnaudit.shapes import Pixels


class _SeenEnough(BaseException):
    """Ends a forward pass; no exception of the ordinary kind, which a network's own code may catch."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What one picture showed: the layers' output shapes (`channels *places`), and the memory a gradient takes."""

    shapes: Mapping[str | None, tuple[int, ...]]
    memory: int


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A network that computes what the classifier's does, and the layout in which it is given pictures."""

    network: nn.Module
    layout: torch.memory_format = torch.contiguous_format


class Watcher:
    """Asks for the outputs of some layers; the first call of a layer that is called several times counts.

    Args:
        classifier: borrowed, as long as it is asked.
        layers: None stands for the logits, without which the forward pass ends behind the last layer.
        form: what is asked in the place of the classifier's own network.

    Raises:
        LayerError: there is no such layer; the message names near matches.
        NotApplicableError: the network is scripted, and what its layers return cannot be watched.
    """

    def __init__(self, classifier: Classifier, layers: frozenset[str | None], form: Form | None = None) -> None:
        self._classifier, self._layers = classifier, layers
        self._form = form or Form(classifier.network)
        self._names = sorted(filter(None, layers))
        points.need_watchable(classifier, self._names)

    def outputs(self, pixels: Pixels) -> dict[str | None, Tensor]:
        """What the layers return, `n channels *places`, float or whatever the network computes in.

        Raises:
            ModelError: the network fails on the pictures; but memory that runs out is for the caller.
            LayerError: a layer does not run, or returns nothing that has channels.
        """
        found: dict[str | None, Tensor] = {}

        def seen(name: str, output: Any) -> None:
            if name not in found:
                found[name] = self._tensor(name, output, len(pixels))
            if len(found) == len(self._layers):
                raise _SeenEnough

        given = self._classifier.normalised(pixels).to(self._classifier.dtype)
        given = given.contiguous(memory_format=self._form.layout)
        with points.watched(self._form.network, self._names, seen):
            try:
                returned = self._form.network(given)
            except _SeenEnough:
                return found
            except CnnAuditError:
                raise
            except Exception as error:  # a forward may raise anything
                if is_out_of_memory(error):
                    raise
                own = " x ".join(map(str, self._classifier.input_size))
                raise ModelError(
                    f"{self._classifier.name} fails on pictures of {pixels.shape[2]} x {pixels.shape[3]}: {error}. "
                    f"Leave size out for its own, {own}."
                ) from error
        return self._with_logits(found, returned, len(pixels))

    def probe(self, pixels: Pixels) -> Probe:
        """The same for one picture.

        Raises:
            ModelError: the network fails on it.
            LayerError: a layer does not run, or returns nothing that has channels.
            NotApplicableError: no gradient comes back from a layer.
        """
        kept: dict[int, int] = {}
        weights = {p.untyped_storage().data_ptr() for p in self._form.network.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = self.outputs(pixels.requires_grad_())
        for name, each in outputs.items():
            if not each.requires_grad:
                raise NotApplicableError(
                    f"No gradient comes from {'the logits' if name is None else repr(name)} of {self._classifier.name} "
                    "to the picture: the network computes outside autograd (detach, no_grad, argmax). Name a layer "
                    "before that."
                )
        return Probe({name: tuple(each.shape[1:]) for name, each in outputs.items()}, sum(kept.values()))

    def _tensor(self, name: str, output: Any, n: int) -> Tensor:
        candidates = output.values() if isinstance(output, Mapping) else output
        candidates = [candidates] if isinstance(candidates, Tensor) else candidates
        first = next((each for each in candidates or () if isinstance(each, Tensor)), None)
        if first is None or first.ndim < 2 or len(first) != n:
            shape = "no tensor" if first is None else str(tuple(first.shape))
            raise LayerError(f"{name!r} returns {shape}; expected ({n}, channels, …). Name a layer that has channels.")
        return first.clone()  # an activation behind it may work in place

    def _with_logits(self, found: dict[str | None, Tensor], returned: Any, n: int) -> dict[str | None, Tensor]:
        missing = [name for name in self._names if name not in found]
        if missing:
            raise LayerError(
                f"{self._classifier.name} does not run {missing[0]!r} when it is evaluated, or cannot be watched "
                "there (a scripted network cannot). Name a layer that runs."
            )
        return found | {None: self._classifier.read(returned, n)} if None in self._layers else found


def grey_picture(classifier: Classifier, size: tuple[int, int]) -> Pixels:
    """One picture `1 c h w` of one grey, on the network's device."""
    return torch.full((1, classifier.channels, *size), 0.5, device=classifier.device)
