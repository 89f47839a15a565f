"""What each operation of torch makes of the fields of its arguments.

The operations are those that reach torch's dispatcher: modules, functions, operators and scripted code
all end in the same few. One that has no rule here is not guessed at.
"""

from collections.abc import Callable

from torch import Tensor

from cnnaudit.errors import LayerError
from cnnaudit.inspection import arranging, mixing
from cnnaudit.inspection.fields import Field
from cnnaudit.inspection.operations import Operation, joined, tensors

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
    """Weights and numbers of places are not themselves to depend on the picture."""
    for name in ("weight", "bias", "index", "running_mean", "running_var"):
        if isinstance(operation.first(name), Tensor) and operation.field(name) is not None:
            raise LayerError(f"the {name} of {operation.name!r} depends on the picture")


def _pointwise(operation: Operation) -> Field:
    return joined([operation.of(t) for t in tensors(list(operation.arguments.values()))], operation.shape)


def _copied(operation: Operation) -> Field | None:
    field = operation.field("src")
    return None if field is None else field.expanded(operation.shape)


def _same(operation: Operation) -> Field:
    return operation.source()


_CONSTANT = {
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "zero", "fill"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"),
}
"""Operations whose results have a tensor's shape and none of its values."""

_NAMES: tuple[tuple[Callable[[Operation], Fields], str], ...] = (
    (mixing.convolution, "convolution _convolution"),
    (mixing.pool, "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d"),
    (mixing.pool, "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices"),
    (mixing.adaptive_pool, "adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
    (mixing.adaptive_pool, "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
    (mixing.padded, "constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d"),
    (mixing.reduced, "mean sum prod amax amin max min var std var_mean any all argmax argmin logsumexp"),
    (mixing.reduced, "norm linalg_vector_norm"),
    (mixing.along, "_softmax _safe_softmax _log_softmax"),
    (mixing.layer_norm, "native_layer_norm _fused_rms_norm"),
    (mixing.group_norm, "native_group_norm"),
    (mixing.batch_norm, "native_batch_norm cudnn_batch_norm miopen_batch_norm"),
    (mixing.linear, "linear"),
    (mixing.product("self", "mat2"), "mm bmm"),
    (mixing.product("mat1", "mat2", "self"), "addmm"),
    (mixing.product("batch1", "batch2", "self"), "baddbmm"),
    (arranging.viewed, "view _unsafe_view reshape _reshape_alias squeeze unsqueeze"),
    (arranging.restrided, "as_strided"),
    (_same, "alias detach lift_fresh _to_copy"),
    (_pointwise, "masked_fill hardswish _prelu_kernel log_sigmoid_forward rrelu_with_noise"),
    (_copied, "copy"),
    (arranging.permuted, "permute"),
    (arranging.transposed, "transpose t"),
    (arranging.expanded, "expand"),
    (arranging.repeated, "repeat"),
    (arranging.shuffled, "roll flip index_select glu"),
    (arranging.channels_shuffled, "channel_shuffle"),
    (arranging.indexed, "index"),
    (arranging.sliced, "slice"),
    (arranging.selected, "select"),
    (arranging.unbound, "unbind"),
    (arranging.split, "split split_with_sizes"),
    (arranging.concatenated, "cat"),
    (arranging.stacked, "stack"),
)
_RULES = {name: rule for rule, names in _NAMES for name in names.split()}
