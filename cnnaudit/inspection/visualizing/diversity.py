"""Keeping several pictures of one objective apart."""

import torch.nn.functional as F
from torch import Tensor


def likeness(outputs: Tensor) -> Tensor:
    """How alike each of some pictures is to the others in what a layer makes of them.

    The mean cosine of its Gram matrix with each of theirs, channels by channels, summed over the places:
    1 for textures that the layer cannot tell apart, whatever lies where.

    Args:
        outputs: `n channels *places`, at least two pictures.

    Returns:
        `n`, from -1 to 1.

    Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017, section "Diversity".
    """
    flat = outputs.float().flatten(2) if outputs.ndim > 2 else outputs.float().unsqueeze(-1)
    grams = F.normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
    cosines = grams @ grams.T
    return (cosines.sum(1) - cosines.diagonal()) / (len(outputs) - 1)
