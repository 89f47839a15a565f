"""Networks whose answer is a known function of the pixels, and what an audit's parts are given of them."""

import itertools
from collections.abc import Iterator

import sklearn.cluster  # noqa: F401 (its first import draws random numbers, of which the state is compared)
import torch
import torch.nn.functional as F
from made_up import clouds
from sklearn.datasets import load_digits
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.surveys import Survey

LABELS = ("plain", "tagged")


class Reddish(nn.Module):
    """The logit of the second class is `slope * mean(relu(r - g - b - 0.3)) + bias`, of the first 0."""

    def __init__(self, *, slope: float = 200.0, bias: float = -3.0) -> None:
        super().__init__()
        self.red, self.relu, self.pool = nn.Conv2d(3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1))
            self.red.bias.fill_(-0.3)  # pyright: ignore[reportOptionalMemberAccess]
            self.head.weight.copy_(torch.tensor([[0.0], [slope]]))
            self.head.bias.copy_(torch.tensor([0.0, bias]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.relu(self.red(x))).flatten(1))


class Convolutional(nn.Module):
    """Random weights, maps at half the picture's size, global average pooling, a linear head."""

    def __init__(self, *, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(channels, 6, 3, stride=2, padding=1), nn.ReLU()
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 2)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.relu(self.conv(x))).flatten(1))


class Breaking(Reddish):
    """Raises in the middle of a forward once `left` has nothing left; what a borrower puts back does not refill it."""

    left: Iterator[int] = itertools.count()

    def forward(self, x: Tensor) -> Tensor:
        seen = self.relu(self.red(x))
        if next(self.left, None) is None:
            raise KeyError("broken on purpose")
        return self.head(self.pool(seen).flatten(1))


def grey(count: int, *, size: int = 32, seed: int = 0) -> Tensor:
    """Smooth grey pictures: nothing in them is red."""
    return clouds(count, size=size, channels=1, seed=seed).expand(-1, 3, -1, -1).clone()


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's handwritten 0 and 1, 360 of them, enlarged to `1 32 32`; they fill their frames."""
    images, truth = load_digits(n_class=2, return_X_y=True)
    small = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 16
    return F.interpolate(small, (32, 32), mode="bilinear"), torch.from_numpy(truth)


def classifier(network: nn.Module, pixels: Tensor) -> Classifier:
    _, c, h, w = pixels.shape
    return Classifier(network, labels=LABELS, input_size=(h, w), channels=c)


def asked(network: nn.Module, pixels: Tensor, truth: Tensor, *, masks: Tensor | None = None, seed: int = 0) -> Asked:
    """What the network itself answers."""
    model = classifier(network, pixels)
    scores = model.scores(pixels).softmax(1)
    confidence, predicted = scores.max(1)
    rows = Survey(predicted, confidence, scores[torch.arange(len(truth)), truth], torch.zeros(len(truth), 2), {})
    return Asked(model, pictures(pixels, truth, masks=masks), rows, seed, lambda _done, _total: None)


def pictures(pixels: Tensor, truth: Tensor | None = None, *, masks: Tensor | None = None) -> Pictures:
    return Pictures(
        "planted",
        tuple(f"{place:03}.png" for place in range(len(pixels))),
        torch.zeros(len(pixels), dtype=torch.long) if truth is None else truth,
        lambda places: pixels[list(places)].clone(),
        masks=None if masks is None else lambda places: masks[list(places)],
    )


def tag() -> Tensor:
    """A checked red square, `3 6 6`: `relu(r - g - b - 0.3)` is 0.6 and 0.3 in turn."""
    rows = torch.arange(6)
    checks = ((rows[:, None] + rows) % 2).float()
    return torch.stack([0.9 - 0.3 * checks, torch.zeros(6, 6), torch.zeros(6, 6)])


def tagged(pixels: Tensor, present: Tensor, *, seed: int = 0, patch: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The pictures with a tag at a random place where asked for, and where it is, `n h w`."""
    pixels, where = pixels.clone(), torch.zeros(len(pixels), *pixels.shape[2:], dtype=torch.bool)
    draw = torch.Generator().manual_seed(seed)
    for place in present.nonzero().squeeze(1).tolist():
        row, column = (int(torch.randint(side - 6, (1,), generator=draw)) for side in pixels.shape[2:])
        pixels[place, :, row : row + 6, column : column + 6] = tag() if patch is None else patch
        where[place, row : row + 6, column : column + 6] = True
    return pixels, where


def discs(count: int, truth: Tensor, *, size: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Blobs in the middle of grey ground, red in the second class and blue in the first, none like another."""
    draw = torch.Generator().manual_seed(seed)
    grid = torch.arange(size) - (size - 1) / 2
    pixels = 0.45 + 0.1 * torch.rand(count, 1, size, size, generator=draw).expand(-1, 3, -1, -1).clone()
    masks = torch.zeros(count, size, size, dtype=torch.bool)
    for k in range(count):
        high, wide = 5 + 5 * torch.rand(2, generator=draw)
        off = 4 * torch.rand(2, generator=draw) - 2
        masks[k] = ((grid[:, None] - off[0]) / high) ** 2 + ((grid - off[1]) / wide) ** 2 < 1
        shade = 0.7 + 0.3 * torch.rand(size, size, generator=draw)
        colour = torch.tensor([0.9, 0.1, 0.1] if truth[k] else [0.1, 0.1, 0.9]) * (
            0.8 + 0.4 * torch.rand(3, generator=draw)
        )
        pixels[k] = torch.where(masks[k], (colour[:, None, None] * shade).clamp(0, 1), pixels[k])
    return pixels, masks
