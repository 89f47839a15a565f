"""Operations that mix positions: windows, means, normalisation, products."""

from collections.abc import Callable, Sequence
from functools import reduce

from cnnaudit.errors import LayerError
from cnnaudit.inspection.fields import Field
from cnnaudit.inspection.operations import Operation, joined, named_places


def convolution(operation: Operation) -> Field:
    """Of any number of dimensions; transposed ones without a stride."""
    field, kernel, groups = operation.source("input"), operation["weight"].shape[2:], operation["groups"]
    stride, padding, dilation = (_each(operation[name], len(kernel)) for name in ("stride", "padding", "dilation"))
    if operation["transposed"]:
        if any(step != 1 for step in stride):
            raise LayerError("what a transposed convolution with a stride sees differs from position to position")
        padding = [d * (k - 1) - p for k, p, d in zip(kernel, padding, dilation, strict=True)]
    field = field.grouped(1, groups, operation.shape[1])
    return _slid(field, operation.shape, kernel, stride, padding, dilation)


def pool(operation: Operation) -> Field:
    """A window without weights."""
    dimensions = int(operation.name.partition("pool")[2][0])
    kernel, padding, dilation = operation["kernel_size"], operation["padding"], operation.first("dilation", default=1)
    values = [_each(value, dimensions) for value in (kernel, operation["stride"] or kernel, padding, dilation)]
    return _slid(operation.source(), operation.shape, *values)


def _slid(field: Field, shape: Sequence[int], *values: Sequence[int]) -> Field:
    """A window (kernel, stride, padding, dilation) over the last dimensions."""
    for place, (k, s, p, d) in enumerate(zip(*values, strict=True), start=-len(values[0])):
        field = field.window(place, shape[place], kernel=k, stride=s, before=p, dilation=d)
    return field


def _each(value: int | Sequence[int], dimensions: int) -> Sequence[int]:
    values = [value] if isinstance(value, int) else value
    return list(values) * dimensions if len(values) == 1 else values


def adaptive_pool(operation: Operation) -> Field:
    """Windows that are given by how many there are; followed where they are all of a size."""
    field = operation.source()
    for place in range(-len(operation["output_size"]), 0):
        size, wanted = field.shape[place], operation.shape[place]
        if 1 in (size, wanted):
            field = field.spread(place).resized(place, wanted)
        elif size % wanted and (field.moves(place) or field.varies(place)):
            raise LayerError(f"adaptive pooling from {size} to {wanted} positions has windows of several sizes")
        else:
            field = field.window(place, wanted, kernel=size // wanted, stride=size // wanted)
    return field


def padded(operation: Operation) -> Field:
    """Positions added around (or cropped away); what is put there counts as beyond the picture."""
    field = operation.source()
    for i, before in enumerate(operation.first("pad", "padding")[::2]):
        field = field.window(-1 - i, operation.shape[-1 - i], before=before)
    return field


def reduced(operation: Operation) -> Field:
    """A mean, a maximum, …: each element sees all that lie along some dimensions."""
    field = operation.source()
    places = named_places(operation, field)
    field = field.spread(*places)
    if not operation.first("keepdim"):
        return field.dropped(*places)
    return reduce(lambda smaller, place: smaller.resized(place, 1), places, field)


def along(operation: Operation) -> Field:
    """Each element sees all that lie along a dimension, which stays."""
    field = operation.source()
    return field.spread(*named_places(operation, field))


def layer_norm(operation: Operation) -> Field:
    """Over the last dimensions."""
    return operation.source("input").spread(*range(-len(operation["normalized_shape"]), 0))


def group_norm(operation: Operation) -> Field:
    """Over the positions of a group of channels."""
    field = operation.source("input")
    return field.spread(*range(2, len(field.dimensions))).grouped(1, operation["group"], operation.shape[1])


def batch_norm(operation: Operation) -> Field:
    """With statistics of its own, or of the maps themselves."""
    field = operation.source("input")
    if not operation.first("training"):
        return field
    return field.spread(*(place for place in range(len(field.dimensions)) if place != 1))


def linear(operation: Operation) -> Field:
    """Each element sees its whole row."""
    return operation.source("input").spread(-1).resized(-1, operation.shape[-1])


def product(left: str, right: str, bias: str | None = None) -> Callable[[Operation], Field]:
    """Rows of one tensor times columns of another; each sees all of its own row and column."""

    def rule(operation: Operation) -> Field:
        fields = [operation.field(bias) if bias else None]
        if (rows := operation.field(left)) is not None:
            columns = operation[right].shape[-1]
            fields.append(rows.spread(-1).resized(-1, columns))
        if (columns := operation.field(right)) is not None:
            fields.append(columns.spread(-2).resized(-2, operation[left].shape[-2]))
        return joined(fields, operation.shape)

    return rule
