"""Labelled pictures for training, by name: uint8 tensors that fit into memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from cnnaudit.data import scenes
from cnnaudit.errors import OptionError, near_matches

Drawn = Callable[[int, int], None]
"""Called with how many pictures are ready, and of how many."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Pictures (`n c h w`) and the index of each one's class (`n`)."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a network learns from, and what it is measured on.

    Attributes:
        tests: each question that the trained network is asked, and fresh pictures to ask it with.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    validation: Split
    tests: Mapping[str, Split]


def husky_wolf(
    *, correlation: float, samples: int, test_samples: int, seed: int, drawn: Drawn | None = None
) -> Dataset:
    """Huskies and wolves whose background agrees with the class in a share `correlation` of the scenes.

    Training has `samples` scenes and validation a tenth as many more, both from the series `seed`.
    The two tests have `test_samples` fresh ones each, from the series `seed + 1` (where the correlation
    holds) and `seed + 2` (where it is reversed).

    Raises:
        OptionError: fewer than 2 samples, or a correlation or seed out of range.
    """
    if samples < 2 or test_samples < 2:
        raise OptionError(f"{samples} samples and {test_samples} for each test are too few; give at least 2 of each.")
    extra = max(2, samples // 10)
    count = _Counter(samples + extra + 2 * test_samples, drawn)
    both = _split(scenes.generate(samples + extra, correlation=correlation, seed=seed), count)
    holds = _split(scenes.generate(test_samples, correlation=1.0, seed=seed + 1), count)
    turned = _split(scenes.generate(test_samples, correlation=0.0, seed=seed + 2), count)
    return Dataset(
        name="husky-wolf",
        labels=scenes.LABELS,
        train=Split(both.images[:samples], both.labels[:samples]),
        validation=Split(both.images[samples:], both.labels[samples:]),
        tests={"holds": holds, "reversed": turned},
    )


DATASETS: dict[str, Callable[..., Dataset]] = {"husky-wolf": husky_wolf}
"""What `train` can learn from; each takes the keywords of `husky_wolf`."""


def dataset(name: str) -> Callable[..., Dataset]:
    """The maker of a dataset.

    Raises:
        OptionError: there is none of this name.
    """
    if name not in DATASETS:
        raise OptionError(
            f"There is no dataset {name!r}.{near_matches(name, DATASETS)} There is: {', '.join(DATASETS)}."
        )
    return DATASETS[name]


class _Counter:
    """Reports how many pictures are ready."""

    def __init__(self, total: int, drawn: Drawn | None) -> None:
        self._done, self._total, self._drawn = 0, total, drawn

    def add(self) -> None:
        self._done += 1
        if self._drawn:
            self._drawn(self._done, self._total)


def _split(drawn: Iterator[scenes.Scene], count: _Counter) -> Split:
    images, labels = [], []
    for scene in drawn:
        images.append(torch.from_numpy(scene.image.pixels))
        labels.append(scenes.LABELS.index(scene.label))
        count.add()
    return Split(torch.stack(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels))
