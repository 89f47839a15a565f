"""Which fill gives LIME's best explanations: deletion and insertion on photos, and the cue of husky-wolf scenes.

    python tests/benchmarks/lime_fills.py PHOTOS --weights mobilenet_v2.safetensors [--model mobilenet_v2]
                                    [--photos 50] [--scenes 50] [--samples 1000] [--size 224]

PHOTOS is a folder of pictures. Every fill gets the same segments (SLIC) and the same masks. Segments then
leave the picture (deletion) or come into it (insertion) from the largest coefficient on, and the area under
the first choice's probability over the share of the picture is taken: low for deletion, high for insertion.
What stands in for segments there must not favour any fill, so it is none of them: the mean is taken over four
others, the picture's blocks shuffled, those of its negative, its spectrum with random phases, and uniform noise.
Scenes are huskies and wolves on snow that the bundled husky-wolf network calls wolves, explained against
husky; `on cue` is the share of the positive mass off the animal (`by chance` the share of the picture that is
off it). Means, with 95 % intervals of the bootstrap over pictures; `behind` is insertion less deletion, less
the best fill's, paired. The winner has the best mean rank in three columns: insertion less deletion on photos
and on scenes, and the share on the cue; `wins` says in how many bootstrap samples it does.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

import cnnaudit as ca
from cnnaudit.attribution.segments import Regions, SegmentFill, segmented
from cnnaudit.data import scenes
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Copies, Segments

FILLS = [fill for part in get_args(SegmentFill) for fill in get_args(part)]
_PICTURES = {".jpg", ".jpeg", ".png"}
_DRAWN = 5000  # bootstrap samples
_BLOCKS = 14  # along each side


@dataclass(frozen=True)
class Case:
    """A picture, the class that is explained, and the animal in it, where there is one."""

    pixels: Tensor
    target: int
    versus: int | None = None
    animal: Tensor | None = None


def photo_cases(clf: ca.Classifier, folder: Path, count: int) -> Iterator[Case]:
    photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
    for path in photos[:: max(1, len(photos) // count)][:count]:
        pixels = clf.prepare(ca.read_image(path))
        yield Case(pixels, clf.predict(pixels)[0].index)


def scene_cases(clf: ca.Classifier, count: int) -> Iterator[Case]:
    """Huskies and wolves on snow in turn, those that the network calls wolves."""
    index, wolf, husky = 0, clf.index("wolf"), clf.index("husky")
    while count:
        scene = scenes.draw(index, label=scenes.LABELS[index % 2], background="snow", seed=7)
        index += 1
        if clf.predict(scene.pixels[None])[0].index == wolf:
            count -= 1
            yield Case(scene.pixels[None], wolf, husky, scene.mask)


def references(pixels: Tensor, seed: int) -> list[Tensor]:
    """What takes segments' place when explanations are compared; none of them is an option of LIME."""
    rng = torch.Generator().manual_seed(seed)
    size = pixels.shape[2:]
    noise = torch.rand(1, 1, *size, generator=rng)
    turn = torch.fft.rfft2(noise) / torch.fft.rfft2(noise).abs()
    turn[..., 0, 0] = 1
    phases = torch.fft.irfft2(torch.fft.rfft2(pixels) * turn, s=size).clamp(0, 1)
    return [shuffled(pixels, rng), shuffled(1 - pixels, rng), phases, torch.rand(pixels.shape, generator=rng)]


