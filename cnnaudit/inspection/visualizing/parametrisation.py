"""Pictures by their frequencies and decorrelated colours, so that all of them are varied at one pace."""

import torch
from torch import Tensor
from torch.special import logit

from cnnaudit.shapes import Pixels

COLOUR_COVARIANCE = ((0.0805, 0.0702, 0.0634), (0.0702, 0.0764, 0.0722), (0.0634, 0.0722, 0.0839))
"""Of red, green and blue in [0, 1] over the pixels of ImageNet.

Put together from its eigenvectors and eigenvalues (0.2175, 0.0188, 0.0045), as the colour augmentation of
Krizhevsky, Sutskever and Hinton (NeurIPS 2012, section 4.1) uses them.
"""

_SPREAD = 0.01  # of the random numbers that a search begins with
_CALM = 0.25  # one length of the spectrum for one of the colour before the sigmoid, which it must not saturate
_BEYOND = 0.02  # how far the sigmoid reaches below 0 and above 1, so that black and white can be reached
_FAR_FROM_EDGES = (0.05, 0.95)


def colour_basis() -> Tensor:
    """The axes along which the colours of photos vary independently, each as long as that variation: `3 3`, float32.

    The columns of $V \\Lambda^{1/2}$ for the covariance $V \\Lambda V^T$, the longest scaled to 1.
    """
    values, vectors = torch.linalg.eigh(torch.tensor(COLOUR_COVARIANCE, dtype=torch.float64))
    vectors = vectors * vectors.sum(0).sign()  # eigenvectors have no sign of their own
    return (vectors * (values / values.max()).sqrt()).flip(1).float()


class Parametrisation:
    """From a spectrum `c h w/2+1 2` (real and imaginary part) to a picture in [0, 1].

    Frequencies are weighted by 1/f, as in photos, and colours mixed as they vary there; a sigmoid keeps
    the values in [0, 1]. It reaches a little further and is cut off there, with the gradient that it has
    without. A spectrum of zeros is the picture of one colour that the network's normalisation takes for
    the mean.

    Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017, section "Preconditioning and
    Parameterization".
    """

    def __init__(self, channels: int, size: tuple[int, int], mean: tuple[float, ...], device: torch.device) -> None:
        self._size, self._channels = size, channels
        self._weights = _weights(size).to(device).unsqueeze(-1)
        self._basis = colour_basis().to(device) if channels == 3 else None
        low, high = _FAR_FROM_EDGES
        middle = mean if all(low <= value <= high for value in mean) else (0.5,) * channels
        self._middle = logit((torch.tensor(middle, device=device) + _BEYOND) / (1 + 2 * _BEYOND)).view(-1, 1, 1)

    def drawn(self, generator: torch.Generator) -> Tensor:
        """A spectrum `c h w/2+1 2` to begin with, of a faint random picture, on the CPU."""
        height, width = self._size
        return _SPREAD * torch.randn(self._channels, height, width // 2 + 1, 2, generator=generator)

    def pixels(self, spectra: Tensor) -> Pixels:
        """The pictures `n c h w` of spectra `n c h w/2+1 2`."""
        frequencies = torch.view_as_complex(spectra * self._weights)
        waves = torch.fft.irfft2(frequencies, s=self._size, norm="ortho") * _CALM
        if self._basis is not None:
            waves = torch.einsum("ij,njhw->nihw", self._basis.to(waves), waves)
        values = (1 + 2 * _BEYOND) * (waves + self._middle).sigmoid() - _BEYOND
        return values + (values.clamp(0, 1) - values).detach()


def _weights(size: tuple[int, int]) -> Tensor:
    """1/f, `h w/2+1`, f in cycles a pixel; the constant part counts as one cycle a picture."""
    height, width = size
    f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
    return 1 / f.clamp(min=1 / max(height, width))
