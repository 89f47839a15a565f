"""A step is torch's own step, also when memory allows only parts of the batch."""

import copy

import pytest
import torch
from torch import nn

from cnnaudit.errors import TrainingError
from cnnaudit.training.optimizers import OPTIMIZERS, optimizer_for
from cnnaudit.training.stepping import Stepper, is_out_of_memory


class Cramped(nn.Module):
    """A network that takes `room` pictures and no more."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 3))
        self.room, self.error, self.asked = room, error, []

    def forward(self, pixels):
        self.asked.append(len(pixels))
        if len(pixels) > self.room:
            raise self.error("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return self.body(pixels)


def stepper(network, said=None, **options):
    optimizer = optimizer_for(network, "sgd", rate=0.1, decay=0.01, momentum=0.9)
    chosen = {"device": torch.device("cpu"), "dtype": torch.float32, "label_smoothing": 0.1} | options
    return Stepper(network, optimizer, said=[].append if said is None else said, **chosen)


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    return torch.rand(11, 3, 2, 2, generator=rng), torch.randint(0, 3, (11,), generator=rng)


def reference(network, batch, steps):
    """The same by torch alone."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.01, momentum=0.9, nesterov=True)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(network(batch[0]), batch[1], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_parts_make_the_step_of_the_whole_batch(batch, error):
    roomy = Cramped(100)
    cramped = copy.deepcopy(roomy)
    cramped.room, cramped.error = 3, error
    said = []
    step = stepper(cramped, said.append)
    for _ in range(4):
        loss, right = step.step(*batch)
    expected = reference(roomy, batch, 4)
    for ours, theirs in zip(cramped.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert cramped.asked[:3] == [11, 6, 3], "halved until it fits"
    assert step.largest == 3
    assert len(said) == 1, "said once"
    assert "memory is short" in said[0]
    assert 0 <= int(right) <= 11
    assert loss.ndim == 0


def test_loss_and_right_answers_are_the_batch_s(batch):
    network = Cramped(100)
    before = copy.deepcopy(network)
    loss, right = stepper(network).step(*batch)
    logits = before(batch[0]).detach()
    assert float(loss) == pytest.approx(float(nn.functional.cross_entropy(logits, batch[1], label_smoothing=0.1)))
    assert int(right) == int((logits.argmax(1) == batch[1]).sum())


def test_not_even_one_picture_is_an_error_that_says_what_to_do(batch):
    network = Cramped(0)
    with pytest.raises(TrainingError, match=r"Not even one picture fits.*--input-size"):
        stepper(network).step(*batch)
    assert network.asked == [11, 6, 3, 2, 1]


def test_batch_norm_is_given_two_pictures_or_more(batch):
    network = Cramped(0)
    network.body.append(nn.BatchNorm1d(3))
    with pytest.raises(TrainingError, match=r"Not even two pictures, .*batch norm"):
        stepper(network).step(*batch)
    assert network.asked == [11, 6, 3, 2]


def test_another_error_is_not_taken_for_a_lack_of_memory(batch):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        stepper(Cramped(100)).step(batch[0][:, :2], batch[1])
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


TORCHS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "muon"])
def test_each_optimizer_makes_torch_s_step(name):
    theirs = TORCHS[name]
    extra = {"momentum": 0.8, "nesterov": True} if name == "sgd" else {}
    first = nn.Linear(5, 2)
    second = copy.deepcopy(first)
    ours = optimizer_for(first, name, rate=0.05, decay=0.1, momentum=0.8 if name == "sgd" else None)
    reference = theirs(second.parameters(), lr=0.05, weight_decay=0.1, **extra)
    for network, optimizer in ((first, ours), (second, reference)):
        for k in range(5):
            optimizer.zero_grad()
            network(torch.full((1, 5), float(k))).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(first.weight, second.weight, rtol=1e-5, atol=1e-6)
