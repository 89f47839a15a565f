"""The class activation maps against captum, pytorch-grad-cam, and the papers' formulas written out."""

from functools import partial

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from networks import ARCHITECTURES, TOKENS_OR_VECTORS, classifier, picture, seeded
from test_gradient_methods import TARGET, Normalised, close
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.layers import find_layer, find_module
from cnnaudit.errors import LayerError

CONVOLUTIONAL = [a for a in ARCHITECTURES if a not in TOKENS_OR_VECTORS]
CAMS = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam")


def maps(clf: Classifier, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Activations and gradients `k u v` of a layer, by a plain hook on a network without in-place activations."""
    for module in clf.network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # a functional in-place activation behind the layer writes into the copy

    handle = find_module(clf, layer).register_forward_hook(keep)
    score = Normalised(clf)(x.clone().requires_grad_())[0, TARGET]
    handle.remove()
    return kept[-1].detach()[0], torch.autograd.grad(score, kept[-1])[0][0]


def by_the_paper(method: str, a: Tensor, g: Tensor) -> Tensor:
    """Each method place by place and channel by channel, in double precision."""
    a, g = a.double(), g.double()
    total = torch.zeros(a.shape[1:], dtype=torch.float64)
    for k in range(len(a)):
        if method == "grad_cam":
            total += g[k].mean() * a[k]
        elif method == "hires_cam":
            total += g[k] * a[k]
        elif method == "layer_cam":
            total += g[k].relu() * a[k]
        else:
            weight = 0.0
            for u in range(a.shape[1]):
                for v in range(a.shape[2]):
                    slope = float(g[k, u, v])
                    denominator = 2 * slope**2 + float(a[k].sum()) * slope**3
                    alpha = slope**2 / denominator if denominator else 0.0
                    weight += alpha * max(slope, 0.0)
            total += weight * a[k]
    return total if method == "hires_cam" else total.relu()


def enlarged(small: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(small[None, None].float(), x.shape[2:], mode="bilinear", align_corners=False)[0, 0]


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
@pytest.mark.parametrize("method", CAMS)
def test_each_is_its_papers_formula(method: str, architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    why = explain(clf, x, method=method, target=TARGET)
    close(why.heatmap, enlarged(by_the_paper(method, *maps(clf, x, why.layer)), x), 2e-3 if "plus" in method else 1e-4)


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_grad_cam_is_captums(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    why = explain(clf, x, method="grad_cam", target=TARGET)
    maps(clf, x, why.layer)  # takes the in-place activations away, which captum's hooks cannot have
    layer_grad_cam = captum.attr.LayerGradCam(Normalised(clf), find_module(clf, why.layer))
    theirs = layer_grad_cam.attribute(x, TARGET, relu_attributions=True)
    close(why.heatmap, enlarged(theirs[0, 0].detach(), x))
    signed = explain(clf, x, method="grad_cam", target=TARGET, options={"relu": False}).heatmap
    close(signed, enlarged(layer_grad_cam.attribute(x, TARGET)[0, 0].detach(), x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("grad_cam", "GradCAM"),
        ("grad_cam_plus_plus", "GradCAMPlusPlus"),
        ("hires_cam", "HiResCAM"),
        ("layer_cam", "LayerCAM"),
    ],
)
def test_each_is_pytorch_grad_cams(method: str, name: str) -> None:
    package = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    clf = classifier("resnet")
    clf.network.fc.weight.data *= 100  # it adds 1e-6 to a denominator that is the gradient's square
    x = picture(clf.input_size)
    why = explain(clf, x, method=method, target=TARGET)
    a, g = maps(clf, x, why.layer)
    cam = getattr(package, name)(Normalised(clf), [find_module(clf, why.layer)])
    target = targets.ClassifierOutputTarget(TARGET)
    arrays = a[None].numpy(), g[None].numpy()
    theirs = torch.as_tensor(cam.get_cam_image(x, find_module(clf, why.layer), [target], *arrays, False)[0])
    tolerance = 1e-3 if "plus" in method else 1e-4
    close(why.heatmap, enlarged(theirs if method == "hires_cam" else theirs.relu(), x), tolerance)


class Pooled(nn.Module):
    """A map, its mean, one linear layer: here HiResCAM is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(inplace=True))
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def test_hires_cam_sums_to_the_score_less_the_bias() -> None:
    clf = Classifier(seeded(Pooled), input_size=(21, 21))
    x = picture((21, 21))
    why = explain(clf, x, method="hires_cam", target=TARGET)
    score = float(clf.scores(x)[0, TARGET] - clf.network.head.bias[TARGET].detach())
    assert why.facts["map_sum"] == pytest.approx(score, rel=1e-5)
    grad_cam = explain(clf, x, method="grad_cam", target=TARGET, options={"relu": False})
    close(grad_cam.heatmap, why.heatmap)  # and Grad-CAM is the same here


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("layer", ["stem", "relu", "block"])
def test_a_named_layer_is_used(method: str, layer: str) -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    why = explain(clf, x, method=method, target=TARGET, layer=layer)
    assert why.layer == layer
    a, g = maps(clf, x, layer)
    close(why.heatmap, enlarged(by_the_paper(method, a, g), x), 2e-3)


@pytest.mark.parametrize(("layer", "message"), [("head", "not a map"), ("heads", "Did you mean 'head'")])
def test_a_layer_without_maps_or_a_wrong_name_is_refused(layer: str, message: str) -> None:
    clf = classifier("in_place")
    with pytest.raises(LayerError, match=message):
        explain(clf, picture(clf.input_size), method="grad_cam", layer=layer)


def test_a_layer_that_takes_no_part_is_refused() -> None:
    def build() -> nn.Module:
        net = Pooled()
        net.spare = nn.Conv2d(3, 3, 1)
        return net

    clf = Classifier(seeded(build), input_size=(21, 21))
    with pytest.raises(LayerError, match="takes no part"):
        explain(clf, picture((21, 21)), method="grad_cam", layer="spare")


@pytest.mark.parametrize(
    ("behind", "layer"),
    [
        ([nn.ReLU()], "2"),
        ([nn.ReLU(inplace=True)], "2"),
        ([nn.ReLU(), nn.Identity()], "2"),
        ([nn.ReLU(inplace=True), nn.Dropout(0.5)], "2"),
        ([nn.ReLU(), nn.Dropout2d(0.5), nn.MaxPool2d(2)], "2"),
        ([nn.MaxPool2d(2), nn.ReLU(inplace=True)], "3"),
        ([nn.Sequential(nn.ReLU(), nn.Identity()), nn.AvgPool2d(2)], "2"),
        ([nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))], "2.0"),
    ],
)
@pytest.mark.parametrize("pooled_first", [False, True])
def test_identities_and_pools_behind_the_last_activation(
    behind: list[nn.Module], layer: str, pooled_first: bool
) -> None:
    head = partial(nn.Sequential, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    first = nn.MaxPool2d(2) if pooled_first else nn.Identity()
    clf = Classifier(nn.Sequential(nn.Conv2d(3, 6, 3), first, *behind, head()), input_size=(20, 20))
    assert find_layer(clf, picture((20, 20))) == layer
