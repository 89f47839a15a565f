"""Every method of the registry on every kind of network: what comes back, and that nothing is left behind."""

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from model_state import differences, model_state
from networks import ARCHITECTURES, TOKENS_OR_VECTORS, WITHOUT_RELU, classifier, input_size, network, picture
from torch import Tensor, nn

from cnnaudit import Classifier, Explanation, explain
from cnnaudit.attribution import METHODS
from cnnaudit.errors import NotApplicableError
from cnnaudit.options import defaults

LAYER_METHODS = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "ablation_cam", "score_cam")
SEEDED = ("lime", "kernel_shap", "shapley", "rise", "smoothgrad", "random")
QUICK = {
    "smoothgrad": {"samples": 3},
    "integrated_gradients": {"steps": 2, "max_steps": 3, "baselines": ("black", "blur")},
    "occlusion": {"window": 16},
    "lime": {"samples": 12, "segments": 6},
    "kernel_shap": {"samples": 40, "segments": 16, "segmentation": "grid"},
    "shapley": {"samples": 30, "segments": 4, "segmentation": "grid"},
    "sufficient": {"samples": 64, "segments": 6, "segmentation": "grid"},  # all masks: the seed does not matter
    "rise": {"samples": 24},
    "score_cam": {"channels": 24},
}
PAIRS = [(method, architecture) for method in METHODS for architecture in ARCHITECTURES]


def applies(method: str, architecture: str) -> bool:
    if method in LAYER_METHODS:
        return architecture not in TOKENS_OR_VECTORS
    return not (method == "guided_backprop" and architecture in WITHOUT_RELU)


APPLICABLE = [pair for pair in PAIRS if applies(*pair)]


@cache
def shared_classifier(architecture: str) -> Classifier:
    return classifier(architecture)


def ask(clf: Classifier, method: str, pixels: Tensor | None = None, *, seed: int = 0, **options: object) -> Explanation:
    pixels = picture(clf.input_size) if pixels is None else pixels
    return explain(clf, pixels, method=method, seed=seed, options={**QUICK.get(method, {}), **options})


@cache
def answer(method: str, architecture: str) -> Explanation:
    return ask(shared_classifier(architecture), method)


@pytest.mark.parametrize(("method", "architecture"), APPLICABLE)
def test_map_is_finite_float32_on_cpu_and_as_large_as_the_picture(method: str, architecture: str) -> None:
    heatmap = answer(method, architecture).heatmap
    assert heatmap.shape == input_size(architecture)
    assert heatmap.dtype == torch.float32
    assert heatmap.device.type == "cpu"
    assert not heatmap.requires_grad
    assert heatmap.is_contiguous()
    assert torch.isfinite(heatmap).all()
    assert heatmap.any() or method == "sufficient"  # of which some untrained networks need no segment


@pytest.mark.parametrize(("method", "architecture"), APPLICABLE)
def test_unsigned_methods_are_never_negative(method: str, architecture: str) -> None:
    if not METHODS[method].signed:
        assert answer(method, architecture).heatmap.min() >= 0


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].signed])
def test_signed_methods_do_go_negative_somewhere(method: str) -> None:
    assert min(float(answer(method, a).heatmap.min()) for a in ARCHITECTURES if applies(method, a)) < 0


@pytest.mark.parametrize(("method", "architecture"), APPLICABLE)
def test_same_seed_gives_same_bits(method: str, architecture: str) -> None:
    torch.rand(3), np.random.rand(3), random.random()  # the global state must not matter
    again = ask(classifier(architecture), method)
    assert torch.equal(again.heatmap, answer(method, architecture).heatmap)
    assert again.facts == answer(method, architecture).facts


@pytest.mark.parametrize("method", METHODS)
def test_only_random_methods_depend_on_the_seed(method: str) -> None:
    other = ask(shared_classifier("in_place"), method, seed=1).heatmap
    assert torch.equal(other, answer(method, "in_place").heatmap) == (method not in SEEDED)


@pytest.mark.parametrize("method", [m for m in METHODS if "batch" in defaults(METHODS[m].function)])
@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_batch_size_does_not_change_the_map(method: str, batch: int) -> None:
    default = answer(method, "in_place").heatmap
    options = {"steps": 4, "max_steps": 4} if method == "integrated_gradients" else {}
    default = ask(shared_classifier("in_place"), method, **options).heatmap if options else default
    heatmap = ask(shared_classifier("in_place"), method, batch=batch, **options).heatmap
    torch.testing.assert_close(heatmap, default, rtol=1e-4, atol=1e-5 * float(default.abs().max()))


@pytest.mark.parametrize(("method", "architecture"), [pair for pair in PAIRS if not applies(*pair)])
def test_methods_that_do_not_apply_say_so(method: str, architecture: str) -> None:
    with pytest.raises(NotApplicableError, match="Use"):
        ask(shared_classifier(architecture), method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["train", "frozen", "partly frozen", "no_grad", "inference_mode"])
