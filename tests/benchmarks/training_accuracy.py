"""How right the networks become, and how long it takes, by the presets as they stand.

    python tests/benchmarks/training_accuracy.py --data-root DIR [--seeds 3] [--only mnist …]

Each line is a training by `ca.train(arch, data=…, seed=…)` with nothing else given: test accuracy (with its
95 % interval) and seconds from call to result, each with the bar it is held to, on a CPU with 2 cores that nothing
else keeps busy. Then `mnist1d-cnn` is held against `mnist1d-fc`, seed by seed. Ends with 1 if a bar is missed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cnnaudit as ca
from cnnaudit.results import Share

BARS = (
    ("logistic", "mnist", 0.920, 180),
    ("mlp", "mnist", 0.980, 180),
    ("cnn1", "mnist", 0.983, 180),
    ("cnn2", "mnist", 0.990, 180),
    ("conv10-20", "mnist", 0.990, 180),
    ("cnn2", "digits", 0.970, 20),
    ("mnist1d-fc", "mnist1d", None, None),
    ("mnist1d-cnn", "mnist1d", 0.800, None),
    ("cnn2", "fashion-mnist", 0.915, None),
    ("vgg8", "cifar10", 0.880, 25 * 60),
)
"""Architecture, dataset, least accuracy, and most seconds; None is no bar."""

AHEAD = 0.10
"""By so much `mnist1d-cnn` is right more often than `mnist1d-fc`, which has as many layers and hidden units."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=sorted({bar[1] for bar in BARS}), help="datasets")
    chosen = parser.parse_args()
    missed, found = 0, {}
    for arch, data, least, longest in BARS:
        for seed in range(chosen.seeds) if data in chosen.only else ():
            share, seconds = trained(arch, data, seed, chosen.data_root)
            found[arch, data, seed] = share.value
            verdicts = [verdict(share.value, least, low=True, shown=".1%"), verdict(seconds, longest, shown=".0f")]
            missed += sum("MISSED" in words for words in verdicts)
            print(
                f"{arch:<12}{data:<15}seed {seed}  {share.value:7.2%} ({share.low:.2%} to {share.high:.2%}) "
                f"{verdicts[0]:<24}{seconds:6.0f} s {verdicts[1]}",
                flush=True,
            )
    for seed in range(chosen.seeds) if "mnist1d" in chosen.only else ():
        ahead = found["mnist1d-cnn", "mnist1d", seed] - found["mnist1d-fc", "mnist1d", seed]
        words = verdict(ahead, AHEAD, low=True, shown=".1%")
        missed += "MISSED" in words
        print(f"mnist1d-cnn ahead of mnist1d-fc, seed {seed}: {100 * ahead:.1f} points {words}")
    sys.exit(missed > 0)


def trained(arch: str, data: str, seed: int, root: Path) -> tuple[Share, float]:
    """How right it became, and in how many seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        result = ca.train(arch, data=data, data_root=root, seed=seed, out=out, device="cpu")
        return result.tests[0].accuracy, time.perf_counter() - began


def verdict(value: float, bar: float | None, *, low: bool = False, shown: str) -> str:
    """Whether a value keeps its bar, which is a lower one if `low`; empty without one."""
    if bar is None:
        return ""
    kept = value >= bar if low else value <= bar
    return f"({'bar' if low else 'limit'} {bar:{shown}}: {'kept' if kept else 'MISSED'})"


if __name__ == "__main__":
    main()
