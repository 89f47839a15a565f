"""Many numbers a picture, down to two."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from cnnaudit.errors import OptionError
from cnnaudit.hooks import preserved_randomness

_COLUMNS = 4096  # that are held in double precision at a time
_NEIGHBOURS = 15

Points = Float32[np.ndarray, "n 2"]


def pca(features: Float32[Tensor, "n d"]) -> tuple[Points, tuple[float, float]]:
    r"""The coordinates along the two principal axes, and the share of the variance along each.

    With $X$ the features less their mean, the axes are the first eigenvectors of $X^T X$, found from the
    smaller of $X^T X$ and $X X^T$. Each points where its largest loading is positive.
    """
    n, d = features.shape
    if d <= n:
        centred = next(_centred(features, d))
        values, vectors = torch.linalg.eigh(centred.T @ centred)
        axes = vectors[:, -2:].flip(1)
        points, loadings = centred @ axes, axes
    else:
        values, vectors = torch.linalg.eigh(_gram(features))
        left = vectors[:, -2:].flip(1)
        points = left * values[-2:].flip(0).clamp(min=0).sqrt()
        loadings = torch.cat([block.T @ left for block in _centred(features, _COLUMNS)])
    values = values.clamp(min=0)
    total = float(values.sum())
    largest = loadings.gather(0, loadings.abs().argmax(0, keepdim=True))
    points = points * torch.where(largest < 0, -1.0, 1.0)
    shares = [float(value) / total if total else 0.0 for value in values.flip(0)[:2].tolist()]
    return _two(points).float().numpy(), (shares[0], shares[1] if len(shares) > 1 else 0.0)


def umap(features: Float32[Tensor, "n d"], seed: int) -> tuple[Points, None]:
    """The coordinates that UMAP finds with its own defaults.

    Raises:
        OptionError: the package umap-learn is not installed.
    """
    try:
        package: Any = importlib.import_module("umap")
    except ImportError as error:
        raise OptionError(
            "method 'umap' needs the package umap-learn, which is not installed. "
            "Install it (pip install umap-learn), or use method 'pca'."
        ) from error
    neighbours = min(_NEIGHBOURS, len(features) - 1)
    with preserved_randomness():
        mapper = package.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed, n_jobs=1)
        return np.asarray(mapper.fit_transform(features.numpy()), np.float32), None


def _centred(features: Float32[Tensor, "n d"], columns: int) -> Iterator[Float64[Tensor, "n c"]]:
    for block in features.split(columns, dim=1):
        wide = block.double()
        yield wide - wide.mean(0)


def _gram(features: Float32[Tensor, "n d"]) -> Float64[Tensor, "n n"]:
    total = torch.zeros(len(features), len(features), dtype=torch.float64)
    for block in _centred(features, _COLUMNS):
        total += block @ block.T
    return total


def _two(points: Float64[Tensor, "n k"]) -> Float64[Tensor, "n 2"]:
    """With a second column of zeros where there is a single feature."""
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1]))
