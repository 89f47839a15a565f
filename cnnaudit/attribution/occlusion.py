"""Occlusion: hide a window, see what the score loses."""

import torch
from jaxtyping import Int
from torch import Tensor

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.perturbation import Precision, Windows
from cnnaudit.results import Attribution


def occlusion(
    query: Query,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: Fill = "grey",
    precision: Precision = "float32",
    batch: int | None = None,
) -> Attribution:
    r"""The mean loss of score over the windows that cover a pixel: $\frac{1}{n_p} \sum_{w \ni p} s(x) - s(x_w)$.

    Args:
        query: the question.
        window: side of the square in pixels; by default a quarter of the shorter side.
        stride: step in pixels; by default half the window.
        fill: what takes the window's place. On the husky-and-wolf scenes, whose cue is known, grey and
            a quarter tell the two bundled networks apart best.
        precision: `float32`, or `auto`: less where that is faster and agrees.
        batch: pictures sent through the network at once; by default what is fastest.

    Returns:
        A signed map `h w` in units of score; positive where hiding lowers the score.

    Raises:
        OptionError: a number makes no sense.
        OutOfTimeError: time was up before the last window: a map with gaps would look like one without evidence.
        NotFiniteError: a score is not finite.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2; overlapping windows are averaged.
    """
    height, width = (int(side) for side in query.pixels.shape[2:])
    window = window if window is not None else max(1, round(min(height, width) / 4))
    stride = stride if stride is not None else max(1, window // 2)
    if not 1 <= stride <= window <= max(height, width):
        raise OptionError(
            f"occlusion takes 1 <= stride <= window <= {max(height, width)}; got stride {stride}, window {window}."
        )
    edges = _windows(height, width, window, stride)
    masks = Windows(torch.cat([edges.new_zeros((1, 4)), edges]), (height, width))  # the first hides nothing
    hidden = filled(query.pixels, fill)
    copies = query.copies(hidden, expected=len(masks), precision=precision, batch=batch)
    scores = query.of_logits(copies.scores(masks))
    return Attribution(
        to_heatmap(_average(edges, scores[0] - scores[1:], (height, width))),
        facts={"window": window, "stride": stride, "windows": len(edges), "precision": copies.precision_used},
        notes=copies.notes,
        forward_passes=copies.asked,
    )


def _windows(height: int, width: int, window: int, stride: int) -> Int[Tensor, "n 4"]:
    """All positions, row by row: top, bottom, left, right; the last of each is cut off by the picture's edge."""
    rows, columns = (
        [(i * stride, min(i * stride + window, side)) for i in range(1 + max(0, -((window - side) // stride)))]
        for side in (height, width)
    )
    return torch.tensor([(*row, *column) for row in rows for column in columns], dtype=torch.int64, device="cpu")


def _average(edges: Int[Tensor, "n 4"], losses: Tensor, size: tuple[int, int]) -> Tensor:
    total, cover = torch.zeros(2, *size, dtype=torch.float64, device="cpu")
    for (top, bottom, left, right), loss in zip(edges.tolist(), losses.double(), strict=True):
        total[top:bottom, left:right] += loss
        cover[top:bottom, left:right] += 1
    return total / cover
