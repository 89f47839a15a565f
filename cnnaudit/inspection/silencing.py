"""The scores of a network without some of a layer's units, which are set to their means."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.devices import EXACT, agreement
from cnnaudit.errors import CnnAuditError, LayerError
from cnnaudit.inspection import points
from cnnaudit.inspection.watching import laid_out
from cnnaudit.shapes import Pixels
from cnnaudit.twins import can_have_twin

_TRIED = 2


@dataclass(frozen=True, slots=True, eq=False)
class Surveyed:
    """What one pass tells of a layer's units.

    Attributes:
        mean: of each over all positions and pictures.
        activity: the same in the pictures of each class; 0 where there is none.
        estimates: how much each class's mean log-odds would change if a unit were set to its mean, to first
            order; classes without a picture have 0.
    """

    mean: Float[Tensor, " c"]
    activity: Float[Tensor, "k c"]
    estimates: Float[Tensor, "k c"]

    def chosen(self, count: int) -> dict[int, float]:
        """So many units and their estimates: class by class the next one without which its log-odds would fall most.

        Only units that are more active in pictures of the class than on average count for it, so that a unit is not
        chosen for what its absence says. Of the classes that comes first which would lose most. Where there is no
        such unit, it is the one with the largest estimate.
        """
        values, order = self._falls()
        turns = values.argsort(dim=0, stable=True)
        found: dict[int, float] = {}
        for rank in range(values.shape[1]):
            for k in turns[:, rank].tolist():
                if float(values[k, rank]) < 0:
                    found.setdefault(int(order[k, rank]), float(values[k, rank]))
                if len(found) == count:
                    return found
        return found or self._largest()

    def helping(self, classes: int, most: int) -> dict[int, list[int]]:
        """For so many classes, those first that would lose most, the units without which they would, at most so many.

        As in `chosen`, only units count that are more active in pictures of the class than on average.
        """
        values, order = self._falls()
        turns = values[:, :most].sum(1).argsort(stable=True)[:classes].tolist()
        return {k: order[k, :most][values[k, :most] < 0].tolist() for k in turns}

    def _falls(self) -> tuple[Float[Tensor, "k c"], Int64[Tensor, "k c"]]:
        """Of each class the estimates below 0 of the units that count, the largest fall first, and which units."""
        falls = torch.where(self.activity > self.mean, self.estimates, 0.0).clamp(max=0)
        return falls.sort(dim=1, stable=True)

    def _largest(self) -> dict[int, float]:
        k, unit = divmod(int(self.estimates.abs().argmax()), self.estimates.shape[1])
        return {unit: float(self.estimates[k, unit])}


class Survey:
    """Sums up a layer's units over a stream of pictures."""

    def __init__(self, classifier: Classifier, layer: str, channels: int, *, estimate: bool) -> None:
        self._classifier, self._layer, self._estimating = classifier, layer, estimate
        device = "cpu" if classifier.device.type == "mps" else classifier.device
        self._sums = torch.zeros(classifier.classes, channels, dtype=torch.float64, device=device)
        self._places = torch.zeros(classifier.classes, dtype=torch.float64, device=device)
        self._slopes = torch.zeros(2, classifier.classes, channels, dtype=torch.float64, device=device)
        self._pictures = torch.zeros(classifier.classes, dtype=torch.float64, device=device)

    def add(self, pixels: Pixels, truth: Int64[Tensor, " n"] | None) -> None:
        """Take in pictures with their classes; None: those that the network answers.

        Raises:
            LayerError: no gradient leads from the layer to the scores, or it does not return one tensor.
        """
        leaves: list[Tensor] = []

        def seen(name: str, output: object) -> Tensor:
            maps = single(name, output)  # of a later call in series it hangs on the earlier ones
            leaves.append(maps.clone() if maps.requires_grad else maps.detach().requires_grad_(self._estimating))
            return leaves[-1].clone()

        network = self._classifier.network
        watched = points.watched(network, [self._layer], seen)
        with hooks.borrowed(network), watched, torch.set_grad_enabled(self._estimating):
            logits = self._classifier.logits(pixels)
            truth = logits.argmax(1) if truth is None else truth.to(logits.device)
            slopes = self._gradients(logits, truth, leaves) if self._estimating else ()
        truth = truth.to(self._sums.device)
        for leaf in leaves:
            flat = leaf.detach().reshape(*leaf.shape[:2], -1).to(self._sums)
            self._sums.index_add_(0, truth, flat.sum(2))
            self._places += flat.shape[2] * torch.bincount(truth, minlength=len(self._places))
        for leaf, slope in zip(leaves, slopes, strict=False):
            wide = leaf.detach().double() * slope, slope.double()
            each = torch.stack([part.reshape(*part.shape[:2], -1).sum(2) for part in wide]).to(self._slopes)
            self._slopes.index_add_(1, truth, each)
        self._pictures += torch.bincount(truth, minlength=len(self._pictures))

    def _gradients(self, logits: Tensor, truth: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        """Of the log-odds of each picture's class, which do not vanish where it is sure as its probability's do."""
        odds = log_odds(logits, truth).sum()
        found = torch.autograd.grad(odds, leaves, allow_unused=True) if odds.requires_grad else [None] * len(leaves)
        slopes = [slope for slope in found if slope is not None]
        if len(slopes) < len(leaves):
            raise LayerError(
                f"No gradient leads from the scores of {self._classifier.name} to {self._layer!r}, so that it cannot "
                "be told which of its units matter. Name them with units."
            )
        return slopes

    def done(self) -> Surveyed:
        """What was found, on the CPU."""
        mean = self._sums.sum(0) / self._places.sum()
        products, slopes = self._slopes
        estimates = (mean * slopes - products) / self._pictures.clamp(min=1)[:, None]
        return Surveyed(mean.cpu(), (self._sums / self._places.clamp(min=1)[:, None]).cpu(), estimates.cpu())


def log_odds(logits: Float[Tensor, "*u n k"], truth: Int64[Tensor, " n"]) -> Float[Tensor, "*u n"]:
    """The logarithm of p / (1 - p) of each picture's class."""
    own = torch.nn.functional.one_hot(truth, logits.shape[-1]).bool().expand_as(logits)
    return (logits * own).sum(-1) - logits.masked_fill(own, -torch.inf).logsumexp(-1)


def single(name: str, output: object) -> Tensor:
    """What a layer returned, if that is one tensor with channels.

    Raises:
        LayerError: it is something else, in whose place nothing can be put.
    """
    if isinstance(output, Tensor) and 2 <= output.ndim <= 4:
        return output
    found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise LayerError(f"{name!r} returns {found}; units are channels of one tensor, n c h w, n c length or n c.")


class Silenced:
    """The network with one set of a layer's units after the other at their means.

    Where the network allows it, what comes before the layer is computed only once.
    """

    def __init__(
        self, classifier: Classifier, layer: str, sets: Sequence[Sequence[int]], mean: Float[Tensor, " c"]
    ) -> None:
        self._classifier, self._layer = classifier, layer
        self._sets = [torch.tensor(list(units), device=classifier.device) for units in sets]
        self._mean = mean.to(classifier.device, classifier.dtype)
        self._network = laid_out(classifier, (layer,))
        self._together: bool | None = None

    def logits(self, pixels: Pixels) -> Float[Tensor, "u n k"]:
        """Scores with all units, then without each set of them in turn; the caller holds the network."""
        given = self._classifier.normalised(pixels).to(self._classifier.dtype)
        if self._network is not self._classifier.network:
            given = given.to(memory_format=torch.channels_last)
        if self._together is None:
            self._together = self._agrees(given[:_TRIED])
        return self._at_once(given) if self._together else self._in_turn(given)

    def _agrees(self, given: Pixels) -> bool:
        if not can_have_twin(self._classifier.network):  # hooks of the user's own may count on whole batches
            return False
        expected = self._in_turn(given)
        try:
            found = self._at_once(given)
        except (RuntimeError, ValueError, IndexError, CnnAuditError):  # batches of two sizes do not always meet
            return False
        return agreement(found.flatten(0, 1), expected.flatten(0, 1)).within(EXACT)

    def _in_turn(self, given: Pixels) -> Tensor:
        made = [self._read(given, len(given))]
        for units in self._sets:

            def seen(name: str, output: object, units: Tensor = units) -> Tensor:
                return self._without(single(name, output).clone(), units)

            with points.watched(self._network, [self._layer], seen):
                made.append(self._read(given, len(given)))
        return torch.stack(made)

    def _at_once(self, given: Pixels) -> Tensor:
        copies, n = len(self._sets) + 1, len(given)

        def seen(name: str, output: object) -> Tensor:
            maps = single(name, output)
            wide = maps.unsqueeze(0).expand(copies, *maps.shape).clone() if len(maps) == n else maps.clone()
            wide = wide.view(copies, n, *maps.shape[1:])
            for place, units in enumerate(self._sets, 1):
                self._without(wide[place], units)
            return wide.flatten(0, 1)

        with points.watched(self._network, [self._layer], seen):
            scores = self._read(given, copies * n)
        return scores.view(copies, n, -1)

    def _without(self, maps: Tensor, units: Int64[Tensor, " g"]) -> Tensor:
        """The maps, in which these units are now at their means."""
        maps[:, units] = self._mean[units].view(-1, *[1] * (maps.ndim - 2))
        return maps

    def _read(self, given: Pixels, rows: int) -> Tensor:
        return self._classifier.read(self._network(given.clone()), rows)
