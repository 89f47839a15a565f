"""Occlusion: hide a window, see what the score loses."""

import torch
from torch import Tensor

from cnnaudit.attribution.query import Query, to_heatmap
from cnnaudit.errors import OptionError
from cnnaudit.fills import Fill, filled
from cnnaudit.perturbation import Masks, masked_logits
from cnnaudit.results import Attribution


def occlusion(
    query: Query,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: Fill = "grey",
    batch: int = 32,
) -> Attribution:
    r"""The mean loss of score over the windows that cover a pixel: $\frac{1}{n_p} \sum_{w \ni p} s(x) - s(x_w)$.

    Args:
        query: the question.
        window: side of the square in pixels; by default a quarter of the shorter side.
        stride: step in pixels; by default half the window.
        fill: what takes the window's place. On the husky-and-wolf scenes, whose cue is known, grey and
            a quarter tell the two bundled networks apart best.
        batch: pictures sent through the network at once.

    Returns:
        A signed map `h w` in units of score; positive where hiding lowers the score.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2; overlapping windows are averaged.
    """
    height, width = (int(side) for side in query.pixels.shape[2:])
    window = window if window is not None else max(1, round(min(height, width) / 4))
    stride = stride if stride is not None else max(1, window // 2)
    if not 1 <= stride <= window <= max(height, width):
        raise OptionError(
            f"occlusion takes 1 <= stride <= window <= {max(height, width)}; got stride {stride}, window {window}."
        )
    windows = _windows(height, width, window, stride)

    def masks(start: int, stop: int) -> Masks:
        """Row 0 is the whole picture; row i hides window i."""
        keep = torch.ones(stop - start, 1, height, width, dtype=torch.bool, device="cpu")
        for row in range(max(start, 1), stop):
            keep[row - start, 0, windows[row - 1][0], windows[row - 1][1]] = False
        return keep

    logits = masked_logits(
        query.classifier, query.pixels, filled(query.pixels, fill), masks, len(windows) + 1, batch=batch
    )
    scores = query.of_logits(logits)
    return Attribution(
        to_heatmap(_average(windows, scores[0] - scores[1:], (height, width))),
        facts={"window": window, "stride": stride, "windows": len(windows)},
        forward_passes=len(logits),
    )


def _windows(height: int, width: int, window: int, stride: int) -> list[tuple[slice, slice]]:
    """All positions, row by row; the last of each row and column is cut off by the picture's edge."""
    rows, columns = (
        [slice(i * stride, min(i * stride + window, side)) for i in range(1 + max(0, -((window - side) // stride)))]
        for side in (height, width)
    )
    return [(row, column) for row in rows for column in columns]


def _average(windows: list[tuple[slice, slice]], losses: Tensor, size: tuple[int, int]) -> Tensor:
    total, cover = torch.zeros(2, *size, dtype=torch.float64, device="cpu")
    for (row, column), loss in zip(windows, losses.double(), strict=True):
        total[row, column] += loss
        cover[row, column] += 1
    return total / cover
