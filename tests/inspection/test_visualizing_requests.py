"""What can be asked of a visualisation, and what is refused in words."""

import warnings

import pytest
import torch
from torch import Tensor

from cnnaudit.errors import LayerError, ModelError, NotApplicableError
from cnnaudit.inspection import channel, direction, visualize_feature
from tests.inspection.small_networks import SIZE, Small, classifier


def test_objectives_are_summed() -> None:
    parts = [channel("one", index) for index in range(3)]
    assert sum(parts).name == "one, channel 0 + one, channel 1 + one, channel 2"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        sum(parts, 1)  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_two_directions_of_a_layer_have_two_names() -> None:
    one, two = torch.tensor([1.0, 2, 3, 4]), torch.tensor([4.0, 3, 2, 1])
    names = [direction("one", vector).name for vector in (one, two, 2 * one)]
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("one, direction ") for name in names)
    assert direction("one", one, name="fur").name == "fur"


def test_a_scripted_network_cannot_be_watched() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(Small().eval(), torch.rand(1, 1, SIZE, SIZE))
    with pytest.raises(NotApplicableError, match="is scripted"):
        visualize_feature(classifier(scripted), ("one", 0), steps=1)  # pyright: ignore[reportArgumentType]


def test_a_network_that_fails_on_what_is_not_flat() -> None:
    def picky(net: Small, x: Tensor) -> Tensor:
        if float(x.detach().std()) > 1e-6:
            raise ValueError("too lively")
        return net.act(net.one(x))

    with pytest.raises(ModelError, match=r"fails on pictures of 8 x 8: too lively\. Leave size out"):
        visualize_feature(classifier(Small(picky)), ("one", 0), steps=1)


def test_channels_that_come_last_are_refused() -> None:
    def last(net: Small, x: Tensor) -> Tensor:
        return net.mix(net.one(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    asked = classifier(Small(last))
    with pytest.raises(LayerError, match="channels last"):
        visualize_feature(asked, ("mix", 0), steps=1)
    assert visualize_feature(asked, ("two", 0), steps=1).pictures
