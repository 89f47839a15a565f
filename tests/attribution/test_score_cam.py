"""Score-CAM against pytorch-grad-cam, and against its formula channel by channel."""

import pytest
import torch
import torch.nn.functional as F
from networks import ARCHITECTURES, MEAN, STD, TOKENS_OR_VECTORS, classifier, picture
from test_cam import enlarged, maps
from test_gradient_methods import TARGET, Normalised, close
from torch import Tensor

from cnnaudit import Classifier, explain
from cnnaudit.attribution.layers import find_module
from cnnaudit.errors import LayerError, OptionError

CONVOLUTIONAL = [a for a in ARCHITECTURES if a not in TOKENS_OR_VECTORS]


def stretched(small: Tensor, x: Tensor) -> Tensor:
    large = F.interpolate(small[None, None], x.shape[2:], mode="bilinear", align_corners=True)
    low, high = large.min(), large.max()
    return (large - low) / (high - low) if high > low else torch.zeros_like(large)


def by_the_paper(clf: Classifier, x: Tensor, a: Tensor, zero: Tensor) -> Tensor:
    """Each channel enlarged and stretched by itself."""
    masks = torch.cat([stretched(small, x) for small in a])
    scores = torch.cat([clf.scores(part * x + (1 - part) * zero)[:, TARGET] for part in masks.split(50)])
    return torch.einsum("k,kuv->uv", scores.softmax(0), a).relu()


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_map_is_the_papers_formula(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    why = explain(clf, x, method="score_cam", target=TARGET, options={"channels": None})
    zero = torch.tensor(MEAN).view(1, 3, 1, 1).expand_as(x)
    close(why.heatmap, enlarged(by_the_paper(clf, x, maps(clf, x, why.layer)[0], zero), x), 1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("fill", ["zero", "black"])
def test_map_is_pytorch_grad_cams(fill: str) -> None:
    package = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    clf = classifier("resnet")
    clf.network.fc.weight.data *= 10  # so that the softmax has something to choose from
    x = picture(clf.input_size)
    why = explain(clf, x, method="score_cam", target=TARGET, options={"fill": fill, "channels": None})
    a, g = maps(clf, x, why.layer)
    # behind the normalisation the package's 0 is the mean colour, before it it is black
    network, given = (clf.network, clf.normalised(x)) if fill == "zero" else (Normalised(clf), x)
    layer = find_module(clf, why.layer)
    cam = package.ScoreCAM(network, [layer])
    theirs = cam.get_cam_image(given, layer, [targets.ClassifierOutputTarget(TARGET)], a[None].numpy(), g, False)[0]
    close(why.heatmap, enlarged(torch.as_tensor(theirs).relu(), x), 1e-3)
    assert why.facts["channels"] == "512 of 512"


def test_fewer_channels_are_those_that_vary_most() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    why = explain(clf, x, method="score_cam", target=TARGET, options={"channels": 4})
    a = maps(clf, x, why.layer)[0]
    most = a[a.flatten(1).std(1).topk(4).indices]
    zero = torch.tensor(MEAN).view(1, 3, 1, 1).expand_as(x)
    close(why.heatmap, enlarged(by_the_paper(clf, x, most, zero), x), 1e-3)
    assert why.facts["channels"] == "4 of 12"
    assert why.forward_passes == 5


def test_the_largest_weight_is_told() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    even = explain(clf, x, method="score_cam", target=TARGET).facts["largest_weight"]
    clf.network.head.weight.data *= 1e4
    alone = explain(clf, x, method="score_cam", target=TARGET).facts["largest_weight"]
    assert 1 / 12 < even < 0.5
    assert alone > 0.99


def test_a_contrast_is_the_difference_of_two_scores() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    why = explain(clf, x, method="score_cam", target=TARGET, versus=0)
    with torch.no_grad():
        clf.network.head.weight[TARGET] -= clf.network.head.weight[0]
        clf.network.head.bias[TARGET] -= clf.network.head.bias[0]
    close(why.heatmap, explain(clf, x, method="score_cam", target=TARGET).heatmap, 1e-4)


def test_what_cannot_be_is_refused() -> None:
    clf = Classifier(classifier("in_place").network, input_size=(32, 40), mean=MEAN, std=STD)
    with pytest.raises(OptionError, match="at least one channel"):
        explain(clf, picture((32, 40)), method="score_cam", options={"channels": 0})
    with pytest.raises(LayerError, match="not a map"):
        explain(clf, picture((32, 40)), method="score_cam", layer="head")
