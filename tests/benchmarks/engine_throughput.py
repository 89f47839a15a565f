"""The perturbation engine against a bare loop of forward passes in the form that it chose: share of its speed.

    python tests/benchmarks/engine_throughput.py [--models mobilenet_v2 resnet50] [--copies 256] [--repeats 5] [--quick]

The bare loop sends one batch, composed once, again and again through the same network in the same form,
layout and batch size. `loop` is the engine's own loop; `call` is a whole call, with the twin made and
the copies checked against the network as it is. `as it is` is a float32 loop in batches of 10, as
lime runs one. All are timed in turn in one process; medians. Weights are random (the time is the same).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from gradient_methods import MEAN, STD, build
from torch import Tensor

import cnnaudit as ca
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Copies, Segments


def masks(count: int, size: int = 224, cells: int = 7) -> Segments:
    places = torch.arange(size) * cells // size
    shown = torch.rand(count, cells * cells, generator=torch.Generator().manual_seed(0)) < 0.5
    return Segments(places[:, None] * cells + places, shown)


def medians(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each, in turn; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, task in tasks.items():
            clock = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - clock)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def compare(name: str, count: int, repeats: int) -> None:
    classifier = ca.Classifier(build(name), mean=MEAN, std=STD, name=name)
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    fill, copies_of = filled(pixels, "grey"), masks(count)

    def call() -> Copies:
        copies = Copies(classifier, pixels, fill, expected=count)
        copies.scores(copies_of)
        return copies

    with borrowed(classifier.network), torch.no_grad():
        for _ in range(3):  # measures forms, then settles the batch
            copies = call()
        stage, batch = copies._stage, copies._loop.batch.size
        assert stage is not None
        given = stage.composed(copies_of, 0, batch, batch).clone()
        plain = classifier.normalised(torch.cat([pixels] * 10))

        def bare() -> None:
            for start in range(0, count, batch):
                stage.network(given[: min(batch, count - start)]).float()

        def as_it_is() -> Tensor:
            return torch.cat([classifier.network(plain[: min(10, count - i)]) for i in range(0, count, 10)])

        tasks = {"as it is": as_it_is, "bare": bare, "loop": lambda: copies.scores(copies_of), "call": call}
        seconds = medians(tasks, repeats)
    form = stage.form
    words = [copies.precision_used, *["channels-last"] * form.channels_last, f"{len(form.folded)} norms folded"]
    print(f"\n{name}: {', '.join(words)}, batches of {batch}; {count} copies {' '.join(copies.notes)}")
    for task, spent in seconds.items():
        print(
            f"{task:10}{spent / count * 1e3:9.2f} ms a copy{seconds['bare'] / spent:9.1%} of the bare loop", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--copies", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="128 copies, one repeat")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.models:
        if arguments.quick:
            compare(name, 128, 1)
        else:
            compare(name, arguments.copies, arguments.repeats)


if __name__ == "__main__":
    main()
