"""Fitting a state dict to a network: real files have other prefixes, other heads, other old names."""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from cnnaudit.errors import WeightsError
from cnnaudit.loading.catalog import architecture_of

_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_OLD_NAMES = (
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(encoder_layer_\d+\.mlp\.)linear_1\."), r"\g<1>0."),
    (re.compile(r"(encoder_layer_\d+\.mlp\.)linear_2\."), r"\g<1>3."),
)
_COUNTER = "num_batches_tracked"
_LISTED = 10


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network with its weights loaded.

    Attributes:
        classes: the file's number of classes, where the network was rebuilt for it.
        channels: the file's number of input channels, where the first convolution was replaced.
        notes: what was done to make the file fit.
    """

    network: nn.Module
    classes: int | None = None
    channels: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Match:
    """A state dict held against a network; `wrong` holds (expected, found) under each misshapen key."""

    state: dict[str, Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong: Mapping[str, tuple[Tensor, Tensor]]
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.wrong)


def fit(build: Callable[[int | None], nn.Module], state: Mapping[str, Tensor], *, what: str, origin: str) -> Fitted:
    """Build a network and load a state dict into it, in the network's own precision.

    Prefixes of wrappers, old names, counters that BatchNorm lacked, a renamed head, another number of
    classes and another number of input channels are met; `Fitted.notes` says which.

    Args:
        build: the network for a number of classes (None: its own).
        what: the architecture's name, for messages.
        origin: the file's name, for messages.

    Raises:
        WeightsError: the file does not fit; the message lists the first ten keys of each kind and
            says what would fit.
    """
    network, notes = build(None), ()
    match = _match(network, state)
    classes = None if match.fits else _other_classes(match)
    if classes is not None:
        network = build(classes)
        rebuilt = _match(network, state)
        solved = not any(key in rebuilt.wrong for key in _class_keys(match))
        match, classes = (rebuilt, classes) if solved else (match, None)
        notes = (f"the file has {classes} classes, and {what} was built with as many",) if solved else ()
    channels = _adapt_channels(network, match)
    if channels is not None:
        match = _match(network, state)
        notes += (f"the first convolution takes {channels} channels, as in the file",)
    if not match.fits:
        raise WeightsError(_misfit(network, match, what, origin))
    _load(network, match.state)
    return Fitted(network, classes, channels, (*match.notes, *notes))


def load_exactly(network: nn.Module, state: Mapping[str, Tensor], *, what: str, origin: str) -> Fitted:
    """As `fit`, for a network that cannot be rebuilt.

    Raises:
        WeightsError: the file does not fit.
    """
    match = _match(network, state)
    if not match.fits:
        raise WeightsError(_misfit(network, match, what, origin))
    _load(network, match.state)
    return Fitted(network, notes=match.notes)


def _load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    current = OrderedDict(state)
    # Keys are today's by now, so the modules are told that their versions are too: files that passed
    # through safetensors or a rename have no versions, and some modules refuse those.
    cast(Any, current)._metadata = cast(Any, network.state_dict())._metadata
    network.load_state_dict(current)


def _match(network: nn.Module, given: Mapping[str, Tensor]) -> _Match:
    expected = {key: value for key, value in network.state_dict().items() if isinstance(value, Tensor)}
    state, notes = _renamed(given, expected)
    state = {key: value for key, value in state.items() if not _superfluous(network, key)}
    for key in expected.keys() - state.keys():
        if key.endswith(_COUNTER) and key.replace(_COUNTER, "running_mean") in state:
            state[key] = expected[key]
    state, head = _renamed_head(state, expected)
    wrong = {k: (expected[k], state[k]) for k in expected if k in state and not _same(expected[k], state[k])}
    missing = tuple(key for key in expected if key not in state)
    unexpected = tuple(key for key in state if key not in expected)
    return _Match(state, missing, unexpected, wrong, notes + head)


def _same(expected: Tensor, found: Tensor) -> bool:
    return expected.shape == found.shape and (found.is_floating_point() or not expected.is_floating_point())


def _superfluous(network: nn.Module, key: str) -> bool:
    """Counters of profilers, and auxiliary heads that the network was built without."""
    head = key.partition(".")[0]
    aux = head in ("aux1", "aux2", "AuxLogits") and getattr(network, head, key) is None
    return aux or key.endswith(("total_ops", "total_params"))


def _renamed(given: Mapping[str, Tensor], expected: Iterable[str]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Without wrappers' prefixes, under today's names."""
    plain = {_WRAPPERS.sub("", key): value for key, value in given.items()}
    wanted = set(expected)
    for pattern, replacement in _OLD_NAMES:
        plain = {key if key in wanted else pattern.sub(replacement, key): value for key, value in plain.items()}
    prefix = _prefix(plain, wanted)
    kept = {key.removeprefix(prefix): value for key, value in plain.items() if key.startswith(prefix)}
    dropped = [key for key in plain if not key.startswith(prefix)]
    notes = (f"of the file, only {prefix}* was used; not {_listing(dropped, 3)}",) if dropped else ()
    return kept, notes


