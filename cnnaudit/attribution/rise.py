"""RISE: the scores of a picture behind random smooth masks, credited to what each mask shows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cnnaudit.attribution.intervals import late_note
from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.perturbation import Copies, Grid, Precision, cell_side
from cnnaudit.results import Attribution

_BLOCK, _PAINTED = 128, 32
_CLEAR = 2.0  # spread of the map over its standard error below which the reader is told


def rise(
    query: Query,
    *,
    samples: int = 1000,
    cells: int = 7,
    keep: float = 0.5,
    fill: Fill = "grey",
    precision: Precision = "auto",
    batch: int | None = None,
) -> Attribution:
    r"""How much the mean score rises where a pixel is shown: $\frac{1}{p} \mathrm{Cov}(s(x \odot M), M_\lambda)$.

    Each mask $M$ is a grid of `cells` x `cells` places, kept with probability $p$, enlarged bilinearly
    and moved by a part of a cell. RISE's own map $\frac{1}{Np} \sum_i s_i M_{i\lambda}$ estimates the mean
    score when the pixel is shown. Here the mean score of all masks is taken off it, as a covariance with
    $N - 1$, which is unbiased too and does not carry the noise of how often a pixel happened to be shown.

    Args:
        query: the question.
        samples: masks; the paper takes 4,000 to 8,000.
        cells: places of the grid along each side.
        keep: $p$.
        fill: what is seen where the mask is 0; the paper's is black.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A signed map `h w` in units of score; adding `mean_score` gives RISE's own. `standard_error` is
        the mean over pixels of the map's standard error, which comes as a part, and `signal_to_noise`
        the map's standard deviation over it.

    Petsiuk, Das and Saenko 2018, arXiv:1806.07421, equations 5 and 6. The score is the logit (or the
    difference of two), where the paper takes the probability.
    """
    if samples < 2 or cells < 1 or not 0 < keep < 1:
        raise OptionError(f"rise takes samples >= 2, cells >= 1 and 0 < keep < 1; got {samples}, {cells}, {keep}.")
    copies = query.copies(filled(query.pixels, fill), expected=samples, precision=precision, batch=batch)
    sums = _Sums(query)
    masks = _drawn(query, samples, cells, keep)
    blocks = [masks.part(start, start + _BLOCK) for start in range(0, samples, _BLOCK)]
    for block, logits in zip(blocks, copies.stream(blocks), strict=False):  # the stream may end early
        sums.add(block, query.of_logits(logits))
    return _attribution(sums, keep, copies, samples)


def _drawn(query: Query, samples: int, cells: int, keep: float) -> Grid:
    """All masks, small as they are before they are enlarged, so that the batch does not decide what is drawn."""
    generator = query.generator("rise")
    size = int(query.pixels.shape[2]), int(query.pixels.shape[3])
    places = tuple(min(cells, side) for side in size)
    kept = torch.rand(samples, *places, generator=generator, dtype=torch.float32, device="cpu") < keep
    shifts = [
        torch.randint(cell_side(side, n), (samples,), generator=generator, dtype=torch.int64, device="cpu")
        for side, n in zip(size, places, strict=True)
    ]
    return Grid(kept.float(), size, torch.stack(shifts, 1))


class _Sums:
    r"""$\sum_i f_i^a M_i^b$ for $a, b \le 2$: all that the covariance and its standard error need, in one pass."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.first: float | None = None  # taken off all scores, which would cancel badly otherwise
        self.scores = torch.zeros(3, dtype=torch.float64, device="cpu")
        self.masks = torch.zeros(2, 3, *query.pixels.shape[2:], dtype=torch.float64, device="cpu")

    def add(self, masks: Grid, scores: Tensor) -> None:
        """Count in the scores behind these masks, the first of which they are."""
        scores = scores.double()
        self.first = float(scores[0]) if self.first is None else self.first
        powers = (scores - self.first) ** torch.arange(3, device="cpu")[:, None]
        self.scores += powers.sum(1)
        device = self.query.pixels.device
        for start in range(0, len(scores), _PAINTED):
            stop = min(start + _PAINTED, len(scores))
            shown = torch.empty(stop - start, *masks.size, dtype=torch.float32, device=device)
            masks.paint(start, stop, shown)
            weights = powers[:, start:stop].to(device, torch.float32)
            for power, each in enumerate((shown, shown.square())):
                self.masks[power] += torch.einsum("an,nhw->ahw", weights, each).cpu()

    def covariance(self) -> tuple[Tensor, Tensor]:
        """Of score and mask at each pixel, `h w`, and its standard error."""
        n, mean = float(self.scores[0]), float(self.scores[1] / self.scores[0])
        shown, squared = self.masks
        share = shown[0] / n
        covariance = (shown[1] - mean * shown[0]) / (n - 1)
        about_mean = torch.tensor([mean**2, -2 * mean, 1.0], dtype=torch.float64, device="cpu")
        once, twice = (torch.einsum("a,ahw->hw", about_mean, each) for each in (shown, squared))
        products = twice - 2 * share * once + share**2 * (about_mean @ self.scores)
        variance = (products - (n - 1) ** 2 / n * covariance**2) / (n - 1)
        return covariance, (variance.clamp(min=0) / n).sqrt()


def _attribution(sums: _Sums, keep: float, copies: Copies, samples: int) -> Attribution:
    covariance, error = (each / keep for each in sums.covariance())
    noise = float(error.mean())
    signal = float(covariance.std(correction=0)) / noise if noise else 0.0
    facts = {
        "samples": copies.done,
        "mean_score": float(sums.first or 0.0) + float(sums.scores[1] / sums.scores[0]),
        "standard_error": noise,
        "signal_to_noise": signal,
        "precision": copies.precision_used,
    }
    return Attribution(
        to_heatmap(covariance),
        facts=facts,
        notes=(*late_note(copies, samples), *_notes(signal), *copies.notes),
        parts={"standard error": to_heatmap(error)},
        forward_passes=copies.asked,
    )


def _notes(signal: float) -> Iterator[str]:
    if 0 < signal < _CLEAR:
        yield f"The map varies only {signal:.1f} times as much as its standard error: draw more masks."
