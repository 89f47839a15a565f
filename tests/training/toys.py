"""Small data that a network learns in a second: four classes of noisy 8x8 pictures."""

import torch

from cnnaudit.data.resizing import adapted
from cnnaudit.data.splits import Dataset, Files, Request, Source, Split

LABELS = ("one", "two", "three", "four")


def split(n: int, seed: int) -> Split:
    """`n` grey pictures; each class has a bright quarter of its own."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    images = torch.randint(0, 120, (n, 1, 8, 8), generator=rng, dtype=torch.uint8)
    for k in range(4):
        rows, columns = slice(4 * (k // 2), 4 * (k // 2) + 4), slice(4 * (k % 2), 4 * (k % 2) + 4)
        images[labels == k, :, rows, columns] += 60
    return Split(images, labels)


def dataset(train: int = 120, *, streamed: bool = False, augmentation: tuple[str, ...] = ()) -> Dataset:
    """All its parts; `streamed` reads each picture when it is asked for."""
    parts = [split(train, 0), split(40, 1), split(60, 2)]
    if streamed:
        parts = [Files(part.labels, part.shape, part.images.__getitem__) for part in parts]
    return Dataset(
        name="toy", labels=LABELS, train=parts[0], validation=parts[1], tests={"test": parts[2]},
        mean=(0.3,), std=(0.2,), augmentation=augmentation,
    )  # fmt: skip


def signals() -> Dataset:
    """Pictures one pixel high."""
    part = Split(torch.zeros(8, 1, 1, 40), torch.arange(8) % 4)
    return Dataset(
        name="signals", labels=LABELS, train=part, validation=part, tests={"test": part},
        mean=(0.5,), std=(0.2,), augmentation=(),
    )  # fmt: skip


def source(made: Dataset) -> Source:
    """The same as an entry of `DATASETS`."""

    def load(request: Request) -> Dataset:  # a network of torchvision asks for three channels
        return adapted(made, request)

    return Source(
        load=load, here=lambda _root: True, summary="toys", classes=4, size=(8, 8), channels=1,
        train=len(made.train), validation=40, test=60, download_bytes=None,
    )  # fmt: skip
