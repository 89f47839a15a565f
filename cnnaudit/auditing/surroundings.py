"""Whether a property of whole pictures is one of their surroundings too, or comes from what stands in them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.association import SURE_Z
from cnnaudit.auditing.cues import Around
from cnnaudit.auditing.measures import of_pixels, sharpness
from cnnaudit.auditing.scenery import plate
from cnnaudit.auditing.segments import segment

_SAMPLE = 500
_BATCH = 64
_LEAST = 0.05  # of a picture: less ground says nothing of it
_SAME = 1e-9  # a spread
_FEWEST = 10  # pictures with the property, and without

Values = Mapping[str, Float32[Tensor, " n"]]


def of_surroundings(asked: Asked) -> tuple[Int64[Tensor, " m"], Values]:
    """The places of some pictures, and their properties once what stands in them is painted over.

    What stands in a picture is what a mask marks; without masks, the parts that do not reach its border. How sharp
    the rest is counts where nothing was painted, for paint is smooth.
    """
    order = torch.randperm(len(asked.pictures), generator=torch.Generator().manual_seed(asked.seed))
    kept: list[int] = []
    rows: list[Values] = []
    for some in order[:_SAMPLE].sort().values.split(_BATCH):
        places = some.tolist()
        pixels = asked.pictures.read(places)
        masks = None if asked.pictures.masks is None else asked.pictures.masks(places)
        plates: list[Tensor] = []
        grounds: list[Tensor] = []
        for k, place in enumerate(places):
            picture = pixels[k].numpy()
            ground = _reaching(picture) if masks is None else ~masks[k].numpy()
            if ground.mean() >= _LEAST:
                plates.append(torch.from_numpy(np.ascontiguousarray(plate(picture, ground))))
                grounds.append(torch.from_numpy(ground))
                kept.append(place)
        if plates:
            painted = torch.stack(plates)
            rows.append(of_pixels(painted) | {"sharpness": sharpness(painted, torch.stack(grounds))})
    values = {name: torch.cat([row[name] for row in rows]) for name in rows[0]} if rows else {}
    return torch.tensor(kept, dtype=torch.long), values


def around(
    present: Bool[Tensor, " m"], values: Float32[Tensor, " m"], sign: int, sides: Iterable[Bool[Tensor, " m"]]
) -> Around | None:
    """What the surroundings have of a property; None where too few pictures tell, or the property's link is too faint.

    Which pictures have it is not all: what stands in them may be what goes with the class, while the surroundings
    only say in which pictures that shows. (A tint makes all pale, and the animal goes with the class by its contrast.)

    Args:
        present: the pictures with the property.
        values: the surroundings' property.
        sign: -1 where low values are meant.
        sides: pictures of the class, by what they show, by the answers: that which the property goes with more counts.
    """
    from sklearn.metrics import roc_auc_score

    known = torch.isfinite(values)
    inside, towards = present[known], sign * values[known]
    count = int(inside.sum())
    if min(count, len(inside) - count) < _FEWEST:
        return None
    most = _most(towards, count)
    links = [(_goes_with(inside.double(), side[known]), _goes_with(most, side[known])) for side in sides]
    whole, link = max(links)
    told = float(roc_auc_score(inside.numpy(), towards.numpy()))
    return Around(told, link, whole) if whole >= SURE_Z else None


def _most(values: Float32[Tensor, " m"], count: int) -> Float64[Tensor, " m"]:
    """1 for the highest values, so many; what is equal at the end of them shares what is left."""
    last = values.sort(descending=True).values[count - 1]
    above, equal = (values > last).double(), (values == last).double()
    return above + equal * (count - above.sum()) / equal.sum()


def _goes_with(has: Float64[Tensor, " m"], own: Bool[Tensor, " m"]) -> float:
    """The correlation times the root of the number of pictures: a z score."""
    table = torch.stack([has, own.double()])
    if bool((table.std(1, correction=0) < _SAME).any()):
        return 0.0
    return float(torch.corrcoef(table)[0, 1]) * len(has) ** 0.5


def _reaching(picture: Float32[np.ndarray, "c h w"]) -> Bool[np.ndarray, "h w"]:
    labels = segment(picture.transpose(1, 2, 0))
    rim: Sequence[np.ndarray] = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return np.isin(labels, np.unique(np.concatenate(rim)))
