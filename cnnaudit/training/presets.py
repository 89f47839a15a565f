"""What suits an architecture when nothing else is said."""

from dataclasses import dataclass, replace

from cnnaudit.models import is_ours


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults of a `Recipe`."""

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    momentum: float | None = None
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warm_up: float = 0.1
    label_smoothing: float = 0.0
    early_part: float = 1.0
    precision: str = "auto"
    pretrained: bool = False
    freeze: str = "none"
    deterministic: bool = False
    half: bool = False
    seed: int = 0


_OURS = {
    "logistic": Preset(epochs=15, learning_rate=2e-3, weight_decay=0.0),
    "mlp": Preset(epochs=12, batch_size=128, learning_rate=2e-3),
    "cnn2": Preset(epochs=8),
    "mnist1d-fc": Preset(epochs=60, learning_rate=3e-3),
    "mnist1d-cnn": Preset(epochs=60, learning_rate=1e-2),
    "husky-wolf": Preset(),
    "vgg8": Preset(14, 256, "muon", 0.12, weight_decay=5e-4, schedule="linear", label_smoothing=0.1, early_part=0.75),
}
_TORCHVISION = Preset(epochs=30, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4)
_PRETRAINED = Preset(epochs=5, learning_rate=3e-4)
_OTHERWISE = {"sgd": (0.05, 5e-4), "adam": (1e-3, 0.0), "adamw": (3e-3, 0.01), "muon": (0.1, 5e-4)}
"""Learning rate and weight decay of an optimizer that is not the preset's own."""


def preset(arch: str, *, pretrained: bool = False, optimizer: str | None = None) -> Preset:
    """The defaults for an architecture; another optimizer than theirs brings its own rate and decay."""
    found = _PRETRAINED if pretrained else _OURS.get(arch, Preset() if is_ours(arch) else _TORCHVISION)
    if optimizer in (None, found.optimizer) or optimizer not in _OTHERWISE:
        return found
    rate, decay = _OTHERWISE[optimizer]
    return replace(found, optimizer=optimizer, learning_rate=rate, weight_decay=decay)
