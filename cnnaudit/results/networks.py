"""What a network is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Which input pixels one position of a layer's output can see; each value is (height, width).

    Attributes:
        size: extent in input pixels, the network's own padding not cut off.
        jump: input pixels between the fields of neighbouring outputs; 0 where all see the same pixels, as
            behind global pooling (the field then ends at the picture's edges).
        offset: the input coordinate of the first output's centre; 0 is the middle of the first pixel.
    """

    size: tuple[int, int]
    jump: tuple[float, float]
    offset: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One call of one module, in the order of execution.

    Attributes:
        name: the module's dotted name in the network; empty for the network itself.
        kind: its class, as torch writes it.
        kernel, stride, padding, dilation: (height, width), or one number for a 1-D layer; None where it has none.
        output_shape: for one picture, without the batch.
        parameters: its own; 0 when an earlier call has counted them.
        multiply_adds: of one picture.
        memory: bytes of its output, one picture.
        receptive_field: None where it cannot be told, as behind attention or resizing.
    """

    name: str
    kind: str
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    padding: tuple[int, ...] | None
    dilation: tuple[int, ...] | None
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    memory: int
    receptive_field: ReceptiveField | None


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """The layers and their sums. `parameters` counts each tensor once, `trainable` those that learn."""

    layers: tuple[LayerFacts, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    memory: int
