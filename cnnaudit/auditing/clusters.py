"""Groups among the pictures of one class, by the network's last features."""

import numpy as np
import torch
from jaxtyping import Float32, Int64
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from torch import Tensor

MOST = 4
"""Clusters of one class."""
_LEAST_PICTURES = 40
_LEAST_SHARE = 0.05  # of the class in each cluster; a smaller one is a handful of errors, not a group
_APART = 0.2  # the mean silhouette from which clusters are more than a cloud cut into parts
_FITTED, _COMPARED = 2000, 1000  # pictures


def clustered(features: Float32[Tensor, "n d"], *, seed: int) -> Int64[Tensor, " n"]:
    """The cluster of each picture, 0 for the largest; all 0 where there is none.

    k-means for every number of clusters up to `MOST`; the one with the largest mean silhouette (Rousseeuw, Journal
    of Computational and Applied Mathematics 20, 1987) counts, if it is large and no cluster is tiny.
    """
    whole = torch.zeros(len(features), dtype=torch.int64)
    if len(features) < _LEAST_PICTURES:
        return whole
    chance = torch.Generator().manual_seed(seed)
    sample = features[torch.randperm(len(features), generator=chance)[:_FITTED]].double().numpy()
    best, parts = _APART, whole
    for count in range(2, min(MOST, len(np.unique(sample, axis=0))) + 1):
        means = KMeans(count, n_init="auto", random_state=seed)
        labels = means.fit_predict(sample)
        found = torch.from_numpy(means.predict(features.double().numpy())).long()
        sizes = torch.bincount(found, minlength=count)
        if int(sizes.min()) < _LEAST_SHARE * len(features):
            continue
        apart = float(silhouette_score(sample[:_COMPARED], labels[:_COMPARED]))
        if apart > best:
            best, parts = apart, sizes.argsort(descending=True, stable=True).argsort()[found]
    return parts
