"""Peak memory of the perturbation engine over the number of masks, each in a process of its own.

    python tests/benchmarks/engine_memory.py [--model vgg16] [--masks 64 250 1000] [--batch 8] [--device cpu|cuda]

On the CPU it is the largest resident set of the process, on CUDA the allocator's own peak, both in MB;
`above` is what the copies added to that of the loaded network. Weights are random. Without --batch it is
chosen by measuring, and may differ from run to run.
"""

import argparse
import resource
import subprocess
import sys

import torch
from gradient_methods import MEAN, STD, build

import cnnaudit as ca
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Copies, Segments


def peak(device: torch.device) -> float:
    """In MB, since the process began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def one(model: str, count: int, batch: int | None, device: torch.device) -> None:
    clf = ca.Classifier(build(model).to(device), mean=MEAN, std=STD, name=model)
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)
    regions = (torch.arange(224) // 32)[:, None] * 7 + torch.arange(224) // 32
    shown = torch.rand(count, 49, generator=torch.Generator().manual_seed(0)) < 0.5
    before = peak(device)
    with borrowed(clf.network):
        copies = Copies(clf, pixels, filled(pixels, "grey"), expected=1000, batch=batch)
        copies.scores(Segments(regions, shown))
    used = f"{copies.precision_used}, batches of {copies._loop.batch.size}"
    print(f"{count:8} masks{peak(device):10.0f} MB{peak(device) - before:10.0f} above  {used}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vgg16")
    parser.add_argument("--masks", type=int, nargs="+", default=[64, 250, 1000])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if len(arguments.masks) == 1:
        one(arguments.model, arguments.masks[0], arguments.batch, torch.device(arguments.device))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.model} on {arguments.device}")
    for count in arguments.masks:
        rest = ["--model", arguments.model, "--device", arguments.device, "--masks", str(count)]
        rest += [] if arguments.batch is None else ["--batch", str(arguments.batch)]
        subprocess.run([sys.executable, __file__, *rest], check=True)


if __name__ == "__main__":
    main()
