"""Explanations as the `lime` package's own, for code that was written for it."""

from typing import TYPE_CHECKING, Any

from cnnaudit.errors import MethodError
from cnnaudit.results import Explanation

if TYPE_CHECKING:
    from lime.lime_image import ImageExplanation


def to_lime_package(explanation: Explanation) -> "ImageExplanation":
    """A LIME explanation as the `lime` package's `ImageExplanation`, so that `get_image_and_mask` works.

    Its one label is the target's index, its picture `h w 3`, float64 in [0, 1], as the network saw it. It
    has the coefficients and R² (`score`); an intercept and a local prediction it has not.

    Raises:
        MethodError: the explanation is not by LIME.
    """
    if explanation.method != "lime" or explanation.regions is None:
        raise MethodError(f"Only an explanation by lime can be converted; this one is by {explanation.method}.")
    from lime.lime_image import ImageExplanation

    picture = explanation.pixels[0].double().permute(1, 2, 0).numpy()
    picture = picture.repeat(3, axis=2) if picture.shape[2] == 1 else picture
    made = ImageExplanation(picture, explanation.regions.long().numpy())
    facts: dict[str, Any] = dict(explanation.facts)
    ordered = sorted(enumerate(facts["coefficients"]), key=lambda item: abs(item[1]), reverse=True)
    index = explanation.target.index
    made.top_labels, made.local_exp, made.score = [index], {index: ordered}, facts["r2"]  # type: ignore[attr-defined]
    return made
