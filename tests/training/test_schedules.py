"""The learning rate, against torch's own schedulers."""

import pytest
import torch

from cnnaudit.training.schedules import SCHEDULES, learning_rate


def rates(**choices):
    return [learning_rate(step, 100, 0.2, **choices) for step in range(1, 101)]


def test_it_rises_over_a_tenth_and_falls_towards_zero():
    found = rates()
    assert found[9] == max(found) == 0.2
    assert found[:10] == sorted(found[:10])
    assert found[9:] == sorted(found[9:], reverse=True)
    assert 0 < found[-1] < 1e-3 * 0.2
    assert learning_rate(1, 1, 0.2) == 0.2


@pytest.mark.parametrize("steps", [2, 3, 100])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_it_falls_as_torch_s_does(schedule, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    rise = max(1, steps // 10)
    falls = steps - rise + 1
    theirs = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=falls),
        "linear": lambda: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=falls),
    }
    scheduler = theirs[schedule]()
    expected = []
    for _ in range(falls):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    found = [learning_rate(step, steps, 0.2, schedule=schedule) for step in range(rise, steps + 1)]
    assert found == pytest.approx(expected, abs=1e-12)
    assert min(found) > 0, "every step learns"


def test_steps_fall_to_a_tenth_and_a_hundredth():
    found = rates(schedule="step", warm_up=0)
    assert [found[k] for k in (0, 48, 60, 74, 80, 99)] == pytest.approx([0.2, 0.2, 0.02, 0.02, 0.002, 0.002])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_rate_is_above_zero_and_never_above_its_peak(schedule):
    for warm_up in (0, 0.05, 0.9):
        assert all(0 < rate <= 0.2 for rate in rates(schedule=schedule, warm_up=warm_up))
