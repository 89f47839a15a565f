"""Ablation-CAM: a layer's maps, each weighted by what the score loses when it is silenced."""

from itertools import count

import torch
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.attribution.layers import find_module
from cnnaudit.attribution.query import Query, resized
from cnnaudit.devices import EXACT, agreement
from cnnaudit.errors import CnnAuditError, NotFiniteError, OptionError, OutOfTimeError
from cnnaudit.perturbation import BatchSize, Loop
from cnnaudit.results import Attribution
from cnnaudit.shapes import Logits
from cnnaudit.twins import can_have_twin

_ROOM = 64 * 2**20  # bytes of the layer's maps at once
_TRIED = 3


def ablation_cam(query: Query, *, relu: bool = True, batch: int | None = None) -> Attribution:
    r"""$\mathrm{ReLU}(\sum_k w_k A_k)$ with $w_k = s - s_k$, $s_k$ the score when the map $A_k$ is all 0.

    Where the network allows it, only what comes behind the layer is computed for each map.

    Args:
        query: the question; `query.layer` chooses the layer.
        relu: keep only what speaks for the target, as the paper does.
        batch: maps silenced at once; by default as many as take 64 MB.

    Returns:
        A map `h w` in units of score times activation; >= 0 with `relu`.

    Raises:
        OptionError: `batch` is below 1.
        OutOfTimeError: time was up before the last map.
        NotFiniteError: a score is not finite.

    Desai and Ramaswamy, WACV 2020, equations 2 and 3. There $w_k$ is divided by $s$, a factor that all
    maps share, and that would turn the map around where the score is negative.
    """
    if batch is not None and batch < 1:
        raise OptionError(f"ablation_cam takes a batch of at least 1; got {batch}.")
    fresh = query.forward_passes
    name, maps = query.activations()
    silenced = _Silenced(query, name)
    size = batch or max(1, min(512, _ROOM // (4 * maps.numel())))
    loop = Loop(BatchSize(size, size, settled=True), query.pixels.device, expected=len(maps) + 1, budget=query.budget)
    with torch.no_grad():
        silenced.try_behind_the_layer_only()
        scores = query.of_logits(loop.run(len(maps) + 1, silenced.logits))
    if len(scores) <= len(maps):
        raise OutOfTimeError(
            f"Time was up after {len(scores) - 1} of {len(maps)} maps, and ablation_cam needs all. Allow more of it."
        )
    if not bool(scores.isfinite().all()):
        raise NotFiniteError(
            "ablation_cam met a score that is not finite; the network overflows without one of its maps."
        )
    small = torch.einsum("k,kuv->uv", (scores[0] - scores[1:]).to(maps), maps)
    return Attribution(
        resized(small.clamp(min=0) if relu else small, query.pixels),
        facts={"channels": len(maps), "largest_loss": float((scores[0] - scores[1:]).max())},
        notes=loop.notes,
        layer=name,
        forward_passes=query.forward_passes - fresh + loop.done + silenced.asked,
    )


class _Silenced:
    """The network with one of a layer's maps silenced in each picture of a batch; in the first none is."""

    def __init__(self, query: Query, name: str) -> None:
        self.classifier, self.layer = query.classifier, {name: find_module(query.classifier, name)}
        self.given = query.classifier.normalised(query.pixels).to(query.classifier.dtype)
        self.alone = False  # whether one picture is sent up to the layer, and as many as asked for go on from there
        self.calls, self.asked = self._calls(), 1

    def logits(self, start: int, stop: int) -> Logits:
        """The scores `n k` without the maps `start - 1` to `stop - 1`; there is no map -1."""
        n, called = stop - start, count(1)

        def seen(_: str, output: Tensor) -> Tensor:
            if next(called) < self.calls:
                return output
            maps = output.expand(n, *output.shape[1:]).clone()
            rows = torch.arange(int(start == 0), n, device=maps.device)
            maps[rows, rows + start - 1] = 0
            return maps

        given = self.given if self.alone else self.given.expand(n, -1, -1, -1)
        with hooks.watched(self.layer, seen):
            return self.classifier.read(self.classifier.network(given.clone()), n)

    def try_behind_the_layer_only(self) -> None:
        """Send one picture alone up to the layer from now on, if that gives the same scores."""
        if not can_have_twin(self.classifier.network):  # hooks of the user's own may count on whole batches
            return
        expected = self.logits(0, _TRIED)
        self.alone = True
        with hooks.preserved_randomness():
            self.alone = self._agrees(expected)
        self.asked += 2 * _TRIED

    def _calls(self) -> int:
        """How often the layer is called for one picture; its last output is the one that is explained."""
        called: list[str] = []
        with hooks.watched(self.layer, lambda name, _: called.append(name)), torch.no_grad():
            self.classifier.network(self.given.clone())
        return len(called)

    def _agrees(self, expected: Logits) -> bool:
        try:
            return agreement(self.logits(0, _TRIED), expected).within(EXACT)
        except (RuntimeError, ValueError, IndexError, CnnAuditError):  # batches of two sizes do not always meet
            return False
