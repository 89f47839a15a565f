"""Every torchvision classifier, with random weights, under every method: which run, which decline, and why.

    python tests/benchmarks/every_torchvision_model.py [NAME ...]

Methods run with few samples, on 128 x 128 pixels where the network allows it: the question is
whether they run, not how fast. Prints one line a network and, at the end, the reasons for declining.
"""

import gc
import sys
import time
from collections import defaultdict

import torch

import cnnaudit as ca
from cnnaudit.attribution import METHODS
from cnnaudit.explaining import explain_all
from cnnaudit.loading import available_models

FEW = {
    "occlusion": {"window": 64, "stride": 64, "batch": 2},
    "lime": {"samples": 4, "segments": 4, "batch": 2},
    "integrated_gradients": {"baselines": ("black",), "steps": 2, "max_steps": 2, "batch": 2},
    "smoothgrad": {"samples": 2, "batch": 2},
}
FIXED = {"vit_h_14": 518, "vit_": 224, "maxvit": 224}


def walk(name: str, reasons: dict[str, list[str]]) -> bool:
    """Explain noise by every method; True when nothing but a method's own refusal went wrong."""
    started = time.perf_counter()
    size = next((side for prefix, side in FIXED.items() if name.startswith(prefix)), 128)
    classifier = ca.load(name, weights="none", input_size=size)
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    result = explain_all(classifier, [pixels], options=FEW).images[0]
    for declined in result.declined:
        reasons[f"{declined.card.name}: {declined.reason}"].append(name)
    layer = next((e.layer for e in result.explanations if e.layer), "none")
    ran, seconds = len(result.explanations), time.perf_counter() - started
    error = next((e.facts["completeness_error"] for e in result.explanations if e.method == "deep_lift"), None)
    print(
        f"{name:22} ran {ran:2} of {len(METHODS)}  layer {layer:14} DeepLIFT {error:.0e}  {seconds:5.0f} s", flush=True
    )
    return not any("failed in the network" in declined.reason for declined in result.declined)


def main() -> None:
    names = sys.argv[1:] or [entry.name for entry in available_models() if entry.kind == "torchvision"]
    reasons: dict[str, list[str]] = defaultdict(list)
    fine = 0
    for name in names:
        fine += walk(name, reasons)
        gc.collect()
    print(f"\n{fine} of {len(names)} networks without a failure\n")
    for reason, declined_by in reasons.items():
        print(f"{reason}\n    {', '.join(declined_by)}")
    if fine < len(names):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
