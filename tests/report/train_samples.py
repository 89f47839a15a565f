"""Made-up trainings that look like real ones, of every size and kind, and one whose strings try to break out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from report_samples import HOSTILE, MODEL, RUN
from train_parts import CONV10_20, deep, digit, epochs, filters, layer, photo, scene, signal, simulated

from cnnaudit.results import ArchitectureFacts, Epoch, Report, TestFacts, TrainingFacts

DIGITS = tuple("0123456789")
RTL = "ذئب رمادي"
RECIPE = {
    "arch": "conv10-20",
    "pool": "max",
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "schedule": "cosine",
    "warm_up": 0.1,
    "label_smoothing": 0.0,
    "dropout": None,
    "augmentation": (),
    "batch_size": 64,
    "epochs": 10,
    "patience": None,
    "deterministic": True,
    "seed": 1234,
}


def report(training: TrainingFacts, *, arch: str, channels: int = 1, size: tuple[int, int] = (28, 28)) -> Report:
    model = replace(
        MODEL,
        name=f"{arch}.safetensors",
        architecture=arch,
        source=f"the checkpoint {arch}.safetensors",
        input_size=size,
        mean=(0.1307,) * channels,
        std=(0.3081,) * channels,
        channels=channels,
        parameters=training.architecture.parameters if training.architecture else 0,
        labels=len(training.labels),
    )
    run = replace(RUN, command=f"cnnaudit train {arch} --data {training.dataset}", seed=1234, seconds=training.seconds)
    return Report("train", run, model, training=training)


def training(tests: Sequence[TestFacts], history: tuple[Epoch, ...], **others: object) -> TrainingFacts:
    made = TrainingFacts(
        recipe=RECIPE,
        dataset="mnist",
        labels=DIGITS,
        pictures={"train": 55_000, "validation": 5_000} | {test.name: test.accuracy.n for test in tests},
        epochs=history,
        best_epoch=max(history, key=lambda each: each.validation_accuracy).epoch if history else 0,
        ended=f"after all {len(history)} epochs",
        first_loss=2.3187,
        seconds=4321.5,
        tests=tuple(tests),
        architecture=CONV10_20,
        filters=filters("0", 10, 1, 5, 5),
    )
    return replace(made, **others)


@cache
def mnist() -> Report:
    """Ten classes, ten epochs, one test of 10 000."""
    test = simulated("test", DIGITS, n=10_000, accuracy=0.993, drawer=digit)
    return report(training([test], epochs(10, loss=2.3, floor=0.045, accuracy=0.988)), arch="conv10-20")


@cache
def husky_wolf() -> Report:
    """Two classes and two tests, one of which goes wrong."""
    labels = ("husky", "wolf")
    tests = [
        simulated("holds", labels, n=2000, accuracy=0.985, drawer=scene, heat=0.8),
        simulated("reversed", labels, n=2000, accuracy=(0.22, 0.41), drawer=scene, seed=1, heat=0.8),
    ]
    made = training(
        tests,
        epochs(12, loss=0.69, floor=0.08, accuracy=0.97, rate=3e-3),
        labels=labels,
        dataset="husky-wolf",
        pictures={"train": 1700, "validation": 300, "holds": 2000, "reversed": 2000},
        first_loss=0.7012,
        filters=filters("features.0", 16, 3, 5, 5),
        ended="early: the validation loss has not fallen for 4 epochs",
    )
    return report(made, arch="husky-wolf", channels=3, size=(64, 64))


@cache
def hundred() -> Report:
    """A hundred classes, 300 epochs, a network that was loaded and partly frozen."""
    labels = tuple(f"{word} {place}" for place in range(25) for word in ("sweet pepper", "fox", "lawn-mower", "ray"))
    test = simulated(
        "test", labels, n=10_000, accuracy=tuple(np.linspace(0.5, 0.95, 100)), drawer=photo, heat=1.4, mistakes=12
    )
    made = training(
        [test],
        epochs(300, loss=4.6, floor=1.3, accuracy=0.67, rate=0.1, pace=0.03),
        labels=labels,
        dataset="folder:photos",
        first_loss=4.71,
        architecture=deep(),
        filters=filters("features.0.convolution", 64, 3, 7, 7),
    )
    return report(made, arch="resnet18", channels=3, size=(224, 224))


@cache
def signals() -> Report:
    """Signals of one row, and kernels of one row."""
    test = simulated("test", DIGITS, n=1000, accuracy=0.62, drawer=signal, heat=0.7)
    convolutions = tuple(
        layer(f"{2 * place}", "Conv1d", (15, width), kernel=3, parameters=count, adds=15 * width * 45, sees=sees)
        for place, (width, count, sees) in enumerate(((20, 60, 3), (10, 690, 7), (5, 690, 15)))
    )
    made = training(
        [test],
        epochs(60, loss=2.3, floor=1.0, accuracy=0.61, rate=1e-2, pace=0.1),
        dataset="mnist1d",
        architecture=ArchitectureFacts(convolutions, 2050, 2050, 30_000, 9_000),
        filters=filters("0", 15, 1, 1, 3),
    )
    return report(made, arch="mnist1d-cnn", size=(1, 40))


@cache
def linear() -> Report:
    """A linear network after a single epoch; its rows are pictures."""
    test = simulated("test", DIGITS, n=10_000, accuracy=0.91, drawer=digit, heat=0.5)
    architecture = ArchitectureFacts((layer("1", "Linear", (10,), parameters=7850, adds=7840),), 7850, 7850, 7840, 40)
    made = training(
        [test],
        epochs(1, loss=2.3, floor=0.31, accuracy=0.91),
        architecture=architecture,
        filters=filters("1", 10, 1, 28, 28),
        ended="after its only epoch",
    )
    return report(made, arch="logistic")


@cache
def hostile() -> Report:
    """Every foreign string tries to break out."""
    labels = (HOSTILE, RTL, 'it\'s <b>"quoted"</b> & co', "x" * 120)
    test = simulated(HOSTILE, labels, n=400, accuracy=0.7, drawer=digit)
    recipe = {HOSTILE: HOSTILE, "augmentation": (HOSTILE,)}
    network = ArchitectureFacts((layer(HOSTILE, HOSTILE, (4,), parameters=4),), 4, 4, 4, 4)
    made = training(
        [test],
        epochs(3, loss=1.4, floor=0.2, accuracy=0.8),
        labels=labels,
        recipe=recipe,
        dataset=HOSTILE,
        pictures={"train": 100, HOSTILE: 400},
        ended=HOSTILE,
        architecture=network,
        filters=replace(filters("0", 4, 1, 3, 3), layer=HOSTILE),
    )
    return report(made, arch=HOSTILE)


@cache
def bare() -> Report:
    """A run that was stopped before its first epoch ended."""
    made = training([], (), ended="by Ctrl-C in epoch 1", architecture=None, filters=None)
    return report(made, arch="conv10-20")


@cache
def thirty() -> Report:
    """As many classes as a matrix shows; some are not in the test."""
    animals = (
        "antelope",
        "badger",
        "bat",
        "bear",
        "beaver",
        "bison",
        "boar",
        "camel",
        "cat",
        "chimpanzee",
        "cow",
        "coyote",
    )
    labels = (*animals, *(f"{animal}, young" for animal in animals), *("otter", "owl", "panda", "pig", "seal", "zebra"))
    test = simulated("test", labels, n=3000, accuracy=0.8, drawer=scene, mistakes=6, absent=(4, 20))
    made = training(
        [test],
        epochs(25, loss=3.4, floor=0.5, accuracy=0.82, rate=1e-4, pace=0.4),
        labels=labels,
        dataset="folder:animals",
        first_loss=3.62,
        filters=filters("features.0", 32, 4, 3, 3),
    )
    return report(made, arch="vgg8", channels=4, size=(64, 64))


@cache
def flawless() -> Report:
    """Nothing is wrong, the learning rate is constant, and the validation loss reaches zero."""
    test = simulated("test", DIGITS, n=500, accuracy=1.0, drawer=digit)
    history = tuple(
        Epoch(epoch, 0.1 / epoch, 1.0, 0.2 / epoch if epoch < 3 else 0.0, 1.0, 0.01, 1.0, 500.0) for epoch in (1, 2, 3)
    )
    return report(training([test], history), arch="conv10-20")


ALL = (mnist, husky_wolf, hundred, thirty, signals, linear, flawless, hostile, bare)
