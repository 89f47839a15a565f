"""Methods that read the same gradient share one forward and one backward pass."""

from collections import Counter

import pytest
import torch
from networks import classifier, picture
from torch import Tensor, nn

from cnnaudit import Classifier, explain, explain_all
from cnnaudit.attribution import METHODS

SHARING = [name for name, method in METHODS.items() if method.shares_gradient]


class Counting(torch.autograd.Function):
    """The identity, which counts its backward passes."""

    @staticmethod
    def forward(ctx: object, x: Tensor, count: Counter) -> Tensor:
        ctx.count = count
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.count["backward"] += 1
        return gradient, None


def counted(clf: Classifier) -> Counter:
    count: Counter = Counter()

    def passes(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        count["forward"] += len(output)
        return Counting.apply(output, count)

    clf.network.register_forward_hook(passes)
    return count


def test_the_methods_that_share_are_those_that_need_the_plain_gradient() -> None:
    assert sorted(SHARING) == sorted(
        ["saliency", "input_x_gradient", "grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam"]
    )


@pytest.mark.parametrize("methods", [SHARING, SHARING[::-1], ["saliency", "grad_cam"]])
def test_one_forward_and_one_backward_serve_all(methods: list[str]) -> None:
    clf = classifier("in_place")
    count = counted(clf)
    report = explain_all(clf, [picture(clf.input_size)], methods=methods)
    assert len(report.images[0].explanations) == len(methods)
    assert count == {"forward": 1 + 1 + 1, "backward": 1}  # the prediction, the search for the layer, the shared pass
    assert [e.forward_passes for e in report.images[0].explanations] == [1] + [0] * (len(methods) - 1)
    explain_all(clf, [picture(clf.input_size)], methods=methods)
    assert count == {"forward": 5, "backward": 2}  # the layer is known by now


def test_each_target_has_its_own_pass() -> None:
    clf = classifier("in_place")
    count = counted(clf)
    explain_all(clf, [picture(clf.input_size)], methods=SHARING, target="top3")
    assert count == {"forward": 1 + 1 + 3, "backward": 3}


@pytest.mark.parametrize("architecture", ["mlp", "vit"])
def test_without_maps_the_gradient_is_still_shared(architecture: str) -> None:
    clf = classifier(architecture)
    count = counted(clf)
    explain_all(clf, [picture(clf.input_size)], methods=SHARING)
    assert count == {"forward": 1 + 1 + 1, "backward": 1}


def test_one_method_alone_takes_one_pass() -> None:
    clf = classifier("in_place")
    count = counted(clf)
    assert explain(clf, picture(clf.input_size), method="saliency").forward_passes == 1
    assert count == {"forward": 2, "backward": 1}


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("random", "edges")])
def test_forward_passes_are_counted_truly(method: str) -> None:
    clf = classifier("in_place")
    explain(clf, picture(clf.input_size), method="grad_cam")  # finds the layer
    count = counted(clf)
    why = explain(clf, picture(clf.input_size), method=method)
    assert why.forward_passes == count["forward"] - 1