def shuffled(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """The picture cut into blocks, and these in random order."""
    side = [-(-length // _BLOCKS) for length in pixels.shape[2:]]
    whole = F.interpolate(pixels, (side[0] * _BLOCKS, side[1] * _BLOCKS))
    blocks = whole.unfold(2, side[0], side[0]).unfold(3, side[1], side[1]).flatten(2, 3)
    blocks = blocks[:, :, torch.randperm(_BLOCKS**2, generator=rng)].unflatten(2, (_BLOCKS, _BLOCKS))
    return F.interpolate(blocks.permute(0, 1, 2, 4, 3, 5).reshape(whole.shape), pixels.shape[2:])


def areas(clf: ca.Classifier, case: Case, regions: Regions, order: Tensor, stands_in: list[Tensor]) -> list[float]:
    """Area under the probability in deletion and in insertion, means over what stands in."""
    place = torch.empty_like(order).scatter(0, order, torch.arange(len(order)))
    first = place <= torch.arange(-1, len(order))[:, None]  # none, then the first 1, 2, … segments
    masks, share = Segments(regions.labels, torch.cat([~first, first])), first.double() @ regions.shares()
    found = []
    for fill in stands_in:
        with borrowed(clf.network):
            logits = Copies(clf, case.pixels, fill, expected=1000, precision="float32").scores(masks)
        found.append(torch.trapezoid(logits.double().softmax(1)[:, case.target].view(2, -1), share))
    return torch.stack(found).mean(0).tolist()


def on_cue(case: Case, heatmap: Tensor) -> float:
    positive = heatmap.double().clamp(min=0)
    assert case.animal is not None
    return float(positive[~case.animal].sum() / positive.sum().clamp(min=1e-12))


def measured(clf: ca.Classifier, cases: list[Case], samples: int, what: str) -> np.ndarray:
    """Deletion, insertion and the share on the cue, `fills pictures 3`."""
    rows = []
    for number, case in enumerate(cases):
        found = segmented(case.pixels, segmentation="slic", segments=40, compactness=10.0, regions=None, seed=0)
        stands_in = references(case.pixels, number)
        row = []
        for fill in FILLS:
            options = {"regions": found.labels, "samples": samples, "fill": fill}
            why = ca.explain(clf, case.pixels, method="lime", target=case.target, versus=case.versus, options=options)
            order = torch.tensor(why.facts["coefficients"]).argsort(descending=True, stable=True)
            cue = on_cue(case, why.heatmap) if case.animal is not None else np.nan
            row.append([*areas(clf, case, found, order, stands_in), cue])
        rows.append(row)
        print(f"\r{what} {number + 1} of {len(cases)}", end="", flush=True)
    print()
    return np.array(rows).transpose(1, 0, 2)


def drawn(pictures: int, seed: int = 0) -> np.ndarray:
    """Which pictures are in each bootstrap sample."""
    return np.random.default_rng(seed).integers(pictures, size=(_DRAWN, pictures))


def with_interval(values: np.ndarray) -> str:
    low, high = np.percentile(values[drawn(len(values))].mean(1), [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def table(title: str, values: np.ndarray, chance: float | None) -> None:
    deletion, insertion, cue = values.transpose(2, 0, 1)
    gap = insertion - deletion
    best = gap[gap.mean(1).argmax()]
    columns = ["deletion", "insertion", "insertion - deletion", "behind", *["on cue"] * (chance is not None)]
    print(f"\n{title}\n{'fill':14}" + "".join(f"{column:>26}" for column in columns))
    for fill, *each in zip(FILLS, deletion, insertion, gap, gap - best, cue, strict=True):
        print(f"{fill:14}" + "".join(f"{with_interval(column):>26}" for column in each[: len(columns)]))
    if chance is not None:
        print(f"on cue by chance: {chance:.4f}")


def winner(photos: np.ndarray, of_scenes: np.ndarray) -> None:
    """The best mean rank, on all pictures and in each bootstrap sample."""
    gaps = [values[:, :, 1] - values[:, :, 0] for values in (photos, of_scenes)]
    columns = [gaps[0], gaps[1], of_scenes[:, :, 2]]
    seeds = (0, 1, 1)  # both columns of scenes are about the same ones
    sampled = [column[:, drawn(column.shape[1], seed)].mean(2) for column, seed in zip(columns, seeds, strict=True)]
    ranks, in_samples = (
        np.mean([rankdata(-each, axis=0) for each in means], 0)
        for means in ([column.mean(1) for column in columns], sampled)
    )
    wins = np.bincount(in_samples.argmin(0), minlength=len(FILLS)) / _DRAWN
    print(f"\n{'fill':14}{'mean rank':>10}{'wins':>8}")
    for place in ranks.argsort(kind="stable"):
        print(f"{FILLS[place]:14}{ranks[place]:10.2f}{wins[place]:8.1%}")
    print(f"The winner: {FILLS[ranks.argmin()]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--size", type=int, help="side of the photos as the network sees them")
    arguments = parser.parse_args()
    size = None if arguments.size is None else (arguments.size, arguments.size)
    clf, biased = ca.load(arguments.model, weights=arguments.weights, input_size=size), ca.load("husky-wolf")
    photos = list(photo_cases(clf, arguments.folder, arguments.photos))
    of_scenes = list(scene_cases(biased, arguments.scenes))
    if len(photos) < 2 or len(of_scenes) < 2:
        parser.error("intervals take two photos and two scenes at least")
    chance = float(np.mean([float((~case.animal).float().mean()) for case in of_scenes if case.animal is not None]))
    results = [
        measured(clf, photos, arguments.samples, "photo"),
        measured(biased, of_scenes, arguments.samples, "scene"),
    ]
    table(f"{len(photos)} photos, {arguments.model}, {arguments.samples} samples at most", results[0], None)
    table(f"{len(of_scenes)} scenes on snow, husky-wolf, {arguments.samples} samples at most", results[1], chance)
    winner(*results)


if __name__ == "__main__":
    main()
