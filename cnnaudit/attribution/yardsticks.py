"""Maps that explain nothing, to hold the others against: noise, and the picture's own edges."""

import torch
import torch.nn.functional as F

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.results import Attribution


def random(query: Query) -> Attribution:
    """Uniform noise in [0, 1): a map `h w` that knows neither the picture nor the network."""
    height, width = query.pixels.shape[2:]
    return Attribution(
        torch.rand(height, width, generator=query.generator("random"), dtype=torch.float32, device="cpu")
    )


def edges(query: Query) -> Attribution:
    r"""The picture's own edges, $\sqrt{g_x^2 + g_y^2}$ by Sobel filters on its grey values, without the network.

    Returns:
        A map `h w` >= 0, in pixel value a pixel. A heatmap that looks like this one may owe its
        looks to the picture and not to the network.

    As a yardstick after Adebayo et al. 2018, arXiv:1810.03292, section 5.
    """
    grey = F.pad(query.pixels.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    sobel = (
        torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=grey.dtype, device=grey.device) / 8
    )
    kernels = torch.stack([sobel, sobel.T]).unsqueeze(1)
    return Attribution(to_heatmap(F.conv2d(grey, kernels)[0].norm(dim=0)))
