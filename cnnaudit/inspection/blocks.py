"""The blocks of a network as a graph: what runs, in the order in which it runs, repeated blocks folded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from torch import nn

from cnnaudit.classifier import Classifier
from cnnaudit.inspection import naming
from cnnaudit.inspection.dataflow import PICTURE, Flow, Run, flow
from cnnaudit.results import Block, Blocks, Fold, Node

_LARGEST_BLOCK = 16  # layers with weights
_LONGEST_PERIOD = 6
_WEIGHTY = ("convolution", "linear", "addmm", "mm")


def blocks(classifier: Classifier) -> Blocks:
    """The network's layers and blocks as a graph, as one forward pass runs them.

    A block is a module with several weighty layers that is no mere sequence of others and holds no further
    blocks, such as a residual or an inception block; layers outside of blocks stand alone. Normalisation and
    activation go with the layer before them. Blocks that follow each other and have the same layers, windows,
    connections and output shape are folded.

    Raises:
        ModelError: the network fails on a grey picture.
    """
    watched = flow(classifier)
    modules = dict(classifier.network.named_modules())
    every = _layers(watched, modules)
    homes = _homes(watched, modules, every)
    layers = _merged(every, homes)
    graph = _Graph(layers, homes, watched, modules)
    return Blocks((classifier.channels, *classifier.input_size), tuple(graph.folds()))


@dataclass(slots=True, eq=False)
class _Layer:
    """A node while it is made: `sources` are other layers, or None for the picture."""

    calls: tuple[int, ...]
    name: str
    label: list[str]
    sources: list["_Layer | None"]
    shape: tuple[int, ...]
    parameters: int = 0
    weighty: bool = False
    light: bool = False
    idle: bool = True
    names: list[str] = field(default_factory=list)


def _layers(watched: Flow, modules: dict[str, nn.Module]) -> list[_Layer]:
    """One for each call of a module that calls no other, and for each function that is worth a place."""
    busy = {caller for caller in watched.callers if caller is not None} | {0}
    made: list[_Layer | None] = []  # by run: the layer that it belongs to, or whose output it passes on
    by_call: dict[int, _Layer] = {}
    found: list[_Layer] = []
    for run in watched.runs:
        sources = list(dict.fromkeys(None if source == PICTURE else made[source] for source in run.sources))
        inner = run.calls[-1] if run.calls and run.calls[-1] not in busy else None
        layer = by_call.get(inner) if inner is not None else _of_function(run, sources, watched)
        if inner is not None and layer is None:
            layer = by_call[inner] = _Layer(run.calls, watched.modules[inner], [], sources, run.shape)
        if layer is not None:
            _ran(layer, run, sources)
        if layer is not None and layer not in found:
            found.append(layer)
        made.append(layer or sources[0])
    counted = set[nn.Parameter]()
    for layer in found:
        _describe(layer, modules, counted)
    return found


def _of_function(run: Run, sources: list[_Layer | None], watched: Flow) -> _Layer | None:
    """None for what passes values on, or scales the picture before the network gets it."""
    if len(sources) > 1:
        return _Layer(run.calls, "", [naming.joint_name(run.name)], sources, run.shape)
    name = naming.function_name(run.name) if run.calls or not watched.modules else None
    return _Layer(run.calls, "", [name], sources, run.shape) if name else None


def _ran(layer: _Layer, run: Run, sources: list[_Layer | None]) -> None:
    """Add an operation to what its layer does."""
    layer.sources += [source for source in sources if source is not layer and source not in layer.sources]
    layer.shape = run.shape
    layer.weighty |= run.name in _WEIGHTY
    layer.idle &= run.name in naming.VIEWS


def _describe(layer: _Layer, modules: dict[str, nn.Module], counted: set[nn.Parameter]) -> None:
    """Name the layer, count its parameters, and tell whether it goes with the one before it."""
    module = modules.get(layer.name) if layer.name else None
    if module is not None:
        layer.label, layer.names = [naming.module_name(module, layer.shape)], [layer.name]
        own = set(module.parameters()) - counted
        layer.parameters = sum(parameter.numel() for parameter in own)
        layer.weighty |= any(parameter.ndim > 1 for parameter in module.parameters())
        counted |= own
    before = layer.sources[0]
    same = len(layer.sources) == 1 and before is not None and before.shape == layer.shape
    layer.light = same and not layer.weighty and "pool" not in layer.label[0]


def _merged(layers: Sequence[_Layer], homes: Mapping[int, bool]) -> list[_Layer]:
    """Without what goes with the layer before it, and without what leaves all values as they are."""
    users = Counter(source for layer in layers for source in layer.sources)
    into: dict[_Layer | None, _Layer | None] = {}
    kept: list[_Layer] = []
    for layer in layers:
        before = layer.sources[0]
        host = into.get(before, before)
        layer.sources = list(dict.fromkeys(into.get(source, source) for source in layer.sources))
        if layer.idle and len(layer.sources) == 1:
            into[layer] = host
            users[host] += users[layer] - 1
        elif layer.light and host and users[before] == 1 and _home(host, homes) == _home(layer, homes):
            host.label += layer.label
            host.names += layer.names
            host.parameters += layer.parameters
            into[layer] = host
        else:
            kept.append(layer)
    return kept


def _home(layer: _Layer, homes: Mapping[int, bool]) -> int | None:
    """The call of the block that the layer is in."""
    return next((call for call in layer.calls if homes[call]), None)


def _homes(watched: Flow, modules: dict[str, nn.Module], layers: Sequence[_Layer]) -> dict[int, bool]:
    """For each call whether it is a block."""
    weights = [0] * len(watched.modules)
    for layer in layers:
        for call in layer.calls[: -1 if layer.name else None]:
            weights[call] += layer.weighty
    candidates = [
        weights[call] > 1
        and watched.callers[call] is not None
        and type(modules[name]).forward is not nn.Sequential.forward
        for call, name in enumerate(watched.modules)
    ]
    inside = [0] * len(candidates)  # the outermost candidates in each call
    for call in reversed(range(len(candidates))):
        caller = watched.callers[call]
        if caller is not None:
            inside[caller] += 1 if candidates[call] else inside[call]
    return {
        call: candidate and inside[call] < 2 and weights[call] <= _LARGEST_BLOCK
        for call, candidate in enumerate(candidates)
    }


@dataclass(slots=True, eq=False)
class _Graph:
    """The blocks in order, and which they take from."""

    layers: list[_Layer]
    homes: dict[int, bool]
    watched: Flow
    modules: dict[str, nn.Module]

    def folds(self) -> Iterator[Fold]:
        """Blocks that are repeated, as one."""
        groups = [(home, list(own)) for home, own in groupby(self.layers, self._place)]
        places = {layer: at for at, (_, own) in enumerate(groups) for layer in own}
        built = [self._block(home, own) for home, own in groups]
        sources = [sorted({places[s] if s else PICTURE for each in own for s in each.sources} - {at})
                   for at, (_, own) in enumerate(groups)]  # fmt: skip
        marks = [_mark(block, at, taken) for at, (block, taken) in enumerate(zip(built, sources, strict=True))]
        fold_of: list[int] = []
        at = 0
        while at < len(built):
            period, times = _repeats(marks, at)
            end = at + period * times
            number = fold_of[-1] + 1 if fold_of else 0
            fold_of += [number] * (end - at)
            taken = {s if s == PICTURE else fold_of[s] for each in sources[at:end] for s in each} - {number}
            parameters = sum(block.parameters for block in built[at:end])
            yield Fold(tuple(built[at : at + period]), times, parameters, built[end - 1].name, tuple(sorted(taken)))
            at = end

    def _place(self, layer: _Layer) -> int | _Layer:
        """The call of its block; the layer itself where it stands alone."""
        home = _home(layer, self.homes)
        return layer if home is None else home

    def _block(self, home: int | _Layer, own: Sequence[_Layer]) -> Block:
        places = {layer: at for at, layer in enumerate(own)}
        nodes = tuple(
            Node(
                names=tuple(layer.names),
                label=tuple(layer.label),
                joins=len(layer.sources) > 1,
                inputs=tuple(sorted({places.get(s, PICTURE) if s else PICTURE for s in layer.sources})),
                output_shape=layer.shape,
                parameters=layer.parameters,
            )
            for layer in own
        )
        if isinstance(home, int):
            name = self.watched.modules[home]
            return Block(name, type(self.modules[name]).__name__, nodes)
        return Block(own[0].name, "", nodes)


def _mark(block: Block, at: int, sources: Sequence[int]) -> tuple[object, ...]:
    """What blocks have in common that are folded; a join of all that is before it grows from block to block."""
    nodes = tuple((node.label, node.inputs, None if node.joins else node.output_shape) for node in block.nodes)
    distance = at - sources[0] if len(sources) == 1 else 0
    return block.kind, nodes, block.output_shape, distance


def _repeats(marks: Sequence[tuple[object, ...]], at: int) -> tuple[int, int]:
    """How many blocks from here on are repeated, and how often; what covers most, of equals the shortest."""
    best = 1, 1
    for period in range(1, _LONGEST_PERIOD + 1):
        first = marks[at : at + period]
        times = 1
        while marks[at + times * period : at + (times + 1) * period] == first:
            times += 1
        plain = period == 1 or all(mark[-1] == 1 for mark in first)
        if plain and times > 1 and period * times > best[0] * best[1]:
            best = period, times
    return best
