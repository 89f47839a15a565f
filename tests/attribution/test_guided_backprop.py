"""Guided backpropagation against captum, and in every form that a ReLU is written in."""

import captum.attr
import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import MEAN, STD, Alternating, classifier, picture, seeded
from test_gradient_methods import TARGET, Normalised, close
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.errors import NotApplicableError


def guided(net: nn.Module, x: Tensor) -> Tensor:
    clf = Classifier(net, input_size=(x.shape[2], x.shape[3]), mean=MEAN, std=STD)
    return explain(clf, x, method="guided_backprop", target=TARGET).heatmap


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
@pytest.mark.parametrize("name", ["alternating", pytest.param("vgg11", marks=pytest.mark.slow), "resnet18"])
def test_module_relus_give_captums_map(name: str) -> None:
    net = seeded(Alternating if name == "alternating" else lambda: torchvision.models.get_model(name, num_classes=5))
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks cannot have it
    x = picture((32, 32))
    clf = Classifier(net, input_size=(32, 32), mean=MEAN, std=STD)
    theirs = captum.attr.GuidedBackprop(Normalised(clf)).attribute(x.clone().requires_grad_(), TARGET)[0]
    close(guided(net, x), theirs.abs().amax(0), 1e-4)


class Forms(nn.Module):
    """One network, its ReLU written in different ways."""

    def __init__(self, relu: object) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)])
        self.head = nn.Linear(6, 4)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = self.relu(convolution(x))
        return self.head(x.mean((2, 3)))


FORMS = {
    "module in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "positional in place": lambda x: F.relu(x, True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "leaky without a leak": nn.LeakyReLU(0.0, inplace=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_relu_is_guided(form: str) -> None:
    x = picture((16, 16))
    expected = guided(seeded(lambda: Forms(nn.ReLU())), x)
    close(guided(seeded(lambda: Forms(FORMS[form])), x), expected)
    plain = explain(Classifier(seeded(lambda: Forms(nn.ReLU())), input_size=(16, 16), mean=MEAN, std=STD), x,
                    method="saliency", target=TARGET).heatmap  # fmt: skip
    assert not torch.allclose(plain, expected)


@pytest.mark.parametrize("form", [lambda x: x.clamp(min=0), lambda x: torch.where(x > 0, x, 0), nn.GELU(), nn.PReLU()])
def test_what_cannot_be_guided_is_not_called_guided(form: object) -> None:
    with pytest.raises(NotApplicableError, match=r"plain gradient\. Use saliency"):
        guided(seeded(lambda: Forms(form)), picture((16, 16)))


@pytest.mark.parametrize("form", [lambda x: x.clamp(min=0), lambda x: x.clamp_(0), nn.PReLU(), F.silu, torch.sigmoid])
def test_activations_that_stay_plain_among_relus_are_counted(form: object) -> None:
    net = seeded(lambda: Forms(lambda x: form(F.relu(x))))
    why = explain(Classifier(net, input_size=(16, 16)), picture((16, 16)), method="guided_backprop")
    assert why.facts["guided_activations"] == 2
    assert why.notes[0].startswith("2 activations have no guided rule")


def test_a_network_of_relus_has_no_note() -> None:
    why = explain(classifier("resnet"), picture((64, 64)), method="guided_backprop")
    assert why.notes == ()
    assert why.facts["guided_activations"] == 9
