"""What made-up trainings are put together from: answers and their counts, drawn pictures, networks."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter, ImageFont
from report_samples import picture

from cnnaudit.results import (
    ArchitectureFacts,
    Epoch,
    FilterFacts,
    LayerFacts,
    Mistake,
    ReceptiveField,
    ReliabilityBin,
    Share,
    TestFacts,
)

Drawer = Callable[[int, np.random.Generator], np.ndarray]
"""A picture of a class, uint8 `h w c`."""


# Counting, as the loop does it


def wilson(right: int, n: int) -> Share:
    if not n:
        return Share(0, 0, 0.0, 0.0, 1.0)
    z, value = 1.959963984540054, right / n
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Share(right, n, value, max(0.0, middle - half), min(1.0, middle + half))


def bins(confidences: np.ndarray, right: np.ndarray, count: int = 15) -> tuple[ReliabilityBin, ...]:
    places = np.clip(np.ceil(confidences * count).astype(int) - 1, 0, count - 1)
    made = []
    for place in range(count):
        inside = places == place
        mean = float(confidences[inside].mean()) if inside.any() else 0.0
        made.append(
            ReliabilityBin(
                place / count, (place + 1) / count, mean, wilson(int(right[inside].sum()), int(inside.sum()))
            )
        )
    return tuple(made)


def answers(truth: np.ndarray, accuracy: np.ndarray, heat: float, draw: np.random.Generator) -> np.ndarray:
    """Probabilities, `n k`: right as often as `accuracy` says of each class, wrong mostly in favour of neighbours."""
    classes, n = len(accuracy), len(truth)
    alike = draw.gamma(0.35, size=(classes, classes)) + 0.02
    np.fill_diagonal(alike, 0)
    wrong = np.array([draw.choice(classes, p=alike[label] / alike[label].sum()) for label in truth])
    is_right = draw.random(n) < accuracy[truth]
    logits = draw.normal(size=(n, classes)) * 0.8
    margin = np.where(is_right, draw.gamma(6, 1.3, size=n), draw.gamma(2, 0.9, size=n)) * heat
    chosen = np.where(is_right, truth, wrong)
    logits[np.arange(n), chosen] = logits.max(axis=1) + margin
    logits[np.arange(n), np.where(is_right, wrong, truth)] += 0.5
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def counted(
    name: str,
    labels: Sequence[str],
    truth: np.ndarray,
    chances: np.ndarray,
    picture_of: Callable[[int], np.ndarray],
    mistakes: int,
) -> TestFacts:
    """A test whose every number follows from the true classes and the probabilities."""
    n, k = chances.shape
    said, sure = chances.argmax(axis=1), chances.max(axis=1)
    right = said == truth
    confusion = np.zeros((k, k), int)
    np.add.at(confusion, (truth, said), 1)
    reliability = bins(sure, right)
    worst = [place for place in np.argsort(-sure, kind="stable") if not right[place]][:mistakes]
    return TestFacts(
        name=name,
        accuracy=wilson(int(right.sum()), n),
        loss=float(-np.log(chances[np.arange(n), truth] + 1e-12).mean()),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        classes=tuple(wilson(int(confusion[label, label]), int(confusion[label].sum())) for label in range(k)),
        reliability=reliability,
        calibration_error=sum(abs(each.confidence - each.right.value) * each.right.n for each in reliability) / n,
        mistakes=tuple(
            Mistake(
                index=int(place),
                picture=picture_of(int(place)),
                label=labels[int(truth[place])],
                predicted=labels[int(said[place])],
                probability=float(sure[place]),
                probability_of_label=float(chances[place, truth[place]]),
            )
            for place in worst
        ),
    )


def simulated(
    name: str,
    labels: Sequence[str],
    *,
    n: int,
    accuracy: float | Sequence[float],
    drawer: Drawer,
    seed: int = 0,
    heat: float = 1.0,
    mistakes: int = 18,
    absent: Sequence[int] = (),
) -> TestFacts:
    """A test of `n` pictures with made-up answers, about as often right as `accuracy` says (of all classes or each)."""
    draw, k = np.random.default_rng(seed), len(labels)
    truth = draw.choice([label for label in range(k) if label not in absent], size=n)
    wanted = np.broadcast_to(accuracy, k)
    chances = answers(truth, np.clip(wanted - 0.2 * draw.gamma(1.0, size=k) * (1 - wanted), 0, 1), heat, draw)
    return counted(name, labels, truth, chances, lambda place: drawer(int(truth[place]), draw), mistakes)


def epochs(
    count: int, *, loss: float, floor: float, accuracy: float, rate: float = 0.05, pace: float = 1.0
) -> tuple[Epoch, ...]:
    """A history that falls from `loss` towards `floor`, and overfits a little at the end."""
    draw = np.random.default_rng(0)
    made = []
    for epoch in range(1, count + 1):
        done, age = epoch / count, (pace * epoch) ** 0.6
        fall = (loss - floor) * math.exp(-2.2 * age) + floor * (1 - 0.6 * done)
        checked = (loss - floor) * math.exp(-2.4 * age) + floor * (1 + 0.2 * max(0, done - 0.6))
        noise = 1 + 0.04 * (1 - done) * draw.normal(size=2)
        made.append(
            Epoch(
                epoch=epoch,
                loss=float(fall * noise[0]),
                accuracy=float(accuracy ** (fall / floor)),
                validation_loss=float(checked * noise[1]),
                validation_accuracy=float(accuracy ** (checked / floor * noise[1])),
                learning_rate=rate * 0.5 * (1 + math.cos(math.pi * done)),
                seconds=4.21 + epoch / 1000,
                images_per_second=14_250.5,
            )
        )
    return tuple(made)


# Pictures


def digit(label: int, draw: np.random.Generator) -> np.ndarray:
    """uint8, `28 28 1`: a digit as if written by hand."""
    canvas = PillowImage.new("L", (84, 84))
    ImageDraw.Draw(canvas).text((24, 6), str(label % 10), fill=255, font=ImageFont.load_default(size=66))
    tilt, lean = draw.normal() * 12, draw.normal() * 0.2
    canvas = canvas.rotate(tilt, resample=PillowImage.Resampling.BILINEAR)
    canvas = canvas.transform((84, 84), PillowImage.Transform.AFFINE, (1, lean, -42 * lean, 0, 1, 0))
    canvas = canvas.filter(ImageFilter.GaussianBlur(2)).resize((28, 28), PillowImage.Resampling.LANCZOS)
    return np.asarray(canvas)[..., None].copy()


def scene(label: int, draw: np.random.Generator) -> np.ndarray:
    """uint8, `64 64 3`: the drawn animal on snow, in its class's light."""
    tint = np.array([[1, 1, 1], [0.75, 0.9, 0.7]])[label % 2]
    return np.clip(picture(64) * tint + draw.normal(size=(64, 64, 3)) * 4, 0, 255).astype(np.uint8)


