"""Small networks that differ in all that explanations trip over, each built with the same weights every time."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.vision_transformer import VisionTransformer

from cnnaudit import Classifier


class InPlace(nn.Module):
    """One in-place ReLU, used three times, around a residual sum and a max-pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 12, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.relu(self.block(x) + x)
        x = self.relu(self.last(x))
        return self.head(self.dropout(x.mean((2, 3))))


class Functional(nn.Module):
    """Functional activations only, and a mapping for an output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2)
        self.second = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8 * 16, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.first(x))
        x = torch.relu_(self.second(x))
        features = F.adaptive_avg_pool2d(x, 4).flatten(1)
        return {"features": features, "logits": self.head(features)}


class Detached(nn.Module):
    """A network that cuts its own graph."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)).detach())


class Alternating(nn.Module):
    """Convolutions with ReLU modules that are neither in place nor reused, with and without max-pooling."""

    def __init__(self, *, pooled: bool = True, relu: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2) if pooled else nn.AvgPool2d(2)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), relu(), pool, nn.Conv2d(8, 12, 3, padding=1), relu()
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(12 * 16 * 16, 10), relu(), nn.Linear(10, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def _resnet() -> nn.Module:
    return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5)


def _mobilenet() -> nn.Module:
    return torchvision.models.MobileNetV2(num_classes=5, width_mult=0.25)


def _efficientnet() -> nn.Module:
    blocks = [MBConvConfig(1, 3, 1, 16, 8, 1), MBConvConfig(4, 3, 2, 8, 12, 1), MBConvConfig(4, 5, 2, 12, 12, 2)]
    return torchvision.models.EfficientNet(blocks, dropout=0.2, num_classes=5, last_channel=32)


def _densenet() -> nn.Module:
    return torchvision.models.DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16, num_classes=5)


def _convnext() -> nn.Module:
    blocks = [CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 1)]
    return torchvision.models.ConvNeXt(blocks, num_classes=5)


def _vit() -> nn.Module:
    vit = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=48, num_classes=5)
    nn.init.normal_(vit.heads[-1].weight)  # torchvision starts it at zero, which would make every map empty
    return vit


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, 5))


_BUILDERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "in_place": (InPlace, (32, 40)),
    "functional": (Functional, (32, 32)),
    "resnet": (_resnet, (64, 64)),
    "mobilenet_v2": (_mobilenet, (64, 64)),
    "densenet": (_densenet, (32, 32)),
    "efficientnet": (_efficientnet, (48, 48)),
    "convnext": (_convnext, (48, 32)),
    "vit": (_vit, (32, 32)),
    "mlp": (_mlp, (32, 32)),
}
ARCHITECTURES = tuple(_BUILDERS)
TOKENS_OR_VECTORS = ("vit", "mlp")
"""Architectures without convolutional maps."""
WITHOUT_RELU = ("vit", "efficientnet", "convnext")
"""Architectures in which guided backpropagation has nothing to guide."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def seeded(build: Callable[[], nn.Module], seed: int = 0, size: int = 64) -> nn.Module:
    """The network with weights that depend on the seed alone, in evaluation mode.

    Batch normalisation has random weights and the statistics of random pictures: with those that a
    new network starts with, many a deep one answers the same whatever it is shown.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.2)
        if norms:
            with torch.no_grad():
                network.train()(torch.randn(8, 3, size, size) + torch.randn(8, 3, 1, 1))
        for norm in norms:
            norm.momentum = 0.1
    return network.eval()


def network(name: str) -> nn.Module:
    """A new network of this architecture, always with the same weights."""
    return seeded(_BUILDERS[name][0])


def input_size(name: str) -> tuple[int, int]:
    """Height and width that the architecture is asked with."""
    return _BUILDERS[name][1]


def classifier(name: str) -> Classifier:
    """The network with ImageNet's normalisation."""
    return Classifier(network(name), input_size=input_size(name), mean=MEAN, std=STD)


def picture(size: tuple[int, int], channels: int = 3, seed: int = 1) -> Tensor:
    """Smooth blobs with a little noise, `1 c h w` in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 5, 5, generator=generator)
    smooth = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
    return (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
