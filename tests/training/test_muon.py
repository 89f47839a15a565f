"""Muon's steps, against the singular value decomposition, torch's SGD and torch's own Muon."""

import copy

import pytest
import torch
from torch import nn

from cnnaudit.errors import OptionError
from cnnaudit.models.vgg import vgg8
from cnnaudit.training.muon import inner_weights, orthogonalised
from cnnaudit.training.optimizers import optimizer_for


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_an_orthogonalised_matrix_keeps_its_singular_vectors_and_evens_its_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonalised(matrix) @ right.T
    kept = values > 1e-2 * values.norm()
    assert ((found.diagonal()[kept] > 0.65) & (found.diagonal()[kept] < 1.25)).all()
    torch.testing.assert_close(found - found.diagonal().diag(), torch.zeros_like(found), rtol=0, atol=1e-9)


def test_zero_stays_zero():
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 5), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip


def asked(net: nn.Module, k: int) -> None:
    pictures = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(k))
    net.zero_grad()
    nn.functional.cross_entropy(net(pictures), torch.arange(4) % 3).backward()


def test_inner_weights_are_those_between_the_first_layer_and_the_last():
    net = network()
    assert [id(weight) for weight in inner_weights(net)] == [id(net[3].weight), id(net[6].weight)]
    assert len(inner_weights(vgg8())) == 6


def test_inner_weights_step_along_torch_s_muon_by_a_share_of_their_norm():
    net = network()
    inner = inner_weights(net)
    norms = [weight.detach().norm() for weight in inner]
    theirs = [nn.Parameter(weight.detach().double().flatten(1)) for weight in inner]
    reference = torch.optim.Muon(theirs, lr=1.0, weight_decay=0.0, momentum=0.6)
    ours = optimizer_for(net, "muon", rate=0.1, decay=0.1, momentum=0.9)
    for k in range(3):
        before = [weight.detach().clone() for weight in inner]
        asked(net, k)
        for weight, peer in zip(inner, theirs, strict=True):
            peer.grad = weight.grad.double().flatten(1)
        peers = [peer.detach().clone() for peer in theirs]
        ours.step()
        reference.step()
        for weight, start, norm, peer, old in zip(inner, before, norms, theirs, peers, strict=True):
            direction = (peer.detach() - old).view_as(start)
            stepped = start + 0.1 * norm * direction / direction.norm()
            expected = stepped * norm / stepped.norm()
            assert float(weight.detach().norm()) == pytest.approx(float(norm), rel=1e-5)
            change, peer_s = (weight.detach() - start).flatten().double(), (expected - start).flatten()
            assert float(torch.cosine_similarity(change, peer_s, dim=0)) > 0.95, "torch's own works in bfloat16"
            assert float(change.norm()) == pytest.approx(float(peer_s.norm()), rel=0.05)


def test_all_other_weights_take_sgd_s_steps():
    net = network()
    inner = {id(weight) for weight in inner_weights(net)}
    twin = copy.deepcopy(net)
    pairs = [(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True) if id(a) not in inner]
    ours = optimizer_for(net, "muon", rate=0.05, decay=0.1, momentum=0.8)
    theirs = torch.optim.SGD([b for _, b in pairs], lr=0.05, weight_decay=0.1, momentum=0.8, nesterov=True)
    for k in range(4):
        asked(net, k)
        for a, b in pairs:
            b.grad = a.grad.clone()
        ours.step()
        theirs.step()
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_weights_without_a_gradient_stay():
    net = network()
    for module in (net[0], net[3]):
        module.weight.requires_grad_(False)
    before = [module.weight.clone() for module in (net[0], net[3], net[6])]
    optimizer = optimizer_for(net, "muon", rate=0.1, decay=0.1, momentum=0.9)
    asked(net, 0)
    optimizer.step()
    assert [torch.equal(net[k].weight, old) for k, old in zip((0, 3, 6), before, strict=True)] == [True, True, False]


@pytest.mark.parametrize("net", [nn.Linear(4, 2), nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))])
def test_a_network_without_inner_weights_is_refused(net):
    with pytest.raises(OptionError, match=r"has none\. Take sgd or adamw"):
        optimizer_for(net, "muon", rate=0.1, decay=0.0, momentum=0.9)
