"""The graph of a network's blocks: against torchvision's own modules, and arithmetic on small networks."""

import math
from functools import cache

import pytest
import torch
import torchvision
from model_state import differences, model_state
from networks import ARCHITECTURES, InPlace, classifier
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.errors import ModelError
from cnnaudit.inspection import blocks
from cnnaudit.models import ARCHITECTURES as OWN
from cnnaudit.results import Blocks, Fold

ZOO = {
    "resnet152": {"Bottleneck": 50},
    "resnet18": {"BasicBlock": 8},
    "densenet121": {"_DenseLayer": 58},
    "googlenet": {"Inception": 9},
    "mobilenet_v2": {"InvertedResidual": 17},
    "squeezenet1_1": {"Fire": 8},
    "efficientnet_b0": {"MBConv": 16},
    "convnext_tiny": {"CNBlock": 18},
    "shufflenet_v2_x1_0": {"InvertedResidual": 16},
    "regnet_y_400mf": {"ResBottleneckBlock": 16},
    "vit_b_16": {"EncoderBlock": 12},
    "vgg16": {},
    "alexnet": {},
}
"""How many blocks of each class the papers' networks have; DenseNet-121 has 6 + 12 + 24 + 16 layers."""


@cache
def zoo(name: str) -> Blocks:
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        net = torchvision.models.get_model(name, **options).to("meta")
    return blocks(ca.Classifier(net))


def counted(found: Blocks) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for fold in found.folds:
        for block in fold.blocks:
            if block.kind:
                kinds[block.kind] = kinds.get(block.kind, 0) + fold.times
    return kinds


@pytest.mark.parametrize("name", ZOO)
def test_the_blocks_are_those_of_the_paper_and_few_are_drawn(name: str) -> None:
    found = zoo(name)
    assert counted(found) == ZOO[name]
    assert len(found.folds) <= 24
    nodes = [node for fold in found.folds for block in fold.blocks for node in block.nodes]
    assert len(nodes) <= 110


@pytest.mark.parametrize("name", ["resnet152", "densenet121", "mobilenet_v2", "vgg16", "alexnet", "efficientnet_b0"])
def test_the_parameters_add_up_to_the_networks(name: str) -> None:
    with torch.device("meta"):
        net = torchvision.models.get_model(name)
    assert sum(fold.parameters for fold in zoo(name).folds) == sum(p.numel() for p in net.parameters())


def labels(fold: Fold) -> list[tuple[str, ...]]:
    return [node.label for block in fold.blocks for node in block.nodes]


