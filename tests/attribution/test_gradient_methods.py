"""Saliency, input x gradient and SmoothGrad against autograd and captum."""

import captum.attr
import pytest
import torch
from networks import ARCHITECTURES, classifier, picture
from torch import Tensor, nn

from cnnaudit import Classifier, explain
from cnnaudit.attribution.query import Query

TARGET = 2


class Normalised(nn.Module):
    """The plain network behind its normalisation, as captum is given it."""

    def __init__(self, clf: Classifier) -> None:
        super().__init__()
        self.network = clf.network
        self.register_buffer("mean", torch.tensor(clf.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(clf.std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        output = self.network((x - self.mean) / self.std)
        return output["logits"] if isinstance(output, dict) else output


def close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    """Equal within `tolerance` of the largest value."""
    theirs = theirs.detach().float()
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * float(theirs.abs().max()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saliency_is_the_gradients_magnitude(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size).requires_grad_()
    gradient = torch.autograd.grad(Normalised(clf)(x)[0, TARGET], x)[0][0]
    close(explain(clf, x, method="saliency", target=TARGET).heatmap, gradient.abs().amax(0))
    norm = explain(clf, x, method="saliency", target=TARGET, options={"channels": "norm"}).heatmap
    close(norm, gradient.square().sum(0).sqrt())
    captums = captum.attr.Saliency(Normalised(clf)).attribute(x, TARGET)[0].amax(0)
    close(explain(clf, x, method="saliency", target=TARGET).heatmap, captums)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_input_x_gradient_is_captums(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    theirs = captum.attr.InputXGradient(Normalised(clf)).attribute(x.clone().requires_grad_(), TARGET)[0].sum(0)
    close(explain(clf, x, method="input_x_gradient", target=TARGET).heatmap, theirs)


def test_input_x_gradient_sums_to_the_score_without_biases() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = [nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, bias=False), nn.ReLU()]
        net = nn.Sequential(*body, nn.Flatten(), nn.Linear(6 * 25, 4, bias=False))
    clf = Classifier(net, input_size=(16, 16))
    why = explain(clf, picture((16, 16)), method="input_x_gradient")
    assert float(why.heatmap.sum()) == pytest.approx(why.prediction.logit, rel=1e-4)


@pytest.mark.parametrize("architecture", ["in_place", "densenet", "vit"])
def test_smoothgrad_without_noise_is_saliency(architecture: str) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    smooth = explain(clf, x, method="smoothgrad", options={"noise": 0.0, "samples": 5, "batch": 2}).heatmap
    close(smooth, explain(clf, x, method="saliency").heatmap)


def test_smoothgrad_is_the_gradient_averaged_over_its_own_noise() -> None:
    clf = classifier("in_place")
    x, samples, noise = picture(clf.input_size), 6, 0.2
    query = Query(clf, x, clf.target(TARGET), seed=3, image_id=explain(clf, x).image.sha256)
    epsilon = torch.randn(samples, *x.shape[1:], generator=query.generator("smoothgrad"))
    theirs = torch.zeros_like(x)
    for one in epsilon:
        noisy = (x + noise * one).requires_grad_()
        theirs += torch.autograd.grad(Normalised(clf)(noisy)[0, TARGET], noisy)[0] / samples
    options = {"samples": samples, "noise": noise, "batch": samples}
    close(explain(clf, x, method="smoothgrad", target=TARGET, options=options, seed=3).heatmap, theirs[0].abs().amax(0))


def test_smoothgrad_tends_to_captums_noise_tunnel() -> None:
    clf = classifier("in_place")
    x = picture(clf.input_size)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(Normalised(clf)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = tunnel.attribute(
            x, nt_type="smoothgrad", nt_samples=600, nt_samples_batch_size=50, stdevs=0.15, target=TARGET, abs=False
        )[0].abs().amax(0)  # fmt: skip
    ours = explain(clf, x, method="smoothgrad", target=TARGET, options={"samples": 600, "batch": 50}).heatmap
    plain = explain(clf, x, method="saliency", target=TARGET).heatmap

    def correlation(a: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a.flatten(), theirs.flatten()]))[0, 1])

    assert correlation(ours) > 0.98
    assert correlation(plain) < correlation(ours)
