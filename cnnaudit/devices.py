"""How a network runs fastest where it is: its numbers' type, layout and form, chosen by measuring.

A form is only used where its scores agree with the network's own; `EXACT` and `REDUCED` say how well.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnaudit.classifier import Classifier
from cnnaudit.hooks import preserved_randomness
from cnnaudit.shapes import Logits
from cnnaudit.twins import Pair, can_have_twin, foldable, twin

SMALL = 500_000
"""Networks with fewer parameters run as they are: there is little to gain, and the same bits come every time."""
WORTHWHILE = 100
"""For fewer pictures than this nothing is measured or looked up: the network runs as it is."""
_RUNS, _MORE, _MOST = 2, 500, 5  # a form is timed at least so often, once more for so many pictures, at most so often
_SECONDS = 2.0  # of work below which measuring would cost more than it saves
_FASTER = 0.95  # share of the time that a form may take to be preferred to a simpler one
_REDUCED_FASTER = 0.8  # the same for one of less precision


@dataclass(frozen=True, slots=True)
class Form:
    """How a network is run. The plain `Form()` is the user's network as it is.

    Attributes:
        dtype: of weights and activations; None is the network's own.
        channels_last: whether maps are laid out place by place, not channel by channel.
        folded: batch normalisations that are part of the convolution before them.
    """

    dtype: torch.dtype | None = None
    channels_last: bool = False
    folded: tuple[Pair, ...] = ()

    def network(self, classifier: Classifier) -> nn.Module:
        """The classifier's network, or a twin of it in this form."""
        if self == AS_IS:
            return classifier.network
        dtype = self.dtype or classifier.dtype
        return twin(classifier.network, dtype=dtype, channels_last=self.channels_last, folded=self.folded)

    def given(self, classifier: Classifier, pictures: Tensor) -> Tensor:
        """Normalised pictures in this form's type and layout."""
        return pictures.to(self.dtype or classifier.dtype).contiguous(memory_format=self.memory_format)

    @property
    def words(self) -> str:
        """What is unlike the network as it is."""
        words = [str(self.dtype).removeprefix("torch.")] if self.dtype else []
        words += ["channels last"] * self.channels_last + ["folded batch normalisation"] * bool(self.folded)
        return " with ".join(words)

    @property
    def memory_format(self) -> torch.memory_format:
        """Of the pictures that the network is given."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


AS_IS = Form()


@dataclass(frozen=True, slots=True)
class Forms:
    """The fastest form of the network's own precision, and the one of less that is faster still, if any.

    Attributes:
        refused: forms that are faster still, but gave other scores, or scores that are not finite.
    """

    exact: Form = AS_IS
    reduced: Form | None = None
    refused: tuple[Form, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the scores of one form differ from another's on the same pictures.

    Attributes:
        deviation: of the scores' changes from picture to picture, root mean square over all pictures
            and classes, as a share of these changes themselves.
        probability: the largest difference of any class's probability.
        order: share of the pairs of pictures that are in the same order, over all classes.
        error: of the scores, root mean square as a share of theirs.
    """

    deviation: float
    probability: float
    order: float
    error: float

    def within(self, limit: "Agreement") -> bool:
        """Whether it is as good as a limit; never where a score is not finite.

        Where the error is as small as the limit's, it counts alone: how pictures that a network hardly
        tells apart differ is rounding anyway.
        """
        close = self.deviation <= limit.deviation and self.probability <= limit.probability
        return self.error <= limit.error or (close and self.order >= limit.order)


EXACT = Agreement(deviation=1e-3, probability=1e-4, order=0.99, error=1e-5)
"""What is asked of another layout, or of folded batch normalisation: rounding."""
REDUCED = Agreement(deviation=0.15, probability=0.1, order=0.93, error=0.0)
"""What is asked of bfloat16 and float16: changes of the scores that correlate to 0.99 with float32's.

On MobileNetV2 with ImageNet's weights bfloat16 deviates by 0.08 to 0.13. Methods that average over many
copies average this out; those that read off single copies keep to float32 unless asked.
"""


def agreement(scores: Logits, reference: Logits) -> Agreement:
    """Compare two networks' scores `n k` of the same pictures, `n` at least 2."""
    found, expected = scores.double(), reference.double()
    errors, changes = (values - values.mean(0) for values in (found - expected, expected))
    deviation, error = errors.norm() / changes.norm(), (found - expected).norm() / expected.norm()
    probability = (found.softmax(1) - expected.softmax(1)).abs().max()
    pairs = [(values[:, None] - values[None]).sign() for values in (found, expected)]
    differ = pairs[1] != 0
    same = (pairs[0] == pairs[1])[differ].double().mean()
    return Agreement(float(deviation), float(probability), float(same), float(error))


def limit(form: Form) -> Agreement:
    """How well a form must agree with the network as it is."""
    return EXACT if form.dtype is None else REDUCED


