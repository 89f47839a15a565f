"""Ablation-CAM against pytorch-grad-cam, and against its formula one silenced map at a time."""

import pytest
import torch
from model_state import differences, model_state
from networks import ARCHITECTURES, TOKENS_OR_VECTORS, InPlace, classifier, picture, seeded
from test_cam import enlarged, maps
from test_gradient_methods import TARGET, close
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.ablation_cam import _Silenced
from cnnaudit.attribution.layers import find_module
from cnnaudit.errors import LayerError, MethodError, OptionError

CONVOLUTIONAL = [a for a in ARCHITECTURES if a not in TOKENS_OR_VECTORS]


def by_the_paper(clf: Classifier, x: Tensor, a: Tensor, layer: str) -> Tensor:
    """Each map silenced in a whole picture's pass, by a plain hook."""
    silent: list[int] = []

    def silence(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        for row, k in enumerate(silent):
            output[row, k] = 0
        return output

    score = clf.scores(x)[0, TARGET]
    handle = find_module(clf, layer).register_forward_hook(silence)
    total = torch.zeros(a.shape[1:], dtype=torch.float64)
    for start in range(0, len(a), 50):
        silent[:] = range(start, min(start + 50, len(a)))
        lost = score - clf.scores(x.expand(len(silent), -1, -1, -1))[:, TARGET]
        total += sum(float(loss) * a[k].double() for loss, k in zip(lost, silent, strict=True))
    handle.remove()
    return total.relu()


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_map_is_the_papers_formula(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    before = model_state(clf.network)
    why = explain(clf, x, method="ablation_cam", target=TARGET)
    assert differences(before, model_state(clf.network)) == []
    close(why.heatmap, enlarged(by_the_paper(clf, x, maps(clf, x, why.layer)[0], why.layer), x), 1e-3)


@pytest.mark.parametrize(
    ("architecture", "layer", "alone"),
    [
        ("in_place", "stem", True),
        ("in_place", "block", True),  # its input skips it, and one picture is added to many
        ("resnet", "layer2", True),
        ("densenet", "features.denseblock1.denselayer1", False),  # one picture is joined to many, which fails
        ("convnext", "features.1.0", True),
        ("functional", "first", True),
    ],
)
def test_layers_in_the_middle(architecture: str, layer: str, alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[_Silenced] = []
    whole = _Silenced.__init__
    monkeypatch.setattr(_Silenced, "__init__", lambda self, *a: made.append(self) or whole(self, *a))
    clf = classifier(architecture)
    x = picture(clf.input_size)
    why = explain(clf, x, method="ablation_cam", target=TARGET, layer=layer)
    assert made[0].alone == alone
    close(why.heatmap, enlarged(by_the_paper(clf, x, maps(clf, x, layer)[0], layer), x), 1e-3)


def test_a_layer_that_is_used_again_is_silenced_where_it_is_explained() -> None:
    clf = classifier("in_place")  # its one ReLU runs three times, over 8, 8 and 12 channels
    x = picture(clf.input_size)
    why = explain(clf, x, method="ablation_cam", target=TARGET, layer="relu")
    assert why.facts["channels"] == 12
    a = maps(clf, x, "relu")[0]
    close(why.heatmap, enlarged(by_the_paper(clf, x, a, "last"), x), 1e-3)  # ReLU of a silenced map is silent too


class Reshaping(InPlace):
    """Writes down how many pictures there are before the layer, and believes it afterwards."""

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        x = self.pool(self.relu(self.norm(self.stem(x))))
        return self.head(self.relu(self.last(x)).view(n, 12, -1).mean(2))


def test_a_network_that_counts_its_pictures_is_sent_as_many_as_are_asked_for() -> None:
    clf = Classifier(seeded(Reshaping), input_size=(32, 40))
    x = picture((32, 40))
    why = explain(clf, x, method="ablation_cam", target=TARGET, layer="last")
    close(why.heatmap, enlarged(by_the_paper(clf, x, maps(clf, x, "last")[0], "last"), x), 1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_map_is_pytorch_grad_cams() -> None:
    package = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    clf = classifier("resnet")
    x = picture(clf.input_size)
    target = clf.predict(x)[0].index
    score = float(clf.scores(x)[0, target])
    assert score > 0  # the package divides by it
    why = explain(clf, x, method="ablation_cam", target=target)
    a, g = maps(clf, x, why.layer)
    assert a.min() == 0  # elsewhere the package silences with a large negative number
    layer = find_module(clf, why.layer)
    cam = package.AblationCAM(clf.network, [layer])
    wanted = [targets.ClassifierOutputTarget(target)]
    theirs = cam.get_cam_image(clf.normalised(x), layer, wanted, a[None].numpy(), g, False)[0]
    close(why.heatmap, score * enlarged(torch.as_tensor(theirs).relu(), x), 1e-3)


def test_scores_that_are_not_finite_are_never_a_map() -> None:
    class Dividing(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.last(self.pool(self.relu(self.norm(self.stem(x))))))
            return self.head(x.mean((2, 3))) / x[:, 3].amax((1, 2))[:, None]

    with pytest.raises(MethodError, match="not finite"):
        explain(Classifier(seeded(Dividing), input_size=(32, 40)), picture((32, 40)), method="ablation_cam")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="batch"):
        explain(classifier("in_place"), picture((32, 40)), method="ablation_cam", options={"batch": 0})
    with pytest.raises(LayerError, match="not a map"):
        explain(classifier("in_place"), picture((32, 40)), method="ablation_cam", layer="head")
