"""Values and networks that a method must refuse, or say something about, instead of giving a map."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnaudit import Classifier, explain, explain_all
from cnnaudit.errors import NotApplicableError, OptionError


class Net(nn.Module):
    """Convolution, some spelling of ReLU, pooling, a linear layer."""

    def __init__(self, rectify: Any) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.linear = nn.Conv2d(3, 6, 3), nn.Linear(6, 2)
        self.rectify = rectify

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.rectify(self.conv(x)).mean((2, 3)))


@pytest.fixture
def pixels() -> Tensor:
    return torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "rectify",
    [
        lambda x: torch.clamp_min(x, 0),
        lambda x: torch.clip(x, min=0),
        lambda x: x.clip(min=0),
        lambda x: F.threshold(x, 0.0, 0.0),
        lambda x: x.clamp_min(0),
    ],
)
def test_deep_lift_follows_every_spelling_of_relu(rectify: Any, pixels: Tensor) -> None:
    expected = explain(Classifier(Net(torch.relu), input_size=24), pixels, method="deep_lift", target=0)
    why = explain(Classifier(Net(rectify), input_size=24), pixels, method="deep_lift", target=0)
    torch.testing.assert_close(why.heatmap, expected.heatmap)
    assert why.facts["completeness_error"] < 1e-4


def test_deep_lift_refuses_a_network_in_which_it_meets_no_operation(pixels: Tensor) -> None:
    net = Net(lambda x: torch.maximum(x, torch.zeros_like(x)))
    with pytest.raises(NotApplicableError, match="input x gradient"):
        explain(Classifier(net, input_size=24), pixels, method="deep_lift")


def test_deep_lift_of_a_linear_network_needs_no_rule(pixels: Tensor) -> None:
    why = explain(Classifier(Net(lambda x: x), input_size=24), pixels, method="deep_lift")
    assert why.facts["completeness_error"] < 1e-4


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("smoothgrad", {"noise": math.nan}),
        ("integrated_gradients", {"tolerance": math.nan}),
        ("integrated_gradients", {"baselines": ("black", "black")}),
        ("integrated_gradients", {"baselines": ()}),
        ("lime", {"compactness": 0.0}),
        ("lime", {"kernel_width": 0.0}),
        ("lime", {"kernel_width": math.nan}),
    ],
)
def test_meaningless_values_are_refused(method: str, options: dict[str, Any], pixels: Tensor) -> None:
    with pytest.raises(OptionError):
        explain(Classifier(Net(torch.relu), input_size=24), pixels, method=method, options=options)


def test_lime_says_when_its_samples_are_few(pixels: Tensor) -> None:
    classifier = Classifier(Net(torch.relu), input_size=24)
    few = explain(classifier, pixels, method="lime", options={"samples": 8, "segments": 12})
    many = explain(classifier, pixels, method="lime", options={"samples": 200, "segments": 12})
    assert any("few" in note for note in few.notes)
    assert not any("few" in note for note in many.notes)


def test_a_network_that_draws_by_itself_repeats_itself(pixels: Tensor) -> None:
    classifier = Classifier(Net(lambda x: F.dropout(F.relu(x), 0.5, True)), input_size=24)
    first, second = (explain(classifier, pixels, method="occlusion", target=0) for _ in range(2))
    assert torch.equal(first.heatmap, second.heatmap)


def test_arrays_and_single_pictures_are_taken_and_others_named() -> None:
    classifier = Classifier(Net(torch.relu), input_size=24)
    array = (torch.rand(30, 40, 3, generator=torch.Generator().manual_seed(2)) * 255).byte().numpy()
    assert len(explain_all(classifier, array, methods=["saliency"]).images) == 1
    with pytest.raises(OptionError, match="NoneType"):
        explain(classifier, None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="by their names"):
        explain_all(classifier, array, methods=[lambda query: query.pixels[0, 0]])  # type: ignore[list-item]


def test_whatever_a_forward_raises_is_a_reason_and_the_rest_go_on(pixels: Tensor) -> None:
    class Moody(Net):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 2:
                raise KeyError("a batch that this network cannot take")
            return super().forward(x)

    classifier = Classifier(Moody(torch.relu), input_size=24)
    result = explain_all(classifier, pixels, methods=["occlusion", "saliency"]).images[0]
    assert [e.method for e in result.explanations] == ["saliency"]
    assert "KeyError" in result.declined[0].reason
