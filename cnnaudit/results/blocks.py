"""A network as a graph of its blocks, repeated ones folded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A layer with the normalisation and activation behind it, or a place where branches meet.

    Attributes:
        names: the modules, by their dotted names; none of what the network's own forward does.
        label: what it does first ("conv 3 × 3"), and what is done to that ("batch norm", "ReLU").
        joins: whether branches meet here.
        inputs: places in the block of the nodes that it takes from; −1 for what comes into the block.
        output_shape: for one picture.
        parameters: of its modules; those that another node has counted are left out.
    """

    names: tuple[str, ...]
    label: tuple[str, ...]
    joins: bool
    inputs: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes that belong together, in the order in which they run.

    Attributes:
        name: of the module that they are in; of the first node's module where there is none around them.
        kind: that module's class; empty for a node that stands alone.
    """

    name: str
    kind: str
    nodes: tuple[Node, ...]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of its last node."""
        return self.nodes[-1].output_shape

    @property
    def parameters(self) -> int:
        """Of all its nodes."""
        return sum(node.parameters for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that follow each other, and that again and again.

    Attributes:
        blocks: as they are the first time.
        times: how often they run, one time after another.
        parameters: of all these times.
        last: the name of the last block of the last time.
        inputs: places of the folds that it takes from; −1 for the picture.
    """

    blocks: tuple[Block, ...]
    times: int
    parameters: int
    last: str
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Blocks:
    """The graph of a network: its folds in the order in which they run."""

    picture: tuple[int, ...]
    folds: tuple[Fold, ...]
