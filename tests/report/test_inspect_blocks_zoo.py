"""The drawn graph of torchvision's networks against their dataflow as torch.fx traces it."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
import torchvision
from drawn_graph import DrawnCard, DrawnGraph, graph_of
from one_section import page_of
from torch import fx, nn

import cnnaudit as ca
from cnnaudit.inspection import blocks
from cnnaudit.report.inspection import blocks as section

PICTURE = -1
BLOCKS = {"resnet18": "BasicBlock", "resnet152": "Bottleneck", "googlenet": "Inception"}
_LIGHT = ("BatchNorm2d", "ReLU", "Dropout", "relu", "flatten")


@cache
def network(name: str) -> nn.Module:
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with torch.device("meta"):
        return torchvision.models.get_model(name, **options)


@cache
def drawn(name: str) -> DrawnGraph:
    return graph_of(page_of("blocks", section.view(blocks(ca.Classifier(network(name)))), scripted=False))


class Leaves(fx.Tracer):
    """Down to the modules that hold no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


def traced(name: str) -> list[tuple[str, list[int]]]:
    """For each layer and join, in the order in which they run, its block (or itself) and what it takes from.

    Normalisation, activations and the like count as the layer before them.
    """
    net = network(name)
    parts = {path: type(module).__name__ for path, module in net.named_modules()}
    stands: dict[fx.Node, int] = {}
    found: list[tuple[str, list[int]]] = []
    for node in Leaves().trace(net).nodes:
        taken = [stands[source] for source in node.all_input_nodes]
        kind = parts[str(node.target)] if node.op == "call_module" else getattr(node.target, "__name__", "")
        if node.op == "placeholder":
            stands[node] = PICTURE
        elif node.op == "output" or kind in _LIGHT:
            stands[node] = taken[0]
        else:
            stands[node] = len(found)
            around = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
            inside = next((path for path in around if parts.get(path) == BLOCKS[name]), None)
            found.append((inside or str(node.target), list(dict.fromkeys(taken))))
    return found


def grouped(layers: list[tuple[str, list[int]]]) -> tuple[list[str], list[int]]:
    """The blocks in order, and for each layer its block's place."""
    names: list[str] = []
    places: list[int] = []
    for name, _ in layers:
        if not names or names[-1] != name:
            names.append(name)
        places.append(len(names) - 1)
    return names, places


def standing_for(cards: list[DrawnCard]) -> Iterator[int]:
    """For each block the card that stands for it, by how often it says that it runs."""
    for place, card in enumerate(cards[1:], 1):
        yield from [place] * card.times


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_there_and_edges_are_the_dataflow_s(name: str) -> None:
    layers = traced(name)
    names, places = grouped(layers)
    cards = drawn(name).cards
    stands = list(standing_for(cards))
    assert len(stands) == len(names)
    for at, card in enumerate(cards[1:], 1):
        own = [block for block, place in zip(names, stands, strict=True) if place == at]
        first, _, last = "".join(card.names).partition(" … ")
        assert first == own[0] and own[-1].endswith(last)
    edges = {
        (0 if source == PICTURE else stands[places[source]], stands[places[at]])
        for at, (_, taken) in enumerate(layers)
        for source in taken
    }
    assert drawn(name).edges == {(source, target) for source, target in edges if source != target}


@pytest.mark.parametrize("name", BLOCKS)
def test_branches_and_shortcuts_in_every_block_are_the_dataflow_s(name: str) -> None:
    layers = traced(name)
    names, places = grouped(layers)
    stands = list(standing_for(drawn(name).cards))
    compared = 0
    for block, card in enumerate(drawn(name).cards[place] for place in stands):
        own = [at for at, place in enumerate(places) if place == block]
        if len(own) > 1:
            expected = {
                (own.index(source) if source in own else PICTURE, own.index(at))
                for at in own
                for source in layers[at][1]
            }
            assert (names[block], card.inner, card.title) == (names[block], expected, BLOCKS[name])
            compared += 1
    assert compared == sum(type(module).__name__ == BLOCKS[name] for module in network(name).modules())


def test_resnet152_is_drawn_with_its_repeated_blocks_folded() -> None:
    cards = drawn("resnet152").cards
    assert [card.times for card in cards if card.boxes] == [1, 2, 1, 7, 1, 35, 1, 2]
    assert drawn("resnet152").page.width <= 1136, "as wide as the page"


def test_blocks_with_inner_layers_of_other_widths_are_not_folded() -> None:
    """Table 1 of arXiv:1409.4842: 4a, 4b and 4c all give 512 maps, from branches of different widths."""
    cards = [card for card in drawn("googlenet").cards if card.boxes]
    assert [card.times for card in cards] == [1] * 9
    widths = {
        card.names[0]: [int(text[-1].split(" × ")[0].replace("\u202f", "")) for text in card.texts] for card in cards
    }
    assert widths["inception4a"] == [192, 96, 208, 16, 48, 480, 64, 512]
    assert widths["inception4b"] == [160, 112, 224, 24, 64, 512, 64, 512]
