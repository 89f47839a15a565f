"""Gradient and CAM methods against captum and pytorch-grad-cam: time, and the largest difference.

    python tests/benchmarks/gradient_methods.py [--models mobilenet_v2 resnet50 vgg16] [--repeats 7]

Both sides answer the same question about the same picture in one process, in turn; medians are
printed. Weights are random (the time is the same), with batch-norm statistics moved off their
defaults. `difference` is the largest absolute difference over the peer's largest absolute value.
`limit` is one bare forward and backward pass to the picture, in milliseconds.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import captum.attr
import pytorch_grad_cam
import torch
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import hooks
from cnnaudit.attribution import METHODS, Query
from cnnaudit.attribution.layers import find_layer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STEPS, SAMPLES, BATCH = 32, 16, 8


class Normalized(nn.Module):
    """The network behind its normalisation, so that peers see pixels in [0, 1] too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network((pixels - self.mean) / self.std)


@dataclass(frozen=True)
class Case:
    method: str
    options: dict[str, object]
    peer: str
    run: Callable[[], Tensor]  # what is timed
    check: Callable[[], Tensor] | None = None  # what is compared, where that is not what `run` returns
    same: bool = True  # the definitions agree, so the difference means something


def build(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def cases(network: nn.Module, pixels: Tensor, target: int, layer: str) -> list[Case]:
    whole = Normalized(network).eval()
    module = network.get_submodule(layer)
    black = torch.zeros_like(pixels)

    def leaf() -> Tensor:
        return pixels.clone().requires_grad_()

    def captum_map(peer: object, reduce: Callable[[Tensor], Tensor], **arguments: object) -> Callable[[], Tensor]:
        return lambda: reduce(peer.attribute(leaf(), target=target, **arguments)[0].detach())  # type: ignore[attr-defined]

    def added(t: Tensor) -> Tensor:
        return t.sum(0)

    def largest(t: Tensor) -> Tensor:
        return t.abs().amax(0)

    def enlarged(small: Tensor) -> Tensor:
        return nn.functional.interpolate(small[None, None], size=(224, 224), mode="bilinear")[0, 0]

    def grad_cam_package(method: str, kind: type) -> Case:
        """Its map scaled to [0, 1] is timed; the unscaled one at the layer's size is compared."""
        cam, targets = kind(model=whole, target_layers=[module]), [ClassifierOutputTarget(target)]

        def raw() -> Tensor:
            cam(input_tensor=pixels, targets=targets)
            kept = cam.activations_and_grads
            maps, slopes = (kept.activations[0].cpu().numpy(), kept.gradients[0].cpu().numpy())
            small = cam.get_cam_image(pixels, module, targets, maps, slopes, False)
            return enlarged(torch.from_numpy(small[0]).clamp(min=0).float())

        options = {"relu": True} if method == "hires_cam" else {}
        return Case(method, options, "pytorch-grad-cam", lambda: cam(input_tensor=pixels, targets=targets), raw)

    trapezoid = STEPS / (STEPS + 1)  # captum's weights for n + 1 nodes add up to n / (n + 1)
    ig = captum.attr.IntegratedGradients(whole)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(whole))
    found = [
        Case("saliency", {}, "captum", captum_map(captum.attr.Saliency(whole), largest)),
        Case("input_x_gradient", {}, "captum", captum_map(captum.attr.InputXGradient(whole), added)),
        Case("guided_backprop", {}, "captum", captum_map(captum.attr.GuidedBackprop(whole), largest)),
        Case("deep_lift", {}, "captum", captum_map(captum.attr.DeepLift(whole), added, baselines=black)),
        Case(
            "integrated_gradients",
            {"baselines": ("black",), "steps": STEPS, "max_steps": STEPS, "batch": BATCH},
            "captum",
            captum_map(
                ig,
                lambda t: t.sum(0) / trapezoid,
                baselines=black,
                n_steps=STEPS + 1,
                method="riemann_trapezoid",
                internal_batch_size=BATCH,
            ),
        ),
        Case(
            "smoothgrad",
            {"samples": SAMPLES, "batch": BATCH},
            "captum",
            captum_map(tunnel, largest, nt_samples=SAMPLES, nt_samples_batch_size=BATCH, stdevs=0.15, abs=False),
            same=False,
        ),
        Case(
            "grad_cam",
            {},
            "captum",
            lambda: enlarged(
                captum.attr.LayerGradCam(whole, module)
                .attribute(leaf(), target=target, relu_attributions=True)[0, 0]
                .detach()
            ),
        ),
    ]
    kinds = {
        "grad_cam": pytorch_grad_cam.GradCAM,
        "grad_cam_plus_plus": pytorch_grad_cam.GradCAMPlusPlus,
        "hires_cam": pytorch_grad_cam.HiResCAM,
        "layer_cam": pytorch_grad_cam.LayerCAM,
    }
    found += [grad_cam_package(method, kind) for method, kind in kinds.items()]
    return found


def ask(classifier: ca.Classifier, pixels: Tensor, target: ca.Target, case: Case) -> Tensor:
    with hooks.borrowed(classifier.network):
        return METHODS[case.method].function(Query(classifier, pixels, target), **case.options).heatmap


def difference(ours: Tensor, peer: Tensor) -> float:
    scale = float(peer.abs().max())
    return float((ours - peer).abs().max()) / (scale or 1.0)


def interleaved(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 1):
        for run, kept in zip((first, second), times, strict=True):
            clock = time.perf_counter()
            run()
            kept.append(time.perf_counter() - clock)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def compare(name: str, repeats: int) -> None:
    network = build(name)
    classifier = ca.Classifier(network, mean=MEAN, std=STD, name=name)
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    top = classifier.predict(pixels)[0].index
    target = classifier.target(top)
    layer = find_layer(classifier, pixels)
    whole = Normalized(network).eval()

    def bare() -> None:
        leaf = pixels.clone().requires_grad_()
        torch.autograd.grad(whole(leaf)[0, top], leaf)

    limit = statistics.median(interleaved(bare, bare, repeats))
    print(f"\n{name}, layer {layer}, limit (bare forward and backward) {limit * 1e3:.0f} ms")
    print(f"{'method':22}{'peer':18}{'ours ms':>9}{'peer ms':>9}{'peer/ours':>11}{'difference':>12}")
    for case in cases(network, pixels, top, layer):
        try:
            theirs = (case.check or case.run)()
        except (RuntimeError, AssertionError) as error:
            print(f"{case.method:22}{case.peer:18}  the peer fails: {str(error).strip().splitlines()[0][:70]}")
            continue
        gap = f"{difference(ask(classifier, pixels, target, case), theirs):.1e}" if case.same else "random"
        ours, peer = interleaved(lambda case=case: ask(classifier, pixels, target, case), case.run, repeats)
        line = f"{case.method:22}{case.peer:18}{ours * 1e3:9.0f}{peer * 1e3:9.0f}{peer / ours:11.2f}{gap:>12}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mobilenet_v2", "resnet50", "vgg16"])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # captum warns of hooks it sets and of gradients it needs
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.models:
        compare(name, arguments.repeats)


if __name__ == "__main__":
    main()
