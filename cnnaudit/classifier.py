"""A `Classifier` is a network with its geometry, normalisation and labels."""

import hashlib
import operator
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.errors import ModelError, OptionError, near_matches
from cnnaudit.geometry import Interpolation, fit, known_interpolation, known_resize, known_size, per_channel
from cnnaudit.results import Image, ModelFacts, Prediction, Target
from cnnaudit.shapes import Logits, Pixels


class Classifier:
    """Any network that maps pictures to class scores, ready to be asked.

    Normalisation happens inside, so every method works on pixels in [0, 1], and the picture shown is
    the picture the network saw. The network is never changed; it is evaluated in evaluation mode.

    Args:
        network: its forward takes `n c h w` and returns logits `n k`, or a tuple, list, mapping or
            object that holds them (`logits`, else the first 2-D tensor). One output column is read
            as the logit of the second of two classes.
        labels: a name for each class; by default "class 0", "class 1", ….
        input_size: height and width in pixels that the network is given, or one number for both.
        mean, std: of the normalisation, a value a channel; by default none is done.
        channels: of the network's input; by default found by probing (3, then 1).
        resize_size: the picture's shorter side is resized to this, then the centre is cropped; by
            default the shorter side goes straight to `input_size`.
        interpolation: of the resizing, on Pillow's antialiased filters.
        device: where to move the network ("auto": leave it where it is).

    Attributes:
        one_at_a_time: whether the network is given single pictures alone, as one that fixes its batch must be.

    Raises:
        ModelError: the network fails on a probe picture, or returns no logits.
        OptionError: the arguments contradict each other or the network.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        labels: Sequence[str] | None = None,
        input_size: int | tuple[int, int] = (224, 224),
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        channels: int | None = None,
        resize_size: int | None = None,
        interpolation: Interpolation = "bilinear",
        device: str | torch.device | None = None,
        name: str = "",
        architecture: str = "",
        source: str = "given as a module",
        notes: Sequence[str] = (),
    ) -> None:
        self.network = _unwrap(network)
        if device not in (None, "auto"):
            _move(self.network, device)
        self.input_size = known_size(input_size)
        self.resize_size = known_resize(resize_size)
        self.interpolation: Interpolation = known_interpolation(interpolation)
        self.one_at_a_time = False
        self.channels, self.classes = self._probe(channels)
        self.mean = per_channel(mean, 0.0, self.channels, "mean")
        self.std = per_channel(std, 1.0, self.channels, "std")
        self.labels = _labels(labels, self.classes)
        self.name = name or type(self.network).__name__
        self.architecture = architecture or type(self.network).__name__
        self.source = source
        self.notes = tuple(notes)
        self.found: dict[str, Any] = {}  # what probing has found of this network, kept for the next question

    @property
    def device(self) -> torch.device:
        """Where the network is now."""
        return _place(self.network)[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's own numbers."""
        return _place(self.network)[1]

    def prepare(self, image: Image) -> Pixels:
        """Resize, crop and convert a picture to `1 c h w` in [0, 1], float32, on the network's device."""
        photo = fit(image.pixels, self.input_size, self.resize_size, self.interpolation, self.channels)
        pixels = torch.from_numpy(photo).permute(2, 0, 1).unsqueeze(0)
        return pixels.to(self.device).to(torch.float32).div(255).contiguous()

    def logits(self, pixels: Pixels) -> Logits:
        """Scores `n k`, float32, differentiable; the caller holds the network with `hooks.borrowed`.

        Raises:
            ModelError: the network returns something other than one row of scores a picture.
        """
        if pixels.ndim != 4 or pixels.shape[1] != self.channels:
            raise OptionError(
                f"pixels have shape {tuple(pixels.shape)}; this network takes n x {self.channels} x h x w in [0, 1]."
            )
        if self.one_at_a_time and len(pixels) > 1:
            return torch.cat([self.logits(picture) for picture in pixels.split(1)])
        return self.read(self.network(self.normalised(pixels).to(self.dtype)), len(pixels))

    def normalised(self, pixels: Pixels) -> Pixels:
        """What the network is given for these pixels, `n c h w`, in their own dtype."""
        mean = torch.tensor(self.mean, dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1)
        return (pixels - mean) / std

    def read(self, output: Any, n: int) -> Logits:
        """The scores `n k`, float32, in what the network's forward returned for `n` pictures.

        Raises:
            ModelError: there are none.
        """
        scores = find_logits(output, n).float()
        return torch.cat([torch.zeros_like(scores), scores], 1) if scores.shape[1] == 1 else scores

    def scores(self, pixels: Pixels) -> Logits:
        """Scores `n k` without gradients, the network borrowed and returned."""
        with hooks.borrowed(self.network), torch.no_grad():
            return self.logits(pixels.to(self.device))

    def predict(self, pixels: Pixels) -> list[Prediction]:
        """All classes for one picture `1 c h w`, the most probable first.

        Raises:
            OptionError: there is more than one picture.
            ModelError: the scores are not finite.
        """
        if len(pixels) != 1:
            raise OptionError(f"predict takes one picture, 1 c h w; got {len(pixels)}. Use scores() for a batch.")
        logits = self.scores(pixels)[0].cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(f"{self.name} gives scores that are not finite. Are its weights damaged?")
        probabilities = logits.double().softmax(0)
        order = sorted(range(self.classes), key=lambda k: (-float(logits[k]), k))
        return [Prediction(self.labels[k], k, float(probabilities[k]), float(logits[k])) for k in order]

    def index(self, label: str | int) -> int:
        """The class that a label or an index names.

        Raises:
            OptionError: there is no such class; the message names near matches.
        """
        named = self._named(label) if isinstance(label, str) else None
        if named is not None:
            return named
        try:
            index = int(label) if isinstance(label, str) else operator.index(label)
        except (ValueError, TypeError):
            raise OptionError(
                f"{self.name} has no class {label!r}.{near_matches(str(label), self.labels)} "
                f"Give a label or an index from 0 to {self.classes - 1}."
            ) from None
        if not 0 <= index < self.classes:
            raise OptionError(f"{self.name} has the classes 0 to {self.classes - 1}; got {index}.")
        return index

    def _named(self, label: str) -> int | None:
        """The class of this name; upper and lower case count only where two classes differ in nothing else."""
        exact = [k for k, known in enumerate(self.labels) if known == label]
        matches = exact or [k for k, known in enumerate(self.labels) if known.lower() == label.lower()]
        if len(matches) > 1:
            known = ", ".join(f"{self.labels[k]!r}: {k}" for k in matches)
            raise OptionError(f"{label!r} names several classes ({known}). Give the index.")
        return matches[0] if matches else None

    def target(self, label: str | int, versus: str | int | None = None) -> Target:
        """The score to explain: a class's logit, or its difference to `versus`."""
        index = self.index(label)
        if versus is None:
            return Target(index, self.labels[index])
        other = self.index(versus)
        if other == index:
            raise OptionError(f"The target and its contrast are the same class, {self.labels[index]!r}.")
        return Target(index, self.labels[index], other, self.labels[other])

    def facts(self) -> ModelFacts:
        """What identifies the network, its weights' hash included."""
        return ModelFacts(
            name=self.name,
            architecture=self.architecture,
            source=self.source,
            sha256=self._weights_hash(),
            input_size=self.input_size,
            mean=self.mean,
            std=self.std,
            parameters=sum(p.numel() for p in self.network.parameters()),
            labels=self.classes,
            notes=self.notes,
            channels=self.channels,
            resize_size=self.resize_size,
            interpolation=self.interpolation,
        )

    def _weights_hash(self) -> str:
        """Computed anew only when a tensor was written to or replaced since, as its place and sum tell."""
        state = {name: t for name, t in self.network.state_dict().items() if isinstance(t, Tensor)}
        seen = [(t.data_ptr(), 0 if t.is_inference() else t._version, float(t.sum())) for t in state.values()]
        if self.found.get("weights seen") != seen:
            self.found["weights hash"] = _sha256(state)
            self.found["weights seen"] = seen
        return self.found["weights hash"]

    def _probe(self, channels: int | None) -> tuple[int, int]:
        failures = []
        for candidate, pictures in product((channels,) if channels else (3, 1), (2, 1)):
            probe = torch.zeros(pictures, candidate, *self.input_size, device=self.device, dtype=self.dtype)
            try:
                with hooks.borrowed(self.network), torch.no_grad():
                    columns = find_logits(self.network(probe), pictures).shape[1]
            except ModelError:
                raise
            except Exception as error:  # whatever a user's forward raises, it is the answer to this probe
                said = str(error).splitlines()[0] if str(error) else repr(error)
                failures += [f"with {candidate} channels: {said}"] if pictures == 1 else []
                continue
            self.one_at_a_time = pictures == 1
            return candidate, max(columns, 2)
        raise ModelError(
            f"{type(self.network).__name__} fails on a picture of {self.input_size[0]}x{self.input_size[1]} "
            f"({'; '.join(failures)}). Give its input_size (and channels)."
        )


