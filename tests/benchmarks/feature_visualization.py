"""Feature visualisation of many channels, against lucent (`pip install torch-lucent`).

    python tests/benchmarks/feature_visualization.py [--model mobilenet_v2] [--layers NAME,NAME] [--channels 64] \
        [--steps 32] [--size 128] [--threads 2] [--repeats 3]

Both make a picture of the same size for each of the same channels, with the same number of steps, on the
same network, by Fourier parametrisation with decorrelated colours, Adam at 0.05 and random shifts, turns and
scales. lucent makes one after the other, as its `render_vis` is called, and gives the network pictures of
exactly `--size` (its own default enlarges them to 224). Ours goes by `visualize_feature`. The sides take
turns; medians of the whole are printed, and their ratio. Of the repeats, the first is not counted where
others follow. lucent's time is proportional to the channels: `--sample N` runs it on N of them, and scales up.
It has a copy of the network of its own, since it leaves its hooks on it. Weights are random, with batch-norm
statistics off their defaults.
"""

import argparse
import copy
import statistics
import time
import warnings

import torch
from gradient_methods import MEAN, STD, build
from torch import nn

import cnnaudit as ca
from cnnaudit.inspection import visualize_feature


def by_lucent(network: nn.Module, layer: str, channels: range, steps: int, size: int) -> float:
    """Seconds."""
    from lucent.optvis import objectives, param, render

    clock = time.perf_counter()
    for index in channels:
        render.render_vis(
            network,
            objectives.channel(layer.replace(".", "_"), index),
            param_f=lambda: param.image(size),
            thresholds=(steps,),
            progress=False,
            show_image=False,
            fixed_image_size=size,
        )
    return time.perf_counter() - clock


def by_us(classifier: ca.Classifier, layer: str, channels: range, steps: int, size: int) -> float:
    """Seconds."""
    clock = time.perf_counter()
    visualize_feature(classifier, (layer, channels), steps=steps, size=size)
    return time.perf_counter() - clock


def medians(
    network: nn.Module, classifier: ca.Classifier, layer: str, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Seconds, ours and lucent's."""
    all_of, some = range(arguments.channels), range(arguments.sample or arguments.channels)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(arguments.repeats):
        times[0].append(by_us(classifier, layer, all_of, arguments.steps, arguments.size))
        theirs = by_lucent(copy.deepcopy(network), layer, some, arguments.steps, arguments.size)
        times[1].append(theirs * len(all_of) / len(some))
    first = int(arguments.repeats > 1)
    return statistics.median(times[0][first:]), statistics.median(times[1][first:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--layers", default="features.4.conv.0.0,features.9.conv.0.0,features.14.conv.0.0")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, help="of the channels, for lucent alone")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    network = build(arguments.model).eval()
    classifier = ca.Classifier(network, input_size=arguments.size, mean=MEAN, std=STD)
    for layer in arguments.layers.split(","):
        ours, theirs = medians(network, classifier, layer, arguments)
        print(
            f"{arguments.model} {layer}, {arguments.channels} channels, {arguments.steps} steps, "
            f"{arguments.size} x {arguments.size}: ours {ours:.1f} s, lucent {theirs:.1f} s, ratio {theirs / ours:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
