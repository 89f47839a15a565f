"""A first convolution that whitens: what it hands on is as strong in every direction that patches vary in."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_FLOOR = 5e-4
"""Added to each direction's power, so that noise is not taken up to the strength of edges."""
_AT_ONCE = 256


def whiten(convolution: nn.Conv2d, pictures: Float[Tensor, "n c h w"]) -> None:
    """Set filters of a convolution to the whitening filters of the pictures' patches, and to their negatives.

    The strongest come first; where there are more filters than twice as many as directions, the others
    stay. With $E$ the eigenvectors and $D$ the eigenvalues of the patches' second moments, the filters are the
    rows of $D^{-1/2} E^T$. The negatives let a ReLU pass both signs on.

    Coates, Lee and Ng, AISTATS 2011; as the start of a network, Jordan 2024, arXiv 2404.00498.

    Args:
        convolution: of the pictures, in one group.
        pictures: as the network is given them, at least as large as the kernel.
    """
    vectors, powers = _directions(pictures, convolution.kernel_size)
    filters = (vectors / (powers + _FLOOR).sqrt()).T.flip(0)[: convolution.out_channels // 2]
    with torch.no_grad():
        weight = convolution.weight
        filters = filters.to(weight).view(-1, *weight.shape[1:])
        weight[: len(filters)] = filters
        weight[len(filters) : 2 * len(filters)] = -filters


def _directions(pictures: Tensor, kernel: tuple[int, ...]) -> tuple[Float[Tensor, "p p"], Float[Tensor, " p"]]:
    """Eigenvectors (columns) and eigenvalues of the second moments of all patches, the weakest first."""
    moments, count = 0.0, 0
    for part in pictures.split(_AT_ONCE):
        patches = F.unfold(part, kernel).mT.flatten(0, 1)
        moments, count = moments + (patches.mT @ patches).double(), count + len(patches)
    powers, vectors = torch.linalg.eigh(torch.as_tensor(moments / count))
    return vectors, powers.clamp(min=0)