def signal(label: int, draw: np.random.Generator) -> np.ndarray:
    """uint8, `1 40 1`: one of ten wave forms, shifted."""
    time = np.linspace(0, 1, 40) + draw.random() * 0.2
    wave = np.sin(2 * np.pi * (1 + label % 5) * time) * np.exp(-((time - 0.5) ** 2) * (3 + label))
    return np.rint(127 + 100 * np.clip(wave + 0.12 * draw.normal(size=40), -1.2, 1.2)).astype(np.uint8)[None, :, None]


def photo(label: int, draw: np.random.Generator) -> np.ndarray:
    """uint8, `200 240 3`: larger than the page shows it."""
    return np.roll(picture(240)[:200], int(draw.integers(-20, 20)) + label, axis=1)


# Networks


def layer(
    name: str, kind: str, output: tuple[int, ...], *, kernel: int = 0, parameters: int = 0, adds: int = 0, sees: int = 0
) -> LayerFacts:
    sides = len(output) - 1 if len(output) > 1 else 0
    square = (kernel,) * sides if kernel else None
    pool = "Pool" in kind
    return LayerFacts(
        name=name,
        kind=kind,
        kernel=square,
        stride=((kernel if pool else 1),) * sides if kernel else None,
        padding=(0,) * sides if kernel else None,
        dilation=(1,) * sides if kernel else None,
        output_shape=output,
        parameters=parameters,
        multiply_adds=adds,
        memory=4 * math.prod(output),
        receptive_field=ReceptiveField((sees, sees), (1.0, 1.0), (0.0, 0.0)) if sees else None,
    )


CONV10_20 = ArchitectureFacts(
    layers=(
        layer("0", "Conv2d", (10, 24, 24), kernel=5, parameters=260, adds=144_000, sees=5),
        layer("1", "ReLU", (10, 24, 24), sees=5),
        layer("2", "MaxPool2d", (10, 12, 12), kernel=2, sees=6),
        layer("3", "Conv2d", (20, 8, 8), kernel=5, parameters=5_020, adds=320_000, sees=14),
        layer("4", "ReLU", (20, 8, 8), sees=14),
        layer("5", "MaxPool2d", (20, 4, 4), kernel=2, sees=16),
        layer("6", "Flatten", (320,)),
        layer("7", "Linear", (10,), parameters=3_210, adds=3_200),
    ),
    parameters=8_490,
    trainable=8_490,
    multiply_adds=467_200,
    memory=43_800,
)


def deep(blocks: int = 40) -> ArchitectureFacts:
    """A network with a long table, of which only the last layer learned."""
    pair = [
        (
            layer(
                f"features.{block}.convolution",
                "Conv2d",
                (64, 56, 56),
                kernel=3,
                parameters=36_928,
                adds=115_605_504,
                sees=3 + 2 * block,
            ),
            layer(f"features.{block}.activation", "ReLU", (64, 56, 56), sees=3 + 2 * block),
        )
        for block in range(blocks)
    ]
    layers = [each for both in pair for each in both] + [
        layer("classifier", "Linear", (100,), parameters=6_500, adds=6_400)
    ]
    return ArchitectureFacts(tuple(layers), 36_928 * blocks + 6_500, 6_500, 115_605_504 * blocks + 6_400, 80_000_000)


def gabor(size: int, draw: np.random.Generator) -> np.ndarray:
    """An oriented edge, as a trained kernel has it."""
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    angle, phase = draw.uniform(0, np.pi), draw.uniform(0, 2 * np.pi)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    return np.cos(1.6 * along + phase) * np.exp(-(rows**2 + columns**2) / size)


def filters(name: str, count: int, channels: int, height: int, width: int, seed: int = 0) -> FilterFacts:
    """Noise that became edges, or for one row: slopes."""
    draw = np.random.default_rng(seed)
    bound = 1 / math.sqrt(channels * height * width)
    start = draw.uniform(-bound, bound, (count, channels, height, width))
    shape = [gabor(max(height, width), draw)[:height, :width] for _ in range(count)]
    colour = draw.uniform(0.2, 1, (count, channels, 1, 1)) * draw.choice([-1, 1], (count, channels, 1, 1))
    end = 0.5 * start + 1.8 * bound * np.stack(shape)[:, None] * colour
    return FilterFacts(name, start.astype(np.float32), end.astype(np.float32))