def test_resnet18_folds_what_is_equal() -> None:
    folds = zoo("resnet18").folds
    assert [fold.times for fold in folds] == [1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert labels(folds[0]) == [("conv 7 × 7, stride 2", "batch norm", "ReLU")]
    same, halved = folds[2], folds[3]
    assert (same.blocks[0].name, same.last, same.parameters) == ("layer1.0", "layer1.1", 4 * (64 * 64 * 9 + 128))
    assert [node.inputs for node in same.blocks[0].nodes] == [(-1,), (0,), (-1, 1)]
    assert labels(same)[-1] == ("sum", "ReLU") and same.blocks[0].nodes[-1].joins
    assert [node.inputs for node in halved.blocks[0].nodes] == [(-1,), (0,), (-1,), (1, 2)]
    assert halved.blocks[0].output_shape == (128, 28, 28)
    assert [fold.inputs for fold in folds] == [(at - 1,) for at in range(len(folds))]


def test_vgg16_is_a_chain_of_folded_layers() -> None:
    folds = zoo("vgg16").folds
    assert [fold.times for fold in folds] == [2, 1, 2, 1, 3, 1, 3, 1, 3, 1, 1, 2, 1]
    assert labels(folds[4]) == [("conv 3 × 3", "ReLU")]
    assert (folds[4].blocks[0].name, folds[4].last) == ("features.10", "features.14")
    assert folds[-1].blocks[0].output_shape == (1000,)


def test_an_inception_block_has_four_branches() -> None:
    fold = next(fold for fold in zoo("googlenet").folds if fold.blocks[0].kind == "Inception")
    assert [node.inputs for node in fold.blocks[0].nodes] == [
        (-1,),
        (-1,),
        (1,),
        (-1,),
        (3,),
        (-1,),
        (5,),
        (0, 2, 4, 6),
    ]
    assert labels(fold)[-1] == ("concatenation",)


def test_dense_layers_take_from_all_before_them() -> None:
    folds = zoo("densenet121").folds
    dense = next(fold for fold in folds if fold.times == 5)
    assert dense.blocks[0].nodes[0].label[0] == "concatenation"
    assert len(dense.inputs) == 2
    assert any(len(fold.inputs) == 3 for fold in folds)


def test_a_signals_network() -> None:
    found = blocks(ca.Classifier(OWN["mnist1d-cnn"](), input_size=(1, 40), channels=1))
    assert found.picture == (1, 1, 40)
    assert [labels(fold) for fold in found.folds[:1]] == [[("conv 3, stride 2", "ReLU")]]
    assert [node.output_shape for fold in found.folds for node in fold.blocks[0].nodes][-1] == (10,)


def test_a_repeated_pair_is_folded_together() -> None:
    pair = [(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 1, 1)) for _ in range(4)]
    net = nn.Sequential(*(layer for each in pair for layer in each), nn.Flatten(), nn.Linear(3 * 64, 2))
    first, last = blocks(ca.Classifier(net, input_size=8)).folds
    assert (first.times, labels(first)) == (4, [("conv 3 × 3", "ReLU"), ("max pool 3 × 3",)])
    assert first.parameters == 4 * (81 + 3) and labels(last) == [("linear",)]


def test_skips_across_the_network_are_named() -> None:
    class Ladder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.deep = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, padding=1)
            self.up, self.head = nn.Upsample(scale_factor=2), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            high = torch.relu(self.down(x))
            low = torch.relu(self.deep(high))
            return self.head(torch.cat([high, self.up(low)], 1).mean((2, 3)))

    folds = blocks(ca.Classifier(Ladder(), input_size=8)).folds
    assert [labels(fold)[0] for fold in folds] == [
        ("conv 3 × 3", "ReLU"),
        ("conv 3 × 3, stride 2", "ReLU"),
        ("Upsample",),
        ("concatenation",),
        ("mean",),
        ("linear",),
    ]
    assert folds[3].inputs == (0, 2)


def test_a_module_in_use_twice_counts_its_parameters_once() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(conv, nn.ReLU(), conv, nn.ReLU(), nn.Flatten(), nn.Linear(3 * 64, 2))
    found = blocks(ca.Classifier(net, input_size=8))
    assert [fold.times for fold in found.folds] == [2, 1]
    assert found.folds[0].parameters == 84


def test_names_are_those_of_modules() -> None:
    for name in ("in_place", "resnet", "mobilenet_v2"):
        clf = classifier(name)
        known = dict(clf.network.named_modules())
        for fold in blocks(clf).folds:
            for block in fold.blocks:
                for node in block.nodes:
                    assert all(each in known for each in node.names)
                    assert all(math.prod(shape) > 0 for shape in (node.output_shape,))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_network_comes_back_as_it_was(name: str) -> None:
    clf = classifier(name)
    clf.network.train()
    before = model_state(clf.network)
    assert blocks(clf).folds
    assert differences(before, model_state(clf.network)) == []


def test_also_when_it_fails() -> None:
    net = InPlace()
    clf = ca.Classifier(net, input_size=(32, 40))
    net.head = nn.Linear(7, 2)
    before = model_state(net)
    with pytest.raises(ModelError, match="fails on a grey picture"):
        blocks(clf)
    assert differences(before, model_state(net)) == []
