"""One question to one network about one picture, and the passes that several methods share."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_layer, find_module, is_spatial
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, MethodError, NotApplicableError, NotFiniteError
from cnnaudit.perturbation import Answers, Budget, Copies, Precision
from cnnaudit.results import Attribution, Target
from cnnaudit.shapes import Heatmap, Labelled, Logits, Marked, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class LayerMaps:
    """A layer's activations and the target score's gradient there, both `k u v`, float32."""

    name: str
    activations: Tensor
    gradients: Tensor


@dataclass(slots=True, eq=False)
class Query:
    """What a method is given: the network, the picture, the score to explain.

    A method calls `score`, `gradient`, `input_gradient`, `layer_maps` or `activations`, inside
    `hooks.borrowed(query.classifier.network)`, which `explain` enters for it.

    Attributes:
        pixels: float32, `1 c h w` in [0, 1], on the network's device.
        layer: the module that CAM methods use; None finds it.
        seed: of everything random.
        image_id: what stands for the picture in the random seed (its content's hash).
        shared: True when several methods will ask, so that one full backward pass serves all.
        budget: the time for the explanation under way, and who is told how far it is.
        answers: what is known of altered copies of this picture, where several classes are explained there.
    """

    classifier: Classifier
    pixels: Pixels
    target: Target
    layer: str | None = None
    seed: int = 0
    image_id: str = ""
    shared: bool = False
    budget: Budget = field(default_factory=Budget)
    answers: Answers | None = None
    forward_passes: int = 0
    _input_gradient: Tensor | None = field(default=None, init=False)
    _layer_maps: LayerMaps | None = field(default=None, init=False)
    _activations: tuple[str, Tensor] | None = field(default=None, init=False)

    def score(self, pixels: Pixels) -> Tensor:
        """The target score of each picture, `n`, differentiable.

        Raises:
            NotApplicableError: autograd cannot pass through the network's weights.
        """
        if any(parameter.is_inference() for parameter in self.classifier.network.parameters()):
            raise NotApplicableError(
                "this network was made inside torch.inference_mode(), so it has no gradient. Make or load it "
                "outside, or use a perturbation method such as occlusion or lime."
            )
        self.forward_passes += len(pixels)
        return self.of_logits(self.classifier.logits(pixels))

    def of_logits(self, logits: Logits) -> Tensor:
        """The target score, `n`: a logit, or the difference of two."""
        score = logits[:, self.target.index]
        return score if self.target.versus_index is None else score - logits[:, self.target.versus_index]

    def gradient(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Scores `n` and their gradient `n c h w`, each picture's own; pictures do not mix in evaluation mode."""
        pixels = pixels.detach().requires_grad_()
        scores = self.score(pixels)
        return scores.detach(), gradients_of(scores.sum(), [pixels])[0]

    def input_gradient(self) -> Tensor:
        """The gradient of the target score at the picture, `1 c h w`; computed once for all methods."""
        if self._input_gradient is None and self.shared:
            self._full_pass()
        if self._input_gradient is None:
            self._input_gradient = self.gradient(self.pixels)[1]
        return self._input_gradient

    def layer_maps(self) -> LayerMaps:
        """The layer's activations and gradient; computed once for all methods.

        For one method alone the graph is built from the layer on only: what lies before it is not
        differentiated.

        Raises:
            NotApplicableError: the network has no convolutional maps.
            LayerError: the named layer does not exist, or returns no spatial map.
        """
        if self._layer_maps is None and self.shared:
            self._full_pass()
        if self._layer_maps is None:
            self._layer_maps = self._layer_pass(self.pixels.detach(), cut=True)[0]
        return self._layer_maps

    def activations(self) -> tuple[str, Tensor]:
        """The layer's name and its maps `k u v`, float32, for methods that need no gradient; found once for all.

        Raises:
            NotApplicableError: the network has no convolutional maps.
            LayerError: the named layer does not exist, or returns no spatial map.
        """
        if self._layer_maps is not None:
            return self._layer_maps.name, self._layer_maps.activations
        if self._activations is None:
            with torch.no_grad():
                name, maps, _ = self._at_layer(self.pixels, torch.clone, self.classifier.logits)
            self.forward_passes += len(self.pixels)
            self._activations = name, maps[0].float()
        return self._activations

    def copies(self, hidden: Pixels, *, expected: int, precision: Precision, batch: int | None) -> Copies:
        """Copies of the picture, partly replaced by `hidden`, and their scores, within the budget."""
        return Copies(
            self.classifier, self.pixels, hidden, expected=expected, precision=precision, batch=batch,
            budget=self.budget, answers=self.answers,
        )  # fmt: skip

    def generator(self, method: str) -> torch.Generator:
        """A CPU generator that depends on the seed, the picture and the method, and on nothing else."""
        digest = hashlib.sha256(f"{self.seed}/{self.image_id}/{method}".encode()).digest()
        return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little", signed=False) >> 1)

    def _full_pass(self) -> None:
        """Both the input's and the layer's gradient in one pass, once; nothing where there are no usable maps."""
        self.shared = False
        with suppress(MethodError):  # the layer's own caller meets the error again
            pixels = self.pixels.detach().requires_grad_()
            self._layer_maps, self._input_gradient = self._layer_pass(pixels, cut=False)

    def _layer_pass(self, pixels: Pixels, *, cut: bool) -> tuple[LayerMaps, Tensor | None]:
        def taken(output: Tensor) -> Tensor:
            return output.detach().requires_grad_() if cut else output

        name, kept, scores = self._at_layer(pixels, taken, self.score)
        wanted = [kept] if cut else [kept, pixels]
        gradients = gradients_of(scores.sum(), wanted)
        maps = LayerMaps(name, kept.detach()[0].float(), gradients[0][0].float())
        return maps, None if cut else gradients[1]

    def _at_layer(
        self, pixels: Pixels, taken: Callable[[Tensor], Tensor], ask: Callable[[Pixels], Tensor]
    ) -> tuple[str, Tensor, Tensor]:
        """The layer's name, its output as it was taken on the way, and the answer."""
        name = self.layer or find_layer(self.classifier, self.pixels)
        module = find_module(self.classifier, name)
        kept: list[Tensor] = []

        def seen(_: str, output: Any) -> Tensor:
            if not is_spatial(output, pixels):
                raise LayerError(_not_a_map(name, output))
            kept.append(taken(output))
            return kept[-1].clone()  # an in-place operation behind the layer must not write into the map

        with hooks.watched({name: module}, seen):
            answer = ask(pixels)
        if not kept:
            raise LayerError(f"layer {name!r} takes no part in this network's forward pass; name another.")
        return name, kept[-1], answer


def to_heatmap(values: Tensor) -> Heatmap:
    """A finished map as float32 on the CPU, contiguous."""
    return values.detach().to("cpu", torch.float32).contiguous()


def finished(name: str, found: Any, pixels: Pixels) -> Attribution:
    """What a method returned, as an `Attribution` whose map is checked, float32 and on the CPU.

    Raises:
        MethodError: it is no map, or not as large as the picture.
        NotFiniteError: a value is infinite or not a number.
    """
    attribution = found if isinstance(found, Attribution) else Attribution(found)
    values = attribution.heatmap
    values = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if not isinstance(values, Tensor):
        raise MethodError(f"{name} returned {type(values).__name__}; expected a map (height, width) or an Attribution.")
    if values.shape != pixels.shape[2:]:
        raise MethodError(f"{name} returned a map of {tuple(values.shape)}; expected {tuple(pixels.shape[2:])}.")
    if not bool(torch.isfinite(values).all()):
        raise NotFiniteError(f"{name} gave values that are not finite; the network overflows or divides by zero here.")
    unsettled, regions = _marked(name, attribution.unsettled, pixels), _labelled(name, attribution.regions, pixels)
    return replace(attribution, heatmap=to_heatmap(values), unsettled=unsettled, regions=regions)


def _marked(name: str, marked: Tensor | None, pixels: Pixels) -> Marked | None:
    if marked is not None and (marked.shape != pixels.shape[2:] or marked.dtype != torch.bool):
        raise MethodError(
            f"{name} says where its map is unsettled by {marked.dtype} of shape {tuple(marked.shape)}; expected "
            f"torch.bool of {tuple(pixels.shape[2:])}."
        )
    return None if marked is None else marked.cpu()


def _labelled(name: str, labels: Tensor | None, pixels: Pixels) -> Labelled | None:
    if labels is None:
        return None
    whole = not (labels.is_floating_point() or labels.is_complex())
    if labels.shape != pixels.shape[2:] or not whole or bool((labels < 0).any()):
        raise MethodError(
            f"{name} returned regions of {labels.dtype} and shape {tuple(labels.shape)}; expected whole numbers from 0 "
            f"of {tuple(pixels.shape[2:])}."
        )
    return labels.to("cpu", torch.int32)


def resized(values: Tensor, pixels: Pixels) -> Heatmap:
    """A map `u v` enlarged to the picture's size, bilinear."""
    size = (int(pixels.shape[2]), int(pixels.shape[3]))
    return to_heatmap(F.interpolate(values[None, None], size=size, mode="bilinear", align_corners=False)[0, 0])


def gradients_of(score: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    """The gradient of a score at each tensor; zero where the score does not depend on it.

    Raises:
        NotApplicableError: the score has no gradient.
    """
    if not score.requires_grad:
        raise NotApplicableError(
            "this network's scores have no gradient (its forward detaches, runs under no_grad, or "
            "rounds). Use a perturbation method such as occlusion or lime."
        )
    found = torch.autograd.grad(score, wanted, allow_unused=True)
    return [torch.zeros_like(tensor) if g is None else g for g, tensor in zip(found, wanted, strict=True)]


def _not_a_map(name: str, output: Any) -> str:
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    return f"layer {name!r} returns {shape}, not a map (1, channels, rows, columns). Name a convolutional layer."
