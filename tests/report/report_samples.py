"""Made-up reports that look like real ones: a drawn photo, maps of every character, hostile strings."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from cnnaudit.results import (
    Declined,
    Explanation,
    Image,
    ImageFailure,
    ImageResult,
    MethodCard,
    ModelFacts,
    Prediction,
    Report,
    RunFacts,
    Target,
)

SIZE = 224
HOSTILE = "\"><script>alert('1')</script>&amp; ذئب 狼 </title>"

WOLF = Target(269, "timber wolf")
CONTRAST = Target(269, "timber wolf", 250, "Siberian husky")

MODEL = ModelFacts(
    name="mobilenet_v2",
    architecture="torchvision mobilenet_v2",
    source="mobilenet_v2-imagenet.safetensors",
    sha256="9f4a8c0d7be6521386a1f1ad6ef0f7cbb7b1cbe0f1df2ad0c92ccbd5c8ab3f11",
    input_size=(224, 224),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    parameters=3_504_872,
    labels=1000,
)
RUN = RunFacts(
    command="cnnaudit explain husky.jpg --model mobilenet_v2 --method all",
    versions={"cnnaudit": "0.1.0", "torch": "2.10.0", "torchvision": "0.25.0", "python": "3.11.2"},
    seed=0,
    device="cpu",
    dtype="float32",
    started="2025-01-02T03:04:05Z",
    seconds=81.25,
)
PREDICTIONS = (
    Prediction("timber wolf", 269, 0.9312, 14.208),
    Prediction("white wolf", 270, 0.0417, 11.102),
    Prediction("Siberian husky", 250, 0.0183, 10.28),
    Prediction("malamute", 249, 0.00421, 8.81),
    Prediction("Eskimo dog", 248, 0.000034, 3.99),
)

SAYS = "How strongly the score would react to a small change of each pixel, where the network stands now."
CANNOT = "Whether the pixel mattered: a saturated unit reacts to nothing, and still decides the answer."


def inside(rows: np.ndarray, columns: np.ndarray, *ellipse: float) -> np.ndarray:
    """True inside an ellipse given by its centre and half axes, as shares of the side."""
    row, column, height, width = ellipse
    return (((columns - column) / width) ** 2 + ((rows - row) / height) ** 2 < 1)[..., None]


def picture(size: int = SIZE) -> np.ndarray:
    """uint8, `h w 3`: a dark animal on snow, under a blue sky."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    sky = np.stack([0.55 + 0.3 * rows, 0.7 + 0.2 * rows, 0.9 - 0.05 * rows], axis=-1)
    snow = np.stack([0.93 - 0.1 * columns, 0.94 - 0.08 * columns, 0.97 + 0 * columns], axis=-1)
    scene = np.where((rows > 0.55 + 0.05 * np.sin(7 * columns))[..., None], snow, sky)
    coat = 0.28 + 0.1 * np.sin(60 * columns + 25 * rows)[..., None] * np.array([1.0, 0.9, 0.8])
    scene = np.where(inside(rows, columns, 0.62, 0.5, 0.2, 0.3), coat, scene)
    scene = np.where((((columns - 0.68) / 0.13) ** 2 + ((rows - 0.38) / 0.15) ** 2 < 1)[..., None], coat, scene)
    return np.rint(np.clip(scene, 0, 1) * 255).astype(np.uint8)


