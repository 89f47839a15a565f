"""What each operation of torch makes of the fields of its arguments.

The operations are those that reach torch's dispatcher: modules, functions, operators and scripted code
all end in the same few. One that has no rule here is not guessed at.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate

from cnnaudit.errors import LayerError
from cnnaudit.inspection.fields import Field
from cnnaudit.inspection.operations import Operation, tensors

Fields = Field | None | list[Field | None]
"""Of an operation's results: one for all, or one for each. None sees nothing of the picture."""


def follow(operation: Operation) -> Fields:
    """What the results of an operation see, of whose arguments at least one sees something.

    Raises:
        LayerError: it cannot be told.
    """
    if operation.name in _CONSTANT:
        return None
    if operation.pointwise:
        return _pointwise(operation)
    if rule := _RULES.get(operation.name):
        _not_led(operation)
        return rule(operation)
    raise LayerError(f"{operation.name!r} mixes or moves positions in a way that is not followed")


def _not_led(operation: Operation) -> None:
    for name in ("weight", "bias", "index", "running_mean", "running_var"):
        if name in operation.arguments and operation.field(name) is not None:
            raise LayerError(f"the {name} of {operation.name!r} depends on the picture")


def _joined(fields: Sequence[Field | None], shape: Sequence[int]) -> Field:
    return reduce(Field.joined, [field.expanded(shape) for field in fields if field is not None])


def _pointwise(operation: Operation) -> Field:
    return _joined([operation.of(t) for t in tensors(list(operation.arguments.values()))], operation.shape)


def _copied(operation: Operation) -> Field | None:
    field = operation.field("src")
    return None if field is None else field.expanded(operation.shape)


def _same(operation: Operation) -> Field:
    return operation.source()


def _convolution(operation: Operation) -> Field:
    field, kernel, groups = operation.source("input"), operation["weight"].shape[2:], operation["groups"]
    stride, padding, dilation = (_each(operation[name], len(kernel)) for name in ("stride", "padding", "dilation"))
    if groups > 1 and field.moves(1):
        raise LayerError("a grouped convolution has different parts of the picture in each channel")
    if operation["transposed"]:
        if any(step != 1 for step in stride):
            raise LayerError("what a transposed convolution with a stride sees differs from position to position")
        padding = [d * (k - 1) - p for k, p, d in zip(kernel, padding, dilation, strict=True)]
    field = (field.spread(1) if groups == 1 else field).grouped(1, groups, operation.shape[1])
    return _slid(field, operation.shape, kernel, stride, padding, dilation)


def _pool(operation: Operation) -> Field:
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


def _adaptive_pool(operation: Operation) -> Field:
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


def _padded(operation: Operation) -> Field:
    field = operation.source()
    for i, before in enumerate(operation.first("pad", "padding")[::2]):
        field = field.window(-1 - i, operation.shape[-1 - i], before=before)
    return field


def _reduced(operation: Operation) -> Field:
    field = operation.source()
    places = _places(operation, field)
    field = field.spread(*places)
    if not operation.first("keepdim"):
        return field.dropped(*places)
    return reduce(lambda smaller, place: smaller.resized(place, 1), places, field)


def _places(operation: Operation, field: Field) -> list[int]:
    """The dimensions that the operation names; all where it names none."""
    dim = operation.first("dim", "dims")
    places = [dim] if isinstance(dim, int) else dim or range(len(field.dimensions))
    return [place % len(field.dimensions) for place in places]


def _along(operation: Operation) -> Field:
    """Each element sees all that lie along a dimension, which stays."""
    field = operation.source()
    return field.spread(*_places(operation, field))


def _layer_norm(operation: Operation) -> Field:
    return operation.source("input").spread(*range(-len(operation["normalized_shape"]), 0))


def _group_norm(operation: Operation) -> Field:
    field = operation.source("input")
    channels = operation.shape[1]
    return field.spread(*range(2, len(field.dimensions))).grouped(1, operation["group"], channels)


def _batch_norm(operation: Operation) -> Field:
    field = operation.source("input")
    if not operation.first("training"):
        return field
    return field.spread(*(place for place in range(len(field.dimensions)) if place != 1))


def _product(left: str, right: str, bias: str | None = None) -> Callable[[Operation], Field]:
    """Rows of one tensor times columns of another; each sees all of its own row and column."""

    def rule(operation: Operation) -> Field:
        fields = [operation.field(bias) if bias else None]
        if (rows := operation.field(left)) is not None:
            columns = operation[right].shape[-1]
            fields.append(rows.spread(-1).resized(-1, columns))
        if (columns := operation.field(right)) is not None:
            fields.append(columns.spread(-2).resized(-2, operation[left].shape[-2]))
        return _joined(fields, operation.shape)

    return rule


def _viewed(operation: Operation) -> Field:
    return operation.source().viewed(operation.shape)


def _restrided(operation: Operation) -> Field:
    """Other strides for the same elements, as channels-last memory wants them of dimensions of one place."""
    tensor = operation["self"]
    steps = zip(tensor.shape, tensor.stride(), operation["stride"], strict=False)
    start = operation["storage_offset"]
    if operation.shape != tuple(tensor.shape) or any(n > 1 and old != new for n, old, new in steps) or start:
        raise LayerError("'as_strided' mixes or moves positions in a way that is not followed")
    return operation.source()


def _permuted(operation: Operation) -> Field:
    return operation.source().permuted(operation["dims"])


def _transposed(operation: Operation) -> Field:
    field = operation.source()
    order = list(range(len(field.dimensions)))
    one, two = operation.first("dim0", default=0), operation.first("dim1", default=-1)
    order[one], order[two] = order[two], order[one]
    return field.permuted(order)


