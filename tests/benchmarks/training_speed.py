"""Pictures a second in training: ours, the usual PyTorch loop, and a bare loop over tensors, which is the limit.

    python tests/benchmarks/training_speed.py --data-root DIR [--arch conv10-20] [--batch-size 64] [--repeats 5]

All three train the same architecture on MNIST with the same batch size, optimizer and number of epochs,
interleaved in one run; validation is left out of every time. `usual` is the loop of PyTorch's own MNIST
example: torchvision's dataset with ToTensor and Normalize, a shuffling DataLoader; it is timed without
workers and with two, and the faster counts. `bare` goes over tensors that are normalised beforehand, in
the fastest layout and with the fused optimizer that ours uses: forward, loss, backward, step, nothing else.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from cnnaudit import training
from cnnaudit.loading.building import build
from cnnaudit.training.optimizers import optimizer_for
from cnnaudit.training.preparing import layout_for

MEAN, STD = 0.1307, 0.3081


def usual(network: nn.Module, loader: DataLoader) -> float:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()
    began, seen = time.perf_counter(), 0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        seen += len(labels)
    return seen / (time.perf_counter() - began)


def bare(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, size: int) -> float:
    layout = layout_for(network, torch.device("cpu"))
    network.to(memory_format=layout).train()
    images = images.contiguous(memory_format=layout)
    optimizer = optimizer_for(network, "adamw", rate=1e-3, decay=0.01, momentum=None)
    began = time.perf_counter()
    for inputs, known in zip(images.split(size), labels.split(size), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), known).backward()
        optimizer.step()
    return len(labels) / (time.perf_counter() - began)


def ours(arch: str, root: Path, size: int) -> float:
    with tempfile.TemporaryDirectory() as out:
        result = training.train(
            arch, data="mnist", data_root=root, epochs=1, batch_size=size, out=out, device="cpu", precision="float32"
        )
    return result.history[0].images_per_second


def fresh(arch: str) -> nn.Module:
    return build(arch, labels=10, channels=1, size=(28, 28)).network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="holds MNIST as torchvision lays it out")
    parser.add_argument("--arch", default="conv10-20")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    folder = next(path.parent.parent for path in sorted(chosen.data_root.rglob("raw")) if path.parent.name == "MNIST")
    whole = datasets.MNIST(folder, train=True, download=False, transform=transform)
    part = Subset(whole, range(55_000))
    loaders = [DataLoader(part, batch_size=chosen.batch_size, shuffle=True, num_workers=n) for n in (0, 2)]
    images = ((whole.data[:55_000, None].float() / 255) - MEAN) / STD
    labels = whole.targets[:55_000]
    speeds: dict[str, list[float]] = {"usual": [], "bare": [], "ours": []}
    for _ in range(chosen.repeats):
        speeds["usual"].append(max(usual(fresh(chosen.arch), loader) for loader in loaders))
        speeds["bare"].append(bare(fresh(chosen.arch), images, labels, chosen.batch_size))
        speeds["ours"].append(ours(chosen.arch, chosen.data_root, chosen.batch_size))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, values in speeds.items():
        shown = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:<8}{medians[name]:>10,.0f} pictures/s (median of {shown})")
    print(f"ours / usual  {medians['ours'] / medians['usual']:.2f}")
    print(f"ours / bare   {medians['ours'] / medians['bare']:.2f}   (1 is the limit)")


if __name__ == "__main__":
    main()