def test_mode_of_model_and_caller_do_not_matter(method: str, mode: str) -> None:
    clf = classifier("in_place")
    clf.network.train(mode == "train")
    for i, parameter in enumerate(clf.network.parameters()):
        parameter.requires_grad_(not (mode == "frozen" or (mode == "partly frozen" and i % 2)))
    callers = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
    with callers.get(mode, torch.enable_grad)():
        heatmap = ask(clf, method, picture(clf.input_size)).heatmap  # the picture is an inference tensor too
    assert torch.equal(heatmap, answer(method, "in_place").heatmap)


class Interruption(Exception):
    """What a test's forward raises."""


class Stumbling:
    """A user's own hook, which counts a network's forward passes and raises at the n-th."""

    def __init__(self, network: nn.Module, at: int | None = None, error: type[BaseException] = Interruption) -> None:
        self.at, self.error, self.calls = at, error, 0
        self.module = list(network.modules())[-1]
        self.handle = self.module.register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise self.error("stumbled")


def used(architecture: str) -> Classifier:
    """A model in the middle of its user's work: in train mode in part, gradients and hooks of the user's in place."""
    clf = Classifier(network(architecture), input_size=input_size(architecture))
    modules, parameters = list(clf.network.modules()), list(clf.network.parameters())
    clf.network.train()
    modules[-1].eval()
    modules[1].register_forward_hook(lambda *_: None)
    modules[1].register_forward_hook(lambda *_, **__: None, with_kwargs=True, always_call=True)
    modules[-1].register_full_backward_hook(lambda *_: None)
    modules[-1].register_state_dict_pre_hook(lambda *_: None)
    parameters[0].grad = torch.full_like(parameters[0], 3.0)
    parameters[-1].requires_grad_(False)
    return clf


@pytest.fixture(autouse=True)
def _global_random_state() -> Iterator[None]:
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(torch_state), np.random.set_state(numpy_state), random.setstate(python_state)


@pytest.mark.parametrize(("method", "architecture"), PAIRS)
def test_model_is_untouched_after_success(method: str, architecture: str) -> None:
    clf = used(architecture)
    pixels = picture(clf.input_size)
    kept, before = pixels.clone(), model_state(clf.network)
    if applies(method, architecture):
        ask(clf, method, pixels)
    else:
        with pytest.raises(NotApplicableError):
            ask(clf, method, pixels)
    assert differences(before, model_state(clf.network)) == []
    assert torch.equal(pixels, kept)
    assert not pixels.requires_grad
    assert pixels.grad is None


@pytest.mark.parametrize(
    ("method", "architecture", "error"),
    [(*pair, Interruption) for pair in PAIRS]
    + [(method, "in_place", error) for method in METHODS for error in (KeyboardInterrupt, RuntimeError)],
)
def test_model_is_untouched_after_an_exception(method: str, architecture: str, error: type[BaseException]) -> None:
    clf = used(architecture)
    pixels = picture(clf.input_size)
    counting = Stumbling(clf.network)
    if applies(method, architecture):
        ask(clf, method, pixels)
    counting.handle.remove()
    for at in sorted({1, 2, 3, counting.calls} & set(range(1, counting.calls + 1))):
        clf.found.clear()  # so that the layer is probed for again
        stumbling = Stumbling(clf.network, at, error)
        before = model_state(clf.network)
        with pytest.raises(error, match="stumbled"):
            ask(clf, method, pixels)
        assert stumbling.calls == at
        assert differences(before, model_state(clf.network)) == []
        stumbling.handle.remove()


def test_snapshot_sees_every_kind_of_change() -> None:
    """The oracle of the tests above must itself be able to fail."""
    clf = used("in_place")
    net = clf.network
    before = model_state(net)

    def change(how: str) -> None:
        if how == "bit":
            net.stem.weight.data[0, 0, 0, 0] += 1e-3
        elif how == "buffer":
            net.norm.running_mean[0] += 1
        elif how == "identity":
            net.stem.weight = nn.Parameter(net.stem.weight.detach().clone())
        elif how == "hook":
            net.pool.register_forward_hook(lambda *_: None)
        elif how == "mode":
            net.pool.training = not net.pool.training
        elif how == "inplace":
            net.relu.inplace = False
        elif how == "grad":
            net.stem.weight.grad = torch.zeros_like(net.stem.weight)
        elif how == "requires_grad":
            net.stem.weight.requires_grad_(False)
        elif how == "module":
            net.pool = nn.MaxPool2d(2)
        elif how == "attribute":
            net.last_seen = torch.zeros(1)
        else:
            {"torch": torch.rand, "numpy": np.random.rand, "python": lambda _: random.random()}[how](1)

    model = ("bit", "buffer", "identity", "hook", "mode", "inplace", "grad", "requires_grad", "module", "attribute")
    for how in (*model, "torch", "numpy", "python"):
        change(how)
        after = model_state(net)
        assert differences(before, after), how
        before = after
