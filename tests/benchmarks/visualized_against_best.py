"""How many units answer the picture made for them more than the best of a dataset.

    python tests/benchmarks/visualized_against_best.py --model husky-wolf [--layers 2.0,3.0] [--units 16]
    python tests/benchmarks/visualized_against_best.py --model mobilenet_v2 --weights FILE --data FOLDER \
        --layers features.16,features.17,features.18.1

Compared is, for each unit, the largest value over all places: of its one picture as it is, and of all
pictures of the dataset, at the network's input size. Without --layers every convolution is taken; units
are drawn at random, the same for the same seed. Pictures are made with the defaults unless told otherwise.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import cnnaudit as ca
from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.data.datasets import DATASETS, Request, dataset
from cnnaudit.inspection import channel, visualize_feature
from cnnaudit.inspection.convolutions import convolutions
from cnnaudit.inspection.photo_sets import photo_set


def best_of(
    classifier: ca.Classifier, layers: Sequence[str], data: str, root: Path | None, most: int
) -> dict[str, Tensor]:
    """The largest value of each channel of each layer over all places of all pictures."""
    request = Request(root=root, samples=2, test_samples=most)  # counts where pictures are drawn
    photos = photo_set(classifier, dataset(data, request) if data in DATASETS else data)
    best: dict[str, Tensor] = {}

    def seen(name: str, output: Any) -> None:
        peaks = output.flatten(2).amax(2).amax(0)
        best[name] = torch.maximum(best[name], peaks) if name in best else peaks

    modules = {name: find_module(classifier, name) for name in layers}
    with hooks.borrowed(classifier.network), hooks.watched(modules, seen), torch.no_grad():
        for pixels, _ in photos.batches(photos.drawn(most, 0), 16):
            classifier.logits(pixels)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="husky-wolf")
    parser.add_argument("--weights")
    parser.add_argument("--data", help="a dataset's name or a folder of photos; by default the model's name")
    parser.add_argument("--data-root", type=Path, help="the folder that holds datasets; by default the cache")
    parser.add_argument("--layers")
    parser.add_argument("--units", type=int, default=16, help="of each layer")
    parser.add_argument("--pictures", type=int, default=2000, help="of the dataset, at most")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    classifier = ca.load(arguments.model, weights=arguments.weights)
    layers = arguments.layers.split(",") if arguments.layers else list(convolutions(classifier))
    best = best_of(classifier, layers, arguments.data or arguments.model, arguments.data_root, arguments.pictures)
    options = {name: value for name in ("steps", "size", "rate") if (value := getattr(arguments, name)) is not None}
    above = compared = 0
    for layer in layers:
        drawn = torch.randperm(len(best[layer]), generator=torch.Generator().manual_seed(arguments.seed))
        units = sorted(drawn[: arguments.units].tolist())
        known = {(layer, unit): float(best[layer][unit]) for unit in units}
        clock = time.perf_counter()
        found = visualize_feature(
            classifier, [channel(layer, unit) for unit in units], best=known, seed=arguments.seed, **options
        )
        seconds = time.perf_counter() - clock
        ratios = [each.activation / known[layer, unit] for each, unit in zip(found.pictures, units, strict=True)]
        below = [each.channel for each in found.pictures if not each.exceeds]
        above, compared = above + found.exceeding, compared + found.compared
        print(
            f"{layer}: {found.exceeding} of {found.compared} exceed the best; median ratio "
            f"{statistics.median(ratios):.2f}, smallest {min(ratios):.2f}; {seconds:.0f} s; not: {below}",
            flush=True,
        )
    print(f"all: {above} of {compared}, {above / compared:.1%}")


if __name__ == "__main__":
    main()
