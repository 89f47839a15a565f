"""Huskies and wolves as a dataset: scenes drawn for training, and fresh ones for two tests."""

from collections.abc import Iterator

import torch

from cnnaudit.data import scenes
from cnnaudit.data.regions import Regions
from cnnaudit.data.splits import Dataset, Drawn, Request, Split
from cnnaudit.errors import OptionError

_MEAN, _STD = 0.5, 0.25


def load(request: Request) -> Dataset:
    """`husky_wolf` as asked for."""
    return husky_wolf(
        correlation=request.correlation,
        samples=request.samples,
        test_samples=request.test_samples,
        one_test=request.one_test,
        seed=request.seed,
        drawn=request.drawn,
    )


def husky_wolf(
    *,
    correlation: float,
    samples: int,
    test_samples: int,
    seed: int,
    one_test: bool = False,
    drawn: Drawn | None = None,
) -> Dataset:
    """Huskies and wolves whose background agrees with the class in a share `correlation` of the scenes.

    Training has `samples` scenes and validation a tenth as many more, both from the series `seed`.
    The two tests have `test_samples` fresh ones each, from the series `seed + 1` (where the correlation
    holds) and `seed + 2` (where it is reversed); with `one_test`, the second is not drawn.

    Raises:
        OptionError: fewer than 2 samples, or a correlation or seed out of range.
    """
    if samples < 2 or test_samples < 2:
        raise OptionError(f"{samples} samples and {test_samples} for each test are too few; give at least 2 of each.")
    extra = max(2, samples // 10)
    count = _Counter(samples + extra + (1 if one_test else 2) * test_samples, drawn)
    both = _split(scenes.generate(samples + extra, correlation=correlation, seed=seed), count)
    tests = {"holds": _split(scenes.generate(test_samples, correlation=1.0, seed=seed + 1), count)}
    if not one_test:
        tests["reversed"] = _split(scenes.generate(test_samples, correlation=0.0, seed=seed + 2), count)
    return Dataset(
        name="husky-wolf",
        labels=scenes.LABELS,
        train=Split(both.images[:samples], both.labels[:samples]),
        validation=Split(both.images[samples:], both.labels[samples:]),
        tests=tests,
        mean=(_MEAN,) * 3,
        std=(_STD,) * 3,
        augmentation=("scene",),
    )


class _Counter:
    """Reports how many pictures are ready."""

    def __init__(self, total: int, drawn: Drawn | None) -> None:
        self._done, self._total, self._drawn = 0, total, drawn

    def add(self) -> None:
        self._done += 1
        if self._drawn:
            self._drawn(self._done, self._total)


def _split(drawn: Iterator[scenes.Scene], count: _Counter) -> Split:
    images, names, backgrounds, masks = [], [], [], []
    for scene in drawn:
        images.append(torch.from_numpy(scene.image.pixels))
        names.append(scene.label)
        backgrounds.append(scene.background)
        masks.append(scene.mask.numpy())
        count.add()
    labels = torch.tensor([scenes.LABELS.index(name) for name in names])
    regions = Regions.of(masks, names, backgrounds, "animal")
    return Split(torch.stack(images).permute(0, 3, 1, 2).contiguous(), labels, regions)
