"""Pictures of smooth colours, and what an audit's parts are given of them."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from torch import Tensor, nn

from cnnaudit import Classifier
from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.pictures import Pictures
from cnnaudit.auditing.properties import measured
from cnnaudit.auditing.surveys import Survey


def clouds(count: int, *, size: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth random pictures with a little grain."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=draw)
    smooth = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)
    grain = torch.randn(count, channels, size, size, generator=draw)
    return (0.2 + 0.6 * smooth + 0.01 * grain).clamp(0, 1)


def asked_about(
    pixels: Tensor,
    truth: Tensor,
    *,
    predicted: Tensor | None = None,
    confidence: Tensor | None = None,
    truthful: Tensor | None = None,
    embeddings: Tensor | None = None,
    labels: tuple[str, ...] = ("cat", "dog"),
    columns: Mapping[str, tuple[str, ...]] | None = None,
    paths: tuple[Path, ...] = (),
) -> Asked:
    """As if a network had answered so; by default rightly, and surely."""
    n, c, h, w = pixels.shape
    network = nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, len(labels)))
    predicted = truth if predicted is None else predicted
    confidence = torch.full((n,), 0.95) if confidence is None else confidence
    right = torch.where(predicted == truth, confidence, 1 - confidence)
    survey = Survey(
        predicted=predicted,
        confidence=confidence,
        truthful=right if truthful is None else truthful,
        embeddings=torch.zeros(n, 2) if embeddings is None else embeddings,
        properties=measured(pixels, paths),
    )
    return Asked(
        classifier=Classifier(network, labels=labels, input_size=(h, w), channels=c),
        pictures=Pictures(
            "clouds",
            tuple(f"{place:03}.png" for place in range(n)),
            truth,
            lambda places: pixels[list(places)].clone(),
            paths,
            columns or {},
        ),
        survey=survey,
        seed=0,
        told=lambda _done, _total: None,
    )


def saved(pixels: Tensor, folder: Path, **options: int) -> tuple[Path, ...]:
    paths = []
    for k, each in enumerate(pixels):
        paths.append(folder / f"{k}.{'jpg' if options else 'png'}")
        Pillow.fromarray(each.permute(1, 2, 0).mul(255).byte().numpy()).save(paths[-1], None, **options)
    return tuple(paths)


def framed(pixels: Tensor, rows: int = 2, value: float = 1.0) -> Tensor:
    inside = torch.zeros(pixels.shape[2:], dtype=torch.bool)
    inside[rows:-rows, rows:-rows] = True
    return torch.where(inside, pixels, torch.tensor(value))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
