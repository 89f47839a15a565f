"""Pictures a second for the best patches of all units of two layers: ours, a plain loop with hooks, and no more
than the forward pass, which is the limit.

    python tests/benchmarks/best_patches.py --data-root DIR [--pictures 10000] [--repeats 5] [--k 9]

All three run the bundled network "mnist" (conv10-20) on the same test pictures, interleaved in one process.
`ours` is `exemplars(clf, split, layers=["relu1", "relu2"])` whole: from uint8 pictures to the patches cut out.
`plain` is what a notebook does: batches of 64, hooks that keep each channel's largest value and its place, all
pictures' values concatenated at the end, then topk and the crops. `bare` is the network alone in inference mode on
pictures that are normalised beforehand, in the fastest of its layouts and batch sizes, which is found first, its
memory kept as ours is. It runs the whole network; `part` runs only as far as the second layer, as ours does.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit import memory
from cnnaudit.data.datasets import Request, dataset
from cnnaudit.data.splits import Split
from cnnaudit.inspection import exemplars

LAYERS = ("relu1", "relu2")
FIELDS = {"relu1": (5, 1), "relu2": (14, 2)}
"""Size and jump of what a position sees; both begin at the first pixel."""


def plain(clf: ca.Classifier, split: Split, k: int) -> dict[str, list[list[Tensor]]]:
    kept: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in LAYERS}
    widths: dict[str, int] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            best = output.flatten(2).max(2)
            kept[name].append((best.values, best.indices))
            widths[name] = output.shape[3]

        return hook

    hooks = [clf.network.get_submodule(name).register_forward_hook(keep(name)) for name in LAYERS]
    with torch.no_grad():
        for images in split.images.split(64):
            clf.network((images.float() / 255 - clf.mean[0]) / clf.std[0])
    for hook in hooks:
        hook.remove()
    patches: dict[str, list[list[Tensor]]] = {}
    for name in LAYERS:
        values, places = (torch.cat(each) for each in zip(*kept[name], strict=True))
        size, jump = FIELDS[name]
        patches[name] = []
        for unit, row in enumerate(values.topk(k, 0).indices.T.tolist()):
            corners = [(index, *divmod(int(places[index, unit]), widths[name])) for index in row]
            cut = [split.images[i, :, jump * r :, jump * c :][:, :size, :size].clone() for i, r, c in corners]
            patches[name].append(cut)
    return patches


def forward(network: nn.Module, batches: tuple[Tensor, ...]) -> float:
    began = time.perf_counter()
    with torch.inference_mode(), memory.kept():
        for batch in batches:
            network(batch)
    return time.perf_counter() - began


def fastest(network: nn.Module, pixels: Tensor) -> tuple[nn.Module, tuple[Tensor, ...], str]:
    """The layout and batch size in which the bare forward pass is fastest."""
    found: list[tuple[float, nn.Module, tuple[Tensor, ...], str]] = []
    for layout in (torch.contiguous_format, torch.channels_last):
        laid = copy.deepcopy(network).to(memory_format=layout)
        for size in (32, 64, 128, 256, 512):
            batches = tuple(part.contiguous(memory_format=layout) for part in pixels.split(size))
            forward(laid, batches[:4])
            seconds = min(forward(laid, batches) for _ in range(2))
            found.append((seconds, laid, batches, f"{str(layout).removeprefix('torch.')}, batches of {size}"))
    _, laid, batches, words = min(found, key=lambda each: each[0])
    return laid, batches, words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="holds MNIST as torchvision lays it out")
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--k", type=int, default=9)
    chosen = parser.parse_args()
    clf = ca.load("mnist")
    test = dataset("mnist", Request(root=chosen.data_root, download=False)).tests["test"]
    assert isinstance(test, Split)
    split = Split(test.images[: chosen.pictures], test.labels[: chosen.pictures])
    pixels = (split.images.float() / 255 - clf.mean[0]) / clf.std[0]
    laid, batches, words = fastest(clf.network, pixels)
    end = [name for name, _ in laid.named_children()].index(LAYERS[-1]) + 1
    part = nn.Sequential(*list(laid.children())[:end])

    def ours() -> float:
        began = time.perf_counter()
        exemplars(clf, split, layers=LAYERS, k=chosen.k)
        return time.perf_counter() - began

    def loop() -> float:
        began = time.perf_counter()
        plain(clf, split, chosen.k)
        return time.perf_counter() - began

    runs = {"ours": ours, "plain": loop, "bare": lambda: forward(laid, batches), "part": lambda: forward(part, batches)}
    for run in runs.values():
        run()
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(chosen.repeats):
        for name, run in runs.items():
            speeds[name].append(len(split) / run())
    print(f"{len(split):,} pictures, all units of {' and '.join(LAYERS)}, on {torch.get_num_threads()} threads")
    print(f"bare: {words}")
    for name, values in speeds.items():
        print(f"{name:<6}{statistics.median(values):>10,.0f} pictures/s   ({', '.join(f'{v:,.0f}' for v in values)})")
    for other in ("plain", "bare", "part"):
        ratios = [one / two for one, two in zip(speeds["ours"], speeds[other], strict=True)]
        print(f"ours / {other:<6}{statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
