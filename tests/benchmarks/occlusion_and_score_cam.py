"""Occlusion against captum, Score-CAM against pytorch-grad-cam: time, and the largest difference of the maps.

    python tests/benchmarks/occlusion_and_score_cam.py [--model resnet50] [--repeats 3] [--quick]

Both sides answer the same question about the same picture in one process, in turn; medians are printed.
Ours runs in float32, so that the maps can be compared. `difference` is the largest absolute difference
over the peer's largest absolute value. Weights are random, with batch-norm statistics off their defaults.
captum takes about 40 s a map on two cores; --quick takes larger windows and fewer channels, twice.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import captum.attr
import pytorch_grad_cam
import torch
from gradient_methods import MEAN, STD, Normalized, build, difference
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import hooks
from cnnaudit.attribution import METHODS, Query
from cnnaudit.attribution.layers import find_layer

Task = Callable[[], Tensor]


def interleaved(ours: Task, theirs: Task, repeats: int) -> tuple[float, float, float]:
    """Median seconds of each, and the maps' difference; the first round is not counted if others follow."""
    times: tuple[list[float], list[float]] = ([], [])
    maps: list[Tensor] = []
    for _ in range(repeats):
        for task, kept in zip((ours, theirs), times, strict=True):
            clock = time.perf_counter()
            maps.append(task())
            kept.append(time.perf_counter() - clock)
    first = int(repeats > 1)
    medians = [statistics.median(kept[first:]) for kept in times]
    return medians[0], medians[1], difference(maps[0], maps[1])


def ask(classifier: ca.Classifier, query: Query, method: str, options: dict[str, object]) -> Tensor:
    with hooks.borrowed(classifier.network):
        return METHODS[method].function(query, **options).heatmap


def score_cam_package(network: nn.Module, module: nn.Module, given: Tensor, target: int, channels: int | None) -> Task:
    """Its map before it is scaled to [0, 1], which costs it nothing more."""
    cam, targets = pytorch_grad_cam.ScoreCAM(network, [module]), [ClassifierOutputTarget(target)]

    def run() -> Tensor:
        kept: list[Tensor] = []
        handle = module.register_forward_hook(lambda _m, _i, output: kept.append(output.detach()))
        with torch.no_grad():
            network(given)
        handle.remove()
        maps = kept[0]
        most = maps[0].flatten(1).std(1).argsort(descending=True, stable=True)[:channels]
        small = cam.get_cam_image(given, module, targets, maps[:, most].numpy(), None, False)[0]
        large = torch.from_numpy(small).clamp(min=0).float()[None, None]
        return nn.functional.interpolate(large, size=given.shape[2:], mode="bilinear")[0, 0]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    repeats = 2 if arguments.quick else arguments.repeats
    window, stride, channels = (30, 19, 256) if arguments.quick else (15, 8, None)

    network = build(arguments.model)
    classifier = ca.Classifier(network, mean=MEAN, std=STD, name=arguments.model)
    coarse = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    pixels = nn.functional.interpolate(coarse, (224, 224), mode="bicubic").clamp(0, 1)
    top = classifier.predict(pixels)[0].index
    query = Query(classifier, pixels, classifier.target(top))
    whole, layer = Normalized(network).eval(), find_layer(classifier, pixels)
    peer = captum.attr.Occlusion(whole)
    grey = torch.full_like(pixels, 0.5)

    def by_captum() -> Tensor:
        with torch.no_grad():
            return peer.attribute(pixels, (3, window, window), (3, stride, stride), grey, top)[0, 0]

    given = classifier.normalised(pixels)
    occlusion = {"window": window, "stride": stride, "precision": "float32"}
    score_cam = {"channels": channels, "precision": "float32"}
    cases = {
        f"occlusion, window {window}, stride {stride}": ("occlusion", occlusion, by_captum, "captum"),
        f"Score-CAM, {channels or 'all'} channels": (
            "score_cam",
            score_cam,
            score_cam_package(network, network.get_submodule(layer), given, top, channels),
            "pytorch-grad-cam",
        ),
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.model}, layer {layer}")
    print(f"{'':32}{'peer':18}{'ours s':>9}{'peer s':>9}{'peer/ours':>11}{'difference':>12}")
    for name, (method, options, theirs, package) in cases.items():

        def mine(method: str = method, options: dict[str, object] = options) -> Tensor:
            return ask(classifier, query, method, options)

        ours, peers, gap = interleaved(mine, theirs, repeats)
        print(f"{name:32}{package:18}{ours:9.2f}{peers:9.2f}{peers / ours:11.2f}{gap:12.1e}", flush=True)


if __name__ == "__main__":
    main()