def _expanded(operation: Operation) -> Field:
    return operation.source().expanded(operation.shape)


def _channels_shuffled(operation: Operation) -> Field:
    field, groups = operation.source(), operation["groups"]
    n, channels, *rest = operation.shape
    apart = field.viewed((n, groups, channels // groups, *rest))
    return apart.permuted((0, 2, 1, *range(3, 3 + len(rest)))).viewed(operation.shape)


def _repeated(operation: Operation) -> Field:
    field = operation.source()
    field = field.expanded((1,) * (len(operation.shape) - len(field.dimensions)) + field.shape)
    places = [place for place, times in enumerate(operation["repeats"]) if times != 1]
    return _resized_still(operation, field, places)


def _shuffled(operation: Operation) -> Field:
    field = operation.source()
    return _resized_still(operation, field, _places(operation, field))


def _resized_still(operation: Operation, field: Field, places: Sequence[int]) -> Field:
    """Places taken in another order, or repeatedly, along dimensions that have nothing to do with the picture."""
    if any(field.moves(place) or field.varies(place) for place in places):
        raise LayerError(f"{operation.name!r} moves positions of the picture")
    return reduce(lambda other, place: other.resized(place, operation.shape[place]), places, field)


def _indexed(operation: Operation) -> Field:
    """`x[:, [2, 0]]`: places along one dimension, by number."""
    field, indices = operation.source(), operation["indices"]
    places = [place for place, index in enumerate(indices) if index is not None]
    if len(places) != 1 or indices[places[0]].ndim != 1 or operation.of(indices[places[0]]) is not None:
        raise LayerError("'index' mixes or moves positions in a way that is not followed")
    return _resized_still(operation, field, places)


def _sliced(operation: Operation) -> Field:
    field, place = operation.source(), operation["dim"]
    start = _index(operation["start"] or 0, field.shape[place])
    return field.window(place, operation.shape[place], stride=operation["step"], before=-start)


def _selected(operation: Operation) -> Field:
    field, place = operation.source(), operation["dim"]
    return _one(field, place, _index(operation["index"], field.shape[place]))


def _unbound(operation: Operation) -> list[Field | None]:
    field, place = operation.source(), operation["dim"]
    return [_one(field, place, at) for at in range(len(operation.shapes))]


def _one(field: Field, place: int, at: int) -> Field:
    return field.window(place, 1, before=-at).spread(place).dropped(place)


def _index(index: int, size: int) -> int:
    return min(size, max(0, index + size if index < 0 else index))


def _split(operation: Operation) -> list[Field | None]:
    field, place = operation.source(), operation["dim"]
    sizes = [shape[place] for shape in operation.shapes]
    starts = accumulate(sizes, initial=0)
    return [field.window(place, size, before=-start) for size, start in zip(sizes, starts, strict=False)]


def _concatenated(operation: Operation) -> Field:
    parts = [part for part in operation["tensors"] if part.numel()]
    return _laid_side_by_side(operation, [(operation.of(part), part.shape[operation["dim"]]) for part in parts])


def _stacked(operation: Operation) -> Field:
    place = operation["dim"] % len(operation.shape)
    fields = [operation.of(part) for part in operation["tensors"]]
    return _laid_side_by_side(operation, [(field and field.inserted(place), 1) for field in fields])


def _laid_side_by_side(operation: Operation, parts: Sequence[tuple[Field | None, int]]) -> Field:
    place, starts = operation["dim"], accumulate((size for _, size in parts), initial=0)
    if any(field and field.moves(place) for field, _ in parts):
        raise LayerError("it concatenates along a direction of the picture")
    total = operation.shape[place]
    fields = [field and field.among(place, start, total) for (field, _), start in zip(parts, starts, strict=False)]
    return _joined(fields, operation.shape)


_CONSTANT = {
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "zero", "fill"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"),
}
"""Operations whose results have a tensor's shape and none of its values."""

_NAMES: tuple[tuple[Callable[[Operation], Fields], str], ...] = (
    (_convolution, "convolution _convolution"),
    (_pool, "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d"),
    (_pool, "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices"),
    (_adaptive_pool, "adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
    (_adaptive_pool, "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
    (_padded, "constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d"),
    (_reduced, "mean sum prod amax amin max min var std var_mean any all argmax argmin logsumexp"),
    (_reduced, "norm linalg_vector_norm"),
    (_along, "_softmax _safe_softmax _log_softmax"),
    (_layer_norm, "native_layer_norm _fused_rms_norm"),
    (_group_norm, "native_group_norm"),
    (_batch_norm, "native_batch_norm cudnn_batch_norm miopen_batch_norm"),
    (_product("self", "mat2"), "mm bmm"),
    (_product("mat1", "mat2", "self"), "addmm"),
    (_product("batch1", "batch2", "self"), "baddbmm"),
    (_viewed, "view _unsafe_view reshape _reshape_alias squeeze unsqueeze"),
    (_restrided, "as_strided"),
    (_same, "alias detach lift_fresh _to_copy"),
    (_pointwise, "hardswish _prelu_kernel log_sigmoid_forward rrelu_with_noise"),
    (_copied, "copy"),
    (_permuted, "permute"),
    (_transposed, "transpose t"),
    (_expanded, "expand"),
    (_repeated, "repeat"),
    (_shuffled, "roll flip index_select glu"),
    (_channels_shuffled, "channel_shuffle"),
    (_indexed, "index"),
    (_sliced, "slice"),
    (_selected, "select"),
    (_unbound, "unbind"),
    (_split, "split split_with_sizes"),
    (_concatenated, "cat"),
    (_stacked, "stack"),
)
_RULES = {name: rule for rule, names in _NAMES for name in names.split()}
