"""From the pixels under a kernel to the value that a convolution makes of them, and on to the pooling behind."""

import operator
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.classifier import Classifier
from cnnaudit.errors import LayerError, OptionError, near_matches
from cnnaudit.inspection.failing import forward_errors
from cnnaudit.inspection.stages import Convolution, Follower, Node
from cnnaudit.inspection.tracing import trace
from cnnaudit.pictures import Picture, opened
from cnnaudit.results import Kernel, ReceptiveField, Sliding, Stage, Walkthrough
from cnnaudit.shapes import Pixels

_CHANNELS, _INPUTS = 4, 128
_NUMBERS = 650_000
"""What a page carries without growing heavy: in two bytes each, somewhat less than 2 MB as text."""


def walkthrough(
    classifier: Classifier,
    image: Picture,
    layer: str | None = None,
    *,
    channels: Sequence[int] | None = None,
    inputs: int | None = None,
) -> Walkthrough:
    r"""A convolution at work on one photo: all that each value of a few of its channels is made of.

    The value of channel $o$ at $(u, v)$ is
    $b_o + \sum_i \sum_{r,s} w_{o i r s}\, x_{i,\, t u + d r - p,\, t v + d s - p}$
    with stride $t$, dilation $d$ and padding $p$, over the input channels $i$ of its group. Normalisation, sums with
    other maps and activation functions behind it are followed, modules and functions alike, up to the first pooling
    or to where the maps go more than one way.

    Args:
        image: a file, a decoded picture, or pixels `1 c h w` in [0, 1].
        layer: a Conv1d or Conv2d by its dotted name; by default the first that runs.
        channels: of its output; by default the most active ones behind the activation function, at most four.
        inputs: how many input channels to show for each, the largest mean |contribution| first; by default as many
            as a page can carry, at most 128. The others are summed up.

    Returns:
        A record whose `at(channel, row, column)` has every step. A layer that is called several times is
        shown as it is called first.

    Raises:
        ImageError: the picture cannot be read.
        LayerError: there is no such layer, it is no convolution, or it does not run.
        OptionError: there is no such channel, or the pixels do not suit the network.
        ModelError: the network fails on the picture.
    """
    picture, pixels = opened(classifier, image)
    calls = trace(classifier, pixels)
    name = layer if layer is not None else _first(classifier, [call.name for call in calls])
    module = _convolution(classifier, name)
    follower = _followed(classifier, name, pixels)
    run = follower.convolution
    if run is None:
        raise LayerError(_not_seen(classifier, name, follower.calls))
    stages, output = follower.stages(), follower.chain[0].maps
    chosen = _chosen(name, channels, output, stages)
    padded, sliding = _padded(run, module)
    kernels = _kernels(run, padded, chosen, output, _room(padded, output, stages, len(chosen)), inputs)
    carried = sorted({number for kernel in kernels for number in kernel.inputs})
    return Walkthrough(
        image=picture.name,
        pixels=pixels[0].float().cpu().numpy(),
        layer=name,
        kind=type(module).__name__,
        calls=follower.calls,
        of=(run.weight.shape[1], len(output)),
        shape=_unpadded(padded, sliding),
        sliding=sliding,
        inputs=tuple(carried),
        maps=padded[carried].numpy(),
        kernels=kernels,
        stages=tuple(_stage(node, chosen) for node in stages),
        receptive_field=next((c.sees for c in calls if c.name == name and isinstance(c.sees, ReceptiveField)), None),
    )


def _first(classifier: Classifier, called: Sequence[str]) -> str:
    modules = dict(classifier.network.named_modules())
    found = next((name for name in called if isinstance(modules.get(name), nn.Conv1d | nn.Conv2d)), None)
    if found is None:
        raise LayerError(f"{classifier.name} runs no Conv1d or Conv2d, so there is no convolution to walk through.")
    return found


def _convolution(classifier: Classifier, layer: str) -> nn.Conv1d | nn.Conv2d:
    module = find_module(classifier, layer)
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        names = [n for n, m in classifier.network.named_modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
        some = near_matches(layer, names) or (f" Its first is {names[0]!r}." if names else " It has none.")
        raise LayerError(
            f"{layer!r} of {classifier.name} is a {type(module).__name__}; a walk takes a Conv1d or Conv2d.{some}"
        )
    return module


def _followed(classifier: Classifier, layer: str, pixels: Pixels) -> Follower:
    modules = {
        name: module
        for name, module in classifier.network.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule)
    }
    follower = Follower(layer, modules)
    watched = hooks.watched(modules, follower.returned)
    told = forward_errors(classifier, f"a picture of shape {tuple(pixels.shape)}")
    with hooks.borrowed(classifier.network), watched, torch.no_grad(), follower, told:
        classifier.logits(pixels)
    return follower


def _not_seen(classifier: Classifier, layer: str, calls: int) -> str:
    if not calls:
        return f"{classifier.name} does not run {layer!r} when it is evaluated. Name a layer that runs."
    return f"{layer!r} of {classifier.name} does something else after its convolution. Name a plain Conv1d or Conv2d."