def forms(classifier: Classifier, probe: Tensor, count: int) -> Forms | None:
    """The forms that are fastest for this network on this machine; measured once, then remembered.

    Measured are folding, layout and types, one after the other; each must pay for itself, and agree
    where it is not of less precision. Nothing is measured, and the network is to be run as it is, for
    few pictures, little work, a small network, one whose type is not float32, or one that cannot have
    a twin; None is returned then.

    Args:
        classifier: already borrowed (`hooks.borrowed`).
        probe: a few normalised pictures, `n c h w`, as the network is given them.
        count: how many pictures will be asked for.
    """
    parameters = sum(parameter.numel() for parameter in classifier.network.parameters())
    if count < WORTHWHILE or parameters < SMALL or classifier.dtype != torch.float32:
        return None
    if not can_have_twin(classifier.network):
        return None
    key = f"forms on {classifier.device} at {tuple(probe.shape[1:])}"
    if key in classifier.found:
        return classifier.found[key]
    with preserved_randomness(), torch.no_grad():
        bench = _Bench(classifier, probe, count)
        if bench.seconds[AS_IS] / len(probe) * count < _SECONDS:
            return None
        classifier.found[key] = _fastest(bench)
    return classifier.found[key]


def _fastest(bench: "_Bench") -> Forms:
    exact, folded = AS_IS, bench.foldable()
    for candidate in (Form(folded=folded), Form(channels_last=True, folded=folded), Form(channels_last=True)):
        tried = candidate in bench.seconds or exact.channels_last
        if not tried and bench.time(candidate) < _FASTER * bench.seconds[exact]:
            exact = candidate
    reduced = None
    for dtype in _reduced_types(bench.classifier.device):
        candidate = Form(dtype, channels_last=True, folded=folded)
        if bench.time(candidate) < _REDUCED_FASTER * bench.seconds[exact]:
            reduced = candidate
            break
    return Forms(exact, reduced, bench.refused(exact))


class _Bench:
    """Times forms on the same few pictures, each against the network as it is.

    Attributes:
        seconds: by form; infinite for one that fails, disagrees or gives scores that are not finite.
    """

    def __init__(self, classifier: Classifier, probe: Tensor, count: int) -> None:
        self.classifier, self.probe, self.count = classifier, probe, count
        self.expected = classifier.read(classifier.network(probe.clone()), len(probe))
        self.seconds: dict[Form, float] = {}
        self._wrong: dict[Form, float] = {}  # what those take that disagree
        self.time(AS_IS)

    def foldable(self) -> tuple[Pair, ...]:
        network = self.classifier.network
        return foldable(network, lambda: network(self.probe[:1].clone()))

    def refused(self, exact: Form) -> tuple[Form, ...]:
        """The forms that are faster than this one by as much as is asked of them, but disagree."""
        least = {form: _FASTER if form.dtype is None else _REDUCED_FASTER for form in self._wrong}
        return tuple(form for form, share in least.items() if self._wrong[form] < share * self.seconds[exact])

    def time(self, form: Form) -> float:
        try:
            self.seconds[form] = self._time(form)
        except Exception:  # a forward may rely on its own type or layout; then this form is none for it
            self.seconds[form] = math.inf
        return self.seconds[form]

    def _time(self, form: Form) -> float:
        network, given = form.network(self.classifier), form.given(self.classifier, self.probe)
        network(given[:1].clone())
        scores, times = self.expected, []
        for _ in range(min(_RUNS + self.count // _MORE, _MOST)):
            started = time.perf_counter()
            scores = self.classifier.read(network(given.clone()), len(given))
            synchronise(self.classifier.device)
            times.append(time.perf_counter() - started)
        finite = bool(scores.isfinite().all())
        agrees = form.dtype is not None or agreement(scores, self.expected).within(EXACT)
        if not (finite and agrees):
            self._wrong[form] = min(times)
            return math.inf
        return min(times)


def synchronise(device: torch.device) -> None:
    """Wait until what was sent to the device is done, so that a clock tells something."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _reduced_types(device: torch.device) -> tuple[torch.dtype, ...]:
    types = {"cpu": (torch.bfloat16,), "cuda": (torch.float16, torch.bfloat16)}.get(device.type, (torch.float16,))
    return tuple(dtype for dtype in types if _pays(device, dtype))


@cache
def _pays(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether one convolution is faster in this type; without an instruction for it, it takes many times as long."""
    seconds = []
    for each in (torch.float32, dtype):
        maps = torch.ones(4, 64, 28, 28, dtype=each, device=device)
        kernels = torch.ones(64, 64, 3, 3, dtype=each, device=device)
        seconds.append(min(_clock(lambda m=maps, k=kernels: F.conv2d(m, k), device) for _ in range(3)))
    return seconds[1] < seconds[0]


def _clock(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started
