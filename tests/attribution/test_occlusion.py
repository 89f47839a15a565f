"""Occlusion against captum, and windows at the edges."""

import captum.attr
import pytest
import torch
from networks import classifier, picture
from test_gradient_methods import TARGET, Normalised, close
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.fills import Fill, filled


@pytest.mark.parametrize("fill", ["black", "grey", "white", "mean", "blur"])
@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 4), (7, 3), (5, 5), (32, 1), (9, 2)])
def test_map_is_captums(window: int, stride: int, fill: Fill) -> None:
    clf = classifier("in_place")  # 32 x 40: most of these windows are cut off at an edge
    x = picture(clf.input_size)
    options = {"window": window, "stride": stride, "fill": fill}
    ours = explain(clf, x, method="occlusion", target=TARGET, options=options).heatmap
    with torch.no_grad():
        theirs = captum.attr.Occlusion(Normalised(clf)).attribute(
            x, (3, window, window), (3, stride, stride), filled(x, fill), TARGET
        )
    close(ours, theirs[0, 0])


class Mean(nn.Module):
    """Every pixel counts the same, so that the map can be told by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1)


def test_a_sum_loses_what_the_window_covers() -> None:
    clf = Classifier(Mean(), input_size=(6, 9))
    options = {"window": 3, "stride": 3, "fill": "black"}
    why = explain(clf, torch.ones(1, 3, 6, 9), method="occlusion", target=0, options=options)
    torch.testing.assert_close(why.heatmap, torch.full((6, 9), 27.0))
    assert why.facts["windows"] == 6
    assert why.forward_passes == 7


@pytest.mark.parametrize(("size", "window", "stride"), [((6, 9), 4, 3), ((5, 30), 7, 7), ((31, 4), 31, 2)])
def test_every_pixel_is_covered(size: tuple[int, int], window: int, stride: int) -> None:
    clf = Classifier(Mean(), input_size=size)
    options = {"window": window, "stride": stride, "fill": "black"}
    why = explain(clf, torch.ones(1, 3, *size), method="occlusion", target=0, options=options)
    assert why.heatmap.min() > 0
