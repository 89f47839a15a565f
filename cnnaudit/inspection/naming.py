"""What a reader calls layers and operations."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules import batchnorm, conv, pooling

from cnnaudit.inspection.stages import ACTIVATIONS, NORMS

_FUNCTIONS = {
    **ACTIVATIONS,
    **NORMS,
    **{"mean": "mean", "amax": "maximum", "native_layer_norm": "layer norm", "convolution": "conv", "linear": "linear"},
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices"), "max pool"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "_adaptive_avg_pool2d"), "mean pool"),
    **dict.fromkeys(("_softmax", "_safe_softmax"), "softmax"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), "enlarge"),
    **{"addmm": "linear"},
}
_JOINTS = {
    **{"add": "sum", "mul": "product", "sub": "difference", "div": "quotient", "cat": "concatenation"},
    **dict.fromkeys(("mm", "bmm"), "matrix product"),
}
VIEWS = {
    *("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "t", "alias", "detach"),
    *("expand", "slice", "select", "clone", "contiguous", "_to_copy", "lift_fresh", "as_strided", "unbind", "split"),
}
"""Operations that leave all values as they are."""


def function_name(name: str) -> str | None:
    """Of an operation with one source, in words; None where it is not worth a place in a drawing."""
    return _FUNCTIONS.get(name)


def joint_name(name: str) -> str:
    """Of an operation that brings branches together."""
    return _JOINTS.get(name) or _FUNCTIONS.get(name) or name.strip("_").replace("_", " ")


def module_name(module: nn.Module, output_shape: Sequence[int]) -> str:
    """What it is, with the size of the window that it slides."""
    kind = str(getattr(module, "original_name", type(module).__name__))
    if isinstance(module, conv._ConvNd):
        alone = module.groups > 1 and module.groups == module.in_channels
        groups = f", {module.groups} groups" if module.groups > 1 and not alone else ""
        return f"{'depthwise ' if alone else ''}conv {_window(module, 'dilation')}{groups}"
    if isinstance(module, pooling._MaxPoolNd | pooling._AvgPoolNd):
        return f"{'max' if isinstance(module, pooling._MaxPoolNd) else 'mean'} pool {_window(module)}"
    if isinstance(module, pooling._AdaptiveAvgPoolNd | pooling._AdaptiveMaxPoolNd):
        what = "mean" if isinstance(module, pooling._AdaptiveAvgPoolNd) else "maximum"
        whole = all(size == 1 for size in output_shape[1:])
        return f"global {what}" if whole else f"{what} pool to {_by(output_shape[1:])}"
    if isinstance(module, batchnorm._BatchNorm):
        return "batch norm"
    return "linear" if isinstance(module, nn.Linear) else kind


def _window(module: nn.Module, *more: str) -> str:
    """`"3 × 3, stride 2"`."""
    kernel = getattr(module, "kernel_size", 1)
    stride = getattr(module, "stride", 1)
    words = [_by(kernel if isinstance(kernel, Sequence) else (kernel,) * (1 if "1d" in type(module).__name__ else 2))]
    for name, value in (("stride", stride), *((each, getattr(module, each, 1)) for each in more)):
        sizes = tuple(value) if isinstance(value, Sequence) else (value,)
        if max(sizes) > 1:
            words.append(f"{name} {sizes[0] if len(set(sizes)) == 1 else _by(sizes)}")
    return ", ".join(words)


def _by(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))
