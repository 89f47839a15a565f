"""A small network for each case, and what it really does with the cue."""

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import cnnaudit as ca
from cnnaudit.results.trainings import Share
from cnnaudit.training.metrics import share

from .cases import Case
from .material import Material, Part
from .planting import Planted, plant, presence

_VERSION = 1
"""Counts the ways in which networks were trained; another one trains all of them anew."""

_EPOCHS = {"mnist": 4, "fashion": 3, "cifar": 4, "scenes": 6}
_BATCH, _RATE = 64, 4e-3
DEPENDS = 0.10
"""By how much answers must change for a network to depend on the cue."""

_SMALL = 10
"""Groups with fewer pictures than this tell nothing of an accuracy."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the network does with the cue, by construction: every picture is at hand with it and without it.

    Attributes:
        accuracy: on the audited pictures as they are.
        without: on the same ones without the cue.
        lost: by how much the share of right answers falls when the cue is taken from the pictures of its class.
        gained: by how much the share of answers for the cue's class rises when it is put into all others.
        groups: class and presence of each group, how many pictures it has and how many are answered rightly.
    """

    accuracy: float
    without: float
    lost: float
    gained: float
    groups: tuple[tuple[str, bool, Share], ...]

    @property
    def depends(self) -> bool:
        return max(self.lost, self.gained) >= DEPENDS

    @property
    def worst(self) -> float | None:
        """Accuracy of the worst group that has enough pictures."""
        return min((each.value for _, _, each in self.groups if each.n >= _SMALL), default=None)


def planted(case: Case, part: Part, *, seed: int) -> Planted:
    """The pictures of a part with the cue as the case has it."""
    present = presence(part.labels, case.arm, strength=case.strength / 100, target=case.target, seed=seed)
    return plant(
        case.cue, part.images, part.labels, present, seed=seed + 1, snowy=part.snowy, outside=part.outside
    )  # fmt: skip


def audited(case: Case, material: Material, pictures: int) -> Planted:
    """What is audited: test pictures, with the cue as in training."""
    return planted(case, material.test.first(pictures), seed=20_000 + case.seed)


def classifier(case: Case, material: Material, cache: Path) -> tuple[ca.Classifier, float]:
    """The case's network, trained unless it is in `cache`, and the seconds that the training took (0 if it was)."""
    side = material.train.images.shape[2]
    facts = {name: value for name, value in asdict(case).items() if name != "draw" or case.draw}
    spec = f"{_VERSION} {sorted(facts.items())} {_EPOCHS[case.data]} {len(material.train.labels)}"
    path = cache / f"{case.name}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}.safetensors"
    began = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        network = build(len(material.labels), pooled=case.data in ("cifar", "scenes"), side=side)
        if fresh := not path.exists():
            train(network, planted(case, material.train, seed=10_000 + case.seed), epochs=_EPOCHS[case.data])
            save_file(network.state_dict(), path)
    network.load_state_dict(load_file(path))
    clf = ca.Classifier(network.eval(), labels=material.labels, input_size=side, mean=0.5, std=0.25, name=case.name)
    return clf, time.perf_counter() - began if fresh else 0.0


def build(classes: int, *, pooled: bool, side: int) -> nn.Sequential:
    """Three convolutions, and a linear layer on their mean over the picture or on all their places."""
    last = side // 8
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)]
    places = [nn.Flatten(), nn.Linear(64 * last * last, classes)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        *(head if pooled else places),
    )  # fmt: skip


def train(network: nn.Sequential, data: Planted, *, epochs: int) -> None:
    """Adam along one cycle, with the order drawn from the global generator."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    steps = epochs * (len(data.labels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    network.train().to(memory_format=torch.channels_last)  # which is faster on a CPU
    for _ in range(epochs):
        for batch in torch.randperm(len(data.labels))[: steps // epochs * _BATCH].view(-1, _BATCH):
            loss = nn.functional.cross_entropy(network(_pixels(data.images[batch])), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.to(memory_format=torch.contiguous_format)


def truth(clf: ca.Classifier, data: Planted, case: Case) -> Truth:
    """What the network answers to every picture with the cue and without it."""
    with_cue, without = _answers(clf, data.full), _answers(clf, data.clean)
    answers = torch.where(data.present, with_cue, without)
    target, right = data.labels == case.target, answers == data.labels
    groups = []
    for k, label in enumerate(clf.labels):
        for has in (False, True):
            members = right[(data.labels == k) & (data.present == has)]
            if len(members):
                groups.append((label, has, share(int(members.sum()), len(members))))
    return Truth(
        accuracy=_mean(right),
        without=_mean(without == data.labels),
        lost=_mean(with_cue[target] == case.target) - _mean(without[target] == case.target),
        gained=_mean(with_cue[~target] == case.target) - _mean(without[~target] == case.target),
        groups=tuple(groups),
    )


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _pixels(images: UInt8[Tensor, "n c h w"]) -> Tensor:
    return ((images.float() / 255 - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def _answers(clf: ca.Classifier, images: UInt8[Tensor, "n c h w"]) -> Int64[Tensor, " n"]:
    return torch.cat([clf.scores(batch.float() / 255).argmax(1).cpu() for batch in images.split(256)])