def _prefix(keys: Mapping[str, Tensor], wanted: set[str]) -> str:
    """What precedes the network's own names in most keys: "module.", "model.", "backbone.net.", …."""
    anchors = sorted(wanted, key=lambda key: (-key.count("."), key))[:4] + sorted(wanted)[-4:]
    ends = [(key, anchor) for anchor in anchors for key in keys if key.endswith("." + anchor)]
    candidates = {"", *(key.removesuffix(anchor) for key, anchor in ends)}

    def rank(prefix: str) -> tuple[int, bool, int, str]:
        hits = sum(prefix + key in keys for key in wanted)
        return -hits, "ema" in prefix.lower() or "teacher" in prefix.lower(), len(prefix), prefix

    return min(candidates, key=rank)


def _renamed_head(
    state: dict[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """A last layer under another name (`fc.1` after a dropout for `fc`), when all else has its place."""
    missing, extra = _pair(expected.keys() - state.keys()), _pair(state.keys() - expected.keys())
    if missing is None or extra is None:
        return state, ()
    theirs, ours = state[f"{extra}.weight"], expected[f"{missing}.weight"]
    if theirs.shape[1:] != ours.shape[1:] or theirs.ndim < 2:
        return state, ()
    names = {f"{extra}.{part}": f"{missing}.{part}" for part in ("weight", "bias")}
    renamed = {names.get(key, key): value for key, value in state.items()}
    return renamed, (f"the file's last layer is {extra}; it was taken for {missing}",)


def _pair(keys: set[str]) -> str | None:
    module = min(keys, default="").rpartition(".")[0]
    return module if keys == {f"{module}.weight", f"{module}.bias"} else None


def _class_keys(match: _Match) -> list[str]:
    """Tensors that differ in their first dimension alone, all in the same way: those of the head."""
    pairs = {
        key: (len(ours), len(theirs))
        for key, (ours, theirs) in match.wrong.items()
        if ours.ndim == theirs.ndim > 0 and ours.shape[1:] == theirs.shape[1:] and len(ours) != len(theirs)
    }
    return list(pairs) if len(set(pairs.values())) == 1 else []


def _other_classes(match: _Match) -> int | None:
    keys = _class_keys(match)
    others = len(match.wrong) - len(keys)
    return len(match.state[keys[0]]) if keys and others <= 1 and not match.missing else None


def _adapt_channels(network: nn.Module, match: _Match) -> int | None:
    """Replace the first convolution when the file's differs from it in its input channels alone."""
    if len(match.wrong) != 1 or match.missing or match.unexpected:
        return None
    ((key, (ours, theirs)),) = match.wrong.items()
    path = key.removesuffix(".weight")
    parent, _, name = path.rpartition(".")
    conv = network.get_submodule(path) if key.endswith(".weight") else None
    if type(conv) is not nn.Conv2d or conv.groups != 1 or theirs.ndim != 4:
        return None
    channels = theirs.shape[1]
    if conv.in_channels != 3 or (len(ours), *ours.shape[2:]) != (len(theirs), *theirs.shape[2:]):
        return None
    settings = {n: getattr(conv, n) for n in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    replacement = nn.Conv2d(channels, conv.out_channels, bias=conv.bias is not None, **settings)
    setattr(network.get_submodule(parent), name, replacement)
    return channels


def _misfit(network: nn.Module, match: _Match, what: str, origin: str) -> str:
    total = len(network.state_dict())
    fitting = total - len(match.missing) - len(match.wrong)
    lines = [f"{origin} does not fit {what}: {fitting} of its {total} tensors do."]
    if match.missing:
        lines.append(f"Missing ({len(match.missing)}): {_listing(match.missing)}.")
    if match.unexpected:
        lines.append(f"Unexpected ({len(match.unexpected)}): {_listing(match.unexpected)}.")
    if match.wrong:
        lines.append(f"Misshapen ({len(match.wrong)}): {_listing(_compared(match.wrong))}.")
    return "\n".join([*lines, _advice(match, what)])


def _advice(match: _Match, what: str) -> str:
    fits = architecture_of(match.state)
    if fits is not None and fits != what:
        return f"Its sizes are those of {fits}: give --model {fits}."
    keys = _class_keys(match)
    if keys and len(keys) == len(match.wrong) and not match.missing:
        ours, theirs = match.wrong[keys[0]]
        return f"The file has {len(theirs)} classes, the network {len(ours)}: make the network with {len(theirs)}."
    if not match.wrong and len(match.missing) <= 4 and fits != what:
        return "All but the last layer fits: the head was changed. Give the code that makes it: package.module:factory."
    return "Is it another architecture? Name that with --model, or give package.module:factory for one of your own."


def _compared(wrong: Mapping[str, tuple[Tensor, Tensor]]) -> list[str]:
    return [f"{key} is {_shape(theirs)}, expected {_shape(ours)}" for key, (ours, theirs) in wrong.items()]


def _shape(tensor: Tensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "a single number"
    return shape if tensor.is_floating_point() else f"{shape} ({str(tensor.dtype).removeprefix('torch.')})"


def _listing(names: Iterable[str], most: int = _LISTED) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
