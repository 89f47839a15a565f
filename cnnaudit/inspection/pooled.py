"""Which places each window of a pooling holds."""

from collections.abc import Sequence

from cnnaudit.inspection.operations import Operation
from cnnaudit.results import Windows

POOLINGS = {
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d"), "max pooling"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "_adaptive_avg_pool2d", "mean"), "mean pooling"),
    "amax": "max pooling",
}
"""Operations of torch by name, and what a reader calls them."""


def pooling_windows(operation: Operation, size: Sequence[int]) -> tuple[Windows, Windows] | None:
    """The windows over the rows and the columns of maps of this size; None for a mean over something else."""
    if operation.name in ("mean", "amax"):
        return _whole(operation, size)
    if operation.name.startswith(("adaptive", "_adaptive")):
        out = _pair(operation["output_size"], False)
        return _adaptive(size[0], out[0]), _adaptive(size[1], out[1])
    signal = operation.name.endswith("1d")
    kernel, padding = _pair(operation["kernel_size"], signal), _pair(operation["padding"], signal, 0)
    stride = _pair(operation["stride"] or operation["kernel_size"], signal)
    dilation = _pair(operation.first("dilation", default=1), signal)
    out = (1, *operation.shape)[-2:]
    rows, columns = (
        _sliding(operation, size[at], out[at], kernel[at], stride[at], padding[at], dilation[at]) for at in (0, 1)
    )
    divisor = operation.first("divisor_override")
    if divisor:
        rows, columns = Windows(rows.places, (divisor,) * out[0]), Windows(columns.places, (1,) * out[1])
    return rows, columns


def _sliding(
    operation: Operation, size: int, out: int, kernel: int, stride: int, padding: int, dilation: int
) -> Windows:
    counted = operation.first("count_include_pad", default=False)
    places, sizes = [], []
    for at in range(out):
        first = at * stride - padding
        window = range(first, first + dilation * kernel, dilation)
        inside = [place for place in window if 0 <= place < size]
        places.append(range(inside[0], inside[-1] + 1, dilation) if inside else range(0))
        sizes.append(min(first + kernel, size + padding) - first if counted else len(inside))
    return Windows(tuple(places), tuple(sizes))


def _adaptive(size: int, out: int) -> Windows:
    places = tuple(range(at * size // out, -(-(at + 1) * size // out)) for at in range(out))
    return Windows(places, tuple(map(len, places)))


def _whole(operation: Operation, size: Sequence[int]) -> tuple[Windows, Windows] | None:
    tensor, dims = operation["self"], operation.first("dim", default=None)
    if not dims or {dim % tensor.ndim for dim in dims} != set(range(2, tensor.ndim)):
        return None
    return _adaptive(size[0], 1), _adaptive(size[1], 1)


def _pair(value: int | Sequence[int], signal: bool, fill: int = 1) -> tuple[int, int]:
    """Height and width; a signal's height is 1, and a single number is otherwise for both."""
    numbers = [value] if isinstance(value, int) else [*value]
    return fill if signal else numbers[0], numbers[-1]
