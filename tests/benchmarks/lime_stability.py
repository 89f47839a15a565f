"""LIME against the lime package 0.2.0.1: how stable between seeds, and how long for that.

    python tests/benchmarks/lime_stability.py PHOTOS --weights mobilenet_v2.safetensors [--model mobilenet_v2]
                                    [--photos 20] [--seeds 3] [--budgets 250 500 1000] [--theirs 1000]

PHOTOS is a folder of pictures. Both sides get the same segments (SLIC), the same fill (grey) and the same
score (the first choice's logit), in one process, in turn; each seed is a run of its own. `correlation` is the
mean over pairs of seeds of the coefficients' correlation, `jaccard` that of the five largest segments in
common; both are means over the photos, seconds a photo are medians. The last line is about our smallest
budget that is as stable as the package by both. Without --weights the weights are random: for times only.
The first photo is explained once by each side before the clock starts.
"""

import argparse
import itertools
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"  # for the package's bar, before anything imports tqdm

import numpy as np
import torch
from gradient_methods import MEAN, STD, build
from lime.lime_image import LimeImageExplainer

import cnnaudit as ca
from cnnaudit.attribution.segments import segmented

FILL = 0.5
_PICTURES = {".jpg", ".jpeg", ".png"}


def by_package(clf: ca.Classifier, pixels: torch.Tensor, regions: np.ndarray, target: int, samples: int, seed: int):
    """The package's coefficients in the order of the segments, with its default batches of ten."""
    picture = pixels[0].permute(1, 2, 0).double().numpy()

    def scores(pictures: np.ndarray) -> np.ndarray:
        return clf.scores(torch.from_numpy(pictures).permute(0, 3, 1, 2).float()).numpy()

    explained = LimeImageExplainer(random_state=seed).explain_instance(
        picture, scores, labels=(target,), top_labels=None, hide_color=FILL, num_samples=samples,
        segmentation_fn=lambda _: regions, random_seed=seed,
    )  # fmt: skip
    return np.array([value for _, value in sorted(explained.local_exp[target])])


def by_us(clf: ca.Classifier, pixels: torch.Tensor, regions: np.ndarray, target: int, samples: int, seed: int):
    options = {"regions": regions, "samples": samples, "fill": "grey"}
    why = ca.explain(clf, pixels, method="lime", target=target, options=options, seed=seed)
    return np.array(why.facts["coefficients"])


def agreement(runs: list[np.ndarray]) -> tuple[float, float]:
    """Mean correlation and mean Jaccard of the five largest over all pairs of seeds."""
    pairs = list(itertools.combinations(runs, 2))
    top = [(set(np.argsort(-abs(a))[:5]), set(np.argsort(-abs(b))[:5])) for a, b in pairs]
    correlation = statistics.mean(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs)
    return correlation, statistics.mean(len(a & b) / len(a | b) for a, b in top)


def compare(clf: ca.Classifier, photos: list[Path], budgets: list[int], theirs: int, seeds: int) -> None:
    sides = {("lime package", theirs): by_package} | {("cnnaudit", budget): by_us for budget in budgets}
    seconds, stable = defaultdict(list), defaultdict(list)
    for number, path in enumerate(photos):
        pixels = clf.prepare(ca.read_image(path))
        target = clf.predict(pixels)[0].index
        found = segmented(pixels, segmentation="slic", segments=40, compactness=10.0, regions=None, seed=0)
        regions = found.labels.numpy()
        if number == 0:
            for (_, samples), ask in sides.items():
                ask(clf, pixels, regions, target, samples, 0)
        runs = defaultdict(list)
        for seed, (side, ask) in itertools.product(range(seeds), sides.items()):
            clock = time.perf_counter()
            runs[side].append(ask(clf, pixels, regions, target, side[1], seed))
            seconds[side].append(time.perf_counter() - clock)
        for side, made in runs.items():
            stable[side].append(agreement(made))
    table(sides, seconds, stable)


def table(sides: dict, seconds: dict, stable: dict) -> None:
    print(f"{'':14}{'budget':>8}{'seconds':>9}{'lime/ours':>11}{'correlation':>13}{'jaccard':>9}")
    package, *ours = sides
    of_package = statistics.median(seconds[package])
    means = {side: [statistics.mean(column) for column in zip(*stable[side], strict=True)] for side in sides}
    for side in sides:
        median = statistics.median(seconds[side])
        correlation, jaccard = means[side]
        print(f"{side[0]:14}{side[1]:8}{median:9.2f}{of_package / median:11.2f}{correlation:13.4f}{jaccard:9.3f}")
    equal = [side for side in ours if all(a >= b for a, b in zip(means[side], means[package], strict=True))]
    if equal:
        least = min(equal, key=lambda side: side[1])
        ratio = of_package / statistics.median(seconds[least])
        print(f"At equal or better stability (a budget of {least[1]}): {ratio:.2f} times as fast")
    else:
        print("None of our budgets was as stable as the package; give larger ones.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budgets", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--theirs", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("stability takes two seeds at least")
    photos = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in _PICTURES)
    photos = photos[:: max(1, len(photos) // arguments.photos)][: arguments.photos]
    if not photos:
        parser.error(f"there are no pictures in {arguments.folder}")
    if arguments.weights:
        clf = ca.load(arguments.model, weights=arguments.weights)
    else:
        clf = ca.Classifier(build(arguments.model), mean=MEAN, std=STD, name=arguments.model)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.model}, {len(photos)} photos")
    compare(clf, photos, sorted(arguments.budgets), arguments.theirs, arguments.seeds)


if __name__ == "__main__":
    main()
