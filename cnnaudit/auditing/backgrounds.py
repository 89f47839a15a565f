"""The background as a whole, where masks say what is in front of it."""

from functools import partial

import numpy as np
from jaxtyping import Bool

from cnnaudit.auditing.asked import Asked
from cnnaudit.auditing.candidates import FEWEST, SAMPLE
from cnnaudit.auditing.cues import Cue, slug
from cnnaudit.auditing.cutting import cut
from cnnaudit.auditing.pasting import Pasting
from cnnaudit.auditing.patches import patches_of
from cnnaudit.auditing.scenery import View

_FOLDS = 5


def background_cues(asked: Asked) -> list[Cue]:
    """For each class what is outside the masks; none without masks.

    It is put behind the objects of other classes, and theirs behind the object of the class (as in Xiao et al. 2021,
    arXiv:2006.09994, "Mixed-Rand"); what stood before it is painted over.
    """
    if asked.pictures.masks is None:
        return []
    truth = asked.pictures.truth
    scenery, parts = cut(asked, SAMPLE)
    drawn = list(parts)
    looks = np.stack([_look(view) for view in scenery.each(drawn)])
    found: list[Cue] = []
    for label in truth.unique().tolist():
        donors = tuple(place for place in drawn if int(truth[place]) == label)
        without = tuple(place for place in drawn if int(truth[place]) != label)
        if min(len(donors), len(without)) < FEWEST:
            continue
        name = asked.classifier.labels[label]
        association = _told_by(looks, (truth[list(drawn)] == label).numpy())
        found.append(
            Cue(
                id=f"background-{slug(name)}",
                kind="background",
                name=f"the background of {name}",
                label=label,
                present=truth == label,
                association=association,
                edit=Pasting(scenery, _ground, True, donors, without),
                object_share=0.0,
                evidence=(f"Colours of the background alone tell {name} from the rest with AUROC {association:.2f}.",),
                patches=partial(patches_of, asked, scenery, _ground, donors),
            )
        )
    return found


def _ground(view: View) -> Bool[np.ndarray, "h w"]:
    return view.ground


def _look(view: View) -> np.ndarray:
    """Mean and deviation of the background's colours."""
    pixels = view.pixels
    shown = pixels[:, view.ground] if view.ground.any() else pixels.reshape(len(pixels), -1)
    return np.concatenate([shown.mean(1), shown.std(1)])


def _told_by(rows: np.ndarray, own: np.ndarray) -> float:
    """The area under the ROC curve of a linear discriminant on pictures that it was not fitted to, at least 1/2."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(min(_FOLDS, int(min(own.sum(), (~own).sum()))))
    scores = cross_val_predict(LinearDiscriminantAnalysis(), rows, own, cv=folds, method="decision_function")
    return max(0.5, float(roc_auc_score(own, scores)))
