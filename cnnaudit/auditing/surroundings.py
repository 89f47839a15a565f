"""Whether a property of whole pictures is one of their surroundings too, or comes from what stands in them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.measures import of_pixels
from cnnaudit.auditing.scenery import plate
from cnnaudit.auditing.segments import segment

_SAMPLE = 300
_BATCH = 64
_LEAST = 0.05  # of a picture: less ground says nothing of it
_FEWEST = 10  # pictures with the property, and without

Values = Mapping[str, Float32[Tensor, " n"]]


def of_surroundings(asked: Asked) -> tuple[Int64[Tensor, " m"], Values]:
    """The places of some pictures, and their properties once what stands in them is painted over.

    What stands in a picture is what a mask marks; without masks, the parts that do not reach its border.
    """
    order = torch.randperm(len(asked.pictures), generator=torch.Generator().manual_seed(asked.seed))
    kept: list[int] = []
    rows: list[Values] = []
    for some in order[:_SAMPLE].sort().values.split(_BATCH):
        places = some.tolist()
        pixels = asked.pictures.read(places)
        masks = None if asked.pictures.masks is None else asked.pictures.masks(places)
        plates: list[Tensor] = []
        for k, place in enumerate(places):
            picture = pixels[k].numpy()
            ground = _reaching(picture) if masks is None else ~masks[k].numpy()
            if ground.mean() >= _LEAST:
                plates.append(torch.from_numpy(np.ascontiguousarray(plate(picture, ground))))
                kept.append(place)
        if plates:
            rows.append(of_pixels(torch.stack(plates)))
    values = {name: torch.cat([row[name] for row in rows]) for name in rows[0]} if rows else {}
    return torch.tensor(kept, dtype=torch.long), values


def on_object(present: Bool[Tensor, " m"], values: Float32[Tensor, " m"], sign: int) -> float | None:
    r"""$2\,(1 - A)$, at most 1, with $A$ the area under the ROC curve of the surroundings' property against the cue.

    0 where the surroundings alone say which pictures have it, 1 where they say nothing; None where there are too few.
    """
    from sklearn.metrics import roc_auc_score

    known = torch.isfinite(values)
    inside = present[known]
    if min(int(inside.sum()), int((~inside).sum())) < _FEWEST:
        return None
    area = float(roc_auc_score(inside.numpy(), sign * values[known].numpy()))
    return min(1.0, 2 * (1 - area))


def _reaching(picture: Float32[np.ndarray, "c h w"]) -> Bool[np.ndarray, "h w"]:
    labels = segment(picture.transpose(1, 2, 0))
    rim: Sequence[np.ndarray] = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return np.isin(labels, np.unique(np.concatenate(rim)))