def blob(row: float, column: float, width: float, size: int = SIZE) -> np.ndarray:
    """A smooth bump of height 1 at a place given as shares of the side."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width**2)


def smooth(size: int = SIZE) -> np.ndarray:
    """A map as of Grad-CAM: low resolution, never negative."""
    return 3.1 * blob(0.4, 0.66, 0.18, size) + 1.2 * blob(0.7, 0.4, 0.15, size)


def contrasting(size: int = SIZE) -> np.ndarray:
    """Smooth evidence for and against."""
    return 0.4 * blob(0.4, 0.66, 0.14, size) - 0.25 * blob(0.8, 0.25, 0.2, size)


def noisy(seed: int = 0, size: int = SIZE) -> np.ndarray:
    """A map as of a plain gradient: sharp, signed, with heavy tails."""
    noise = np.random.default_rng(seed).laplace(size=(size, size))
    return 0.02 * noise * (0.15 + blob(0.45, 0.6, 0.25, size))


def squares(size: int = SIZE) -> np.ndarray:
    """A map as of occlusion or LIME: constant on patches."""
    tile = max(1, size // 8)
    coarse = contrasting(size)[tile // 2 :: tile, tile // 2 :: tile]
    return np.kron(coarse, np.ones((tile, tile)))[:size, :size] * 5


def card(name: str, title: str, *, unit: str = "logit", signed: bool = True, baseline: bool = False) -> MethodCard:
    return MethodCard(name, title, SAYS, CANNOT, unit, signed, baseline, "arXiv:1312.6034, eq. 3")


METHODS: Mapping[str, tuple[MethodCard, np.ndarray]] = {
    each.name: (each, values)
    for each, values in (
        (card("gradient", "Vanilla gradient", unit="logit per unit of pixel"), noisy(1)),
        (card("input_gradient", "Gradient × input"), noisy(2)),
        (card("smoothgrad", "SmoothGrad", unit="logit per unit of pixel"), noisy(3) + 0.3 * noisy(4)),
        (card("integrated_gradients", "Integrated gradients"), noisy(5) * 3),
        (card("guided_backprop", "Guided backpropagation", unit="no unit"), noisy(6) * 1e-6),
        (card("deep_lift", "DeepLIFT (rescale)"), noisy(7) * 40),
        (card("grad_cam", "Grad-CAM", signed=False), smooth()),
        (card("grad_cam_plus_plus", "Grad-CAM++", signed=False), smooth() ** 0.5),
        (card("layer_cam", "LayerCAM", signed=False), smooth() * (1 + 0.3 * contrasting())),
        (card("score_cam", "Score-CAM", unit="probability", signed=False), smooth() * 0),
        (card("occlusion", "Occlusion"), squares()),
        (card("lime", "LIME"), squares().T),
        (card("random", "Random", unit="no unit", baseline=True), noisy(8) / (0.15 + blob(0.45, 0.6, 0.25))),
        (card("edges", "Sobel edges", unit="no unit", signed=False, baseline=True), np.abs(noisy(9)) * 20),
    )
}


def image(name: str = "husky.jpg", size: int = SIZE) -> Image:
    return Image(name, picture(size), hashlib.sha256(name.encode()).hexdigest())


def explanation(
    method: MethodCard,
    values: np.ndarray,
    *,
    target: Target = WOLF,
    of: Image | None = None,
    predictions: Sequence[Prediction] = PREDICTIONS,
    notes: tuple[str, ...] = (),
    parts: Mapping[str, np.ndarray] | None = None,
    unsettled: np.ndarray | None = None,
) -> Explanation:
    of = of or image(size=len(values))
    return Explanation(
        image=of.facts,
        pixels=torch.tensor(of.pixels).permute(2, 0, 1)[None] / 255,
        predictions=tuple(predictions),
        target=target,
        card=method,
        heatmap=torch.from_numpy(values.astype(np.float32)),
        options={"samples": 50, "noise": 0.15, "absolute": False, "fill": "mean", "window": (32, 32)},
        facts={"completeness_error": 0.00217, "score": 14.208},
        notes=notes,
        layer="features.18" if "cam" in method.name else None,
        parts={name: torch.from_numpy(part.astype(np.float32)) for name, part in (parts or {}).items()},
        seconds=1.5,
        forward_passes=1200,
        model=MODEL,
        run=RUN,
        unsettled=None if unsettled is None else torch.from_numpy(unsettled),
    )


def result(explanations: Sequence[Explanation], declined: Sequence[Declined] = ()) -> ImageResult:
    first = explanations[0]
    return ImageResult(first.image, first.pixels, first.predictions, tuple(explanations), tuple(declined))


def report(*results: ImageResult, failures: Sequence[ImageFailure] = (), model: ModelFacts = MODEL) -> Report:
    return Report("explain", RUN, model, images=results, failures=tuple(failures))


def full_result(of: Image | None = None) -> ImageResult:
    """One photo with all fourteen methods; integrated gradients has parts, one method declined."""
    of = of or image()
    made = [explanation(method, values, of=of) for method, values in METHODS.values()]
    base = METHODS["integrated_gradients"]
    parts = {"black": base[1] * 1.2, "grey": noisy(10) * 3, "blurred": noisy(11)}
    made[3] = explanation(*base, of=of, parts=parts, notes=("Stopped at 64 steps; the sum misses the score by 0.2 %.",))
    lime = list(METHODS).index("lime")
    made[lime] = explanation(*METHODS["lime"], of=of, unsettled=np.abs(METHODS["lime"][1]) < 0.3)
    reason = "Score-CAM* needs a layer with spatial maps, and this network has none before its pooling."
    return result(made, [Declined(card("score_cam_star", "Score-CAM*"), WOLF, reason)])


def full_report() -> Report:
    return report(full_result())


@cache
def full_html() -> str:
    """The page of `full_report`, rendered once for all tests that only read it."""
    return full_report().html()


@cache
def pair_html() -> str:
    """The page of two pictures with all methods."""
    return report(full_result(), full_result(image("b.jpg"))).html()


def fallback(model: ModelFacts = MODEL) -> ModelFacts:
    """A model whose notes must be loud."""
    note = "The weights of resnet50 could not be had; the bundled husky-wolf network was used in its place."
    return replace(model, name="husky-wolf", notes=(note,))


def hostile_report() -> Report:
    """Every foreign string tries to break out."""
    of = image(f"{HOSTILE}.jpg")
    target = Target(1, HOSTILE, 2, HOSTILE)
    predictions = [replace(each, label=HOSTILE) for each in PREDICTIONS]
    method = replace(card("x", HOSTILE), says=HOSTILE, cannot_say=HOSTILE, unit=HOSTILE, paper=HOSTILE)
    made = explanation(
        method,
        noisy(),
        target=target,
        of=of,
        predictions=predictions,
        notes=(HOSTILE,),
        parts={HOSTILE: noisy(2)},
    )
    made = replace(made, options={HOSTILE: HOSTILE}, facts={HOSTILE: (HOSTILE,)}, layer=HOSTILE)
    everything = result([made], [Declined(method, target, HOSTILE)])
    run = replace(RUN, command=HOSTILE, versions={HOSTILE: HOSTILE}, device=HOSTILE)
    model = replace(MODEL, name=HOSTILE, source=HOSTILE, notes=(HOSTILE,))
    return Report("explain", run, model, (everything,), (ImageFailure(HOSTILE, HOSTILE),))