def find_logits(output: Any, n: int) -> Tensor:
    """The tensor `n k` in what a forward returned: itself, `.logits`, or the first that fits.

    Raises:
        ModelError: there is none.
    """
    candidates = _candidates(output)
    for tensor in candidates:
        if tensor.ndim == 2 and len(tensor) == n:
            return tensor
        if tensor.ndim > 2 and len(tensor) == n and all(size == 1 for size in tensor.shape[2:]):
            return tensor.flatten(1)
        if tensor.ndim == 1 and len(tensor) == n:
            return tensor.unsqueeze(1)
    for tensor in candidates if n == 1 else ():
        if tensor.ndim < 2:  # the network squeezed its batch away
            return tensor.reshape(1, -1)
    found = ", ".join(str(tuple(t.shape)) for t in candidates) or type(output).__name__
    raise ModelError(f"The network returned {found}; expected logits of shape ({n}, classes).")


def _candidates(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return [named]
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return [value for value in values if isinstance(value, Tensor)]


def _unwrap(network: nn.Module) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise OptionError(f"Classifier takes a torch.nn.Module; got {type(network).__name__}.")
    wrapped = isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner = network.module if wrapped else getattr(network, "_orig_mod", None)
    return _unwrap(inner) if isinstance(inner, nn.Module) else network


def _move(network: nn.Module, device: str | torch.device | None) -> None:
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"The network cannot be moved to {device!r}: {str(error).splitlines()[0]}") from error


def _place(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _labels(labels: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if labels is None:
        return tuple(f"class {k}" for k in range(classes))
    if len(labels) != classes:
        raise OptionError(f"{len(labels)} labels were given; the network has {classes} classes.")
    return tuple(str(label) for label in labels)


def _sha256(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()