def _chosen(layer: str, channels: Sequence[int] | None, output: Tensor, stages: Sequence[Node]) -> list[int]:
    if channels is None:
        active = next((node.maps for node in reversed(stages) if node.kind != "pooling"), output)
        each = output[0].numel() * _per_channel(stages)
        most = max(1, min(_CHANNELS, len(output), _NUMBERS // (2 * each)))
        return active.double().mean((1, 2)).argsort(descending=True, stable=True)[:most].tolist()
    chosen = list(dict.fromkeys(map(_whole, channels)))
    if not chosen or any(not 0 <= channel < len(output) for channel in chosen):
        raise OptionError(
            f"channels of {layer!r} are whole numbers from 0 to {len(output) - 1}, at least one; got {list(channels)}."
        )
    return chosen


def _whole(channel: int) -> int:
    try:
        return operator.index(channel)
    except TypeError:
        return -1


def _per_channel(stages: Sequence[Node]) -> int:
    """How many maps of the output's size a page carries for each channel."""
    return 2 + sum(1 + (node.kind == "sum") for node in stages if node.kind != "pooling")


def _room(padded: Tensor, output: Tensor, stages: Sequence[Node], chosen: int) -> int:
    """For how many input channels a page has room."""
    rest = _NUMBERS - chosen * _per_channel(stages) * output[0].numel()
    return max(1, rest // padded[0].numel())


def _padded(run: Convolution, module: nn.Conv1d | nn.Conv2d) -> tuple[Tensor, Sliding]:
    """The input `c p q` as the kernel meets it, and how the kernel slides over it."""
    down, right = run.padding
    maps = F.pad(run.inputs[0].float().cpu(), (right, right, down, down))
    left, behind, top, below = _added(run, module)
    kernel = run.weight.shape[2], run.weight.shape[3]
    before, after = (top + down, left + right), (below + down, behind + right)
    return maps, Sliding(kernel, run.stride, run.dilation, before, after, module.padding_mode, run.groups)


def _added(run: Convolution, module: nn.Conv1d | nn.Conv2d) -> tuple[int, int, int, int]:
    """What was padded before the operation: left, right, above, below."""
    padded = run.padded
    if padded is None and module.padding_mode == "circular":
        padded = module._reversed_padding_repeated_twice
    if padded is None or min(padded) < 0:
        return 0, 0, 0, 0
    left, right, top, below = (*padded, 0, 0)[:4]
    return left, right, top, below


def _unpadded(padded: Tensor, sliding: Sliding) -> tuple[int, int]:
    height, width = padded.shape[1:]
    before, after = sliding.before, sliding.after
    return height - before[0] - after[0], width - before[1] - after[1]


def _kernels(
    run: Convolution, padded: Tensor, chosen: Sequence[int], output: Tensor, room: int, inputs: int | None
) -> tuple[Kernel, ...]:
    """The chosen channels, with as many input channels each as there is room for all of them together."""
    if inputs is not None and inputs < 1:
        raise OptionError(f"inputs is how many input channels to show, at least 1; got {inputs}.")
    found = [_contributions(run, padded, channel) for channel in chosen]
    ranked = [parts.abs().mean((1, 2)).argsort(descending=True, stable=True) for parts in found]
    numbers = [[_number(run, channel, i) for i in o.tolist()] for channel, o in zip(chosen, ranked, strict=True)]
    most = min(inputs, run.weight.shape[1]) if inputs is not None else _fitting(numbers, room)
    return tuple(
        _kernel(run, channel, order[:most], parts, output)
        for channel, order, parts in zip(chosen, ranked, found, strict=True)
    )


def _fitting(numbers: Sequence[Sequence[int]], room: int) -> int:
    """How many of the first of each list there are at most, at least one, such that all together there is room for."""
    most = min(len(numbers[0]), _INPUTS)
    while most > 1 and len({number for each in numbers for number in each[:most]}) > room:
        most -= 1
    return most


def _number(run: Convolution, channel: int, place: int) -> int:
    """Of an input channel, from its place in the group of an output channel."""
    return channel // (len(run.weight) // run.groups) * run.weight.shape[1] + place


def _contributions(run: Convolution, padded: Tensor, channel: int) -> Tensor:
    """`i h w`: what each input channel of its group adds to an output channel, float64."""
    first, count = _number(run, channel, 0), run.weight.shape[1]
    weight = run.weight[channel].double().cpu().unsqueeze(1)
    maps = padded[first : first + count].double().unsqueeze(0)
    return F.conv2d(maps, weight, stride=run.stride, dilation=run.dilation, groups=count)[0]


def _kernel(run: Convolution, channel: int, order: Tensor, parts: Tensor, output: Tensor) -> Kernel:
    others = torch.ones(len(parts), dtype=torch.bool)
    others[order] = False
    return Kernel(
        channel=channel,
        inputs=tuple(_number(run, channel, place) for place in order.tolist()),
        weights=run.weight[channel].float().cpu()[order].numpy(),
        bias=0.0 if run.bias is None else float(run.bias[channel]),
        output=output[channel].numpy(),
        rest=parts[others].sum(0).numpy(),
    )


def _stage(node: Node, chosen: list[int]) -> Stage:
    rows, columns = node.windows or (None, None)
    return Stage(
        kind=node.kind,
        name=node.name,
        layer=node.layer,
        maps=node.maps[chosen].numpy(),
        scale=node.scale and tuple(node.scale[channel] for channel in chosen),
        shift=node.shift and tuple(node.shift[channel] for channel in chosen),
        added=None if node.added is None else node.added[chosen].numpy(),
        rows=rows,
        columns=columns,
    )
