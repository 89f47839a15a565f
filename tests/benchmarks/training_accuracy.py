"""How right the networks become, and how long it takes, by the presets as they stand.

    python tests/benchmarks/training_accuracy.py --data-root DIR [--seeds 3] [--only mnist …]

Each line is a training by `ca.train(arch, data=…, seed=…)` with nothing else given: test accuracy (with its
95 % interval), the bar it is held to, and seconds from call to result. Ends with 1 if one is below its bar.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cnnaudit as ca

BARS = (
    ("logistic", "mnist", 0.920),
    ("mlp", "mnist", 0.980),
    ("cnn1", "mnist", 0.983),
    ("cnn2", "mnist", 0.990),
    ("conv10-20", "mnist", 0.990),
    ("cnn2", "digits", 0.970),
    ("mnist1d-fc", "mnist1d", 0.0),
    ("mnist1d-cnn", "mnist1d", 0.800),
    ("cnn2", "fashion-mnist", 0.915),
    ("vgg8", "cifar10", 0.880),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=sorted({data for _, data, _ in BARS}), help="datasets")
    chosen = parser.parse_args()
    missed = 0
    for arch, data, bar in BARS:
        for seed in range(chosen.seeds) if data in chosen.only else ():
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as out:
                result = ca.train(arch, data=data, data_root=chosen.data_root, seed=seed, out=out, device="cpu")
            share = result.tests[0].accuracy
            missed += share.value < bar
            print(
                f"{arch:<12}{data:<15}seed {seed}  {share.value:7.2%} ({share.low:.2%} to {share.high:.2%})  "
                f"bar {bar:.1%}  {time.perf_counter() - began:6.0f} s",
                flush=True,
            )
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
