"""Fixed places: marks that were planted, in networks whose answer is a known function of them; and none by chance."""

import numpy as np
import pytest
import torch
from made_up import clouds
from tagged_pictures import Convolutional, asked, digits
from torch import Tensor, nn

from cnnaudit.auditing import interventions
from cnnaudit.auditing.judging import judged
from cnnaudit.auditing.place_statistics import Sums, places
from cnnaudit.auditing.places import place_cues

N, ROW, COLUMN, SIDE = 400, 20, 3, 8


def mark() -> Tensor:
    """A pattern of rings with mean 0, `8 8`."""
    at = torch.arange(SIDE) - (SIDE - 1) / 2
    rings = torch.cos(1.9 * (at[:, None] ** 2 + at**2).sqrt())
    return rings - rings.mean()


class Marked(nn.Module):
    """The logit of the second class is 6 where the mark is at its place with a strength of 0.1, and -6 without it."""

    def __init__(self) -> None:
        super().__init__()
        self.match, self.relu, self.pool = nn.Conv2d(3, 1, SIDE), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.match.weight.copy_((mark() / mark().square().sum() / 3).expand(1, 3, -1, -1))
            self.match.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]
            self.head.weight.copy_(torch.tensor([[0.0], [120.0]]))
            self.head.bias.copy_(torch.tensor([0.0, -6.0]))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.relu(self.match(x))
        return self.head(self.pool(seen[:, :, ROW : ROW + 1, COLUMN : COLUMN + 1]).flatten(1))


def marked(share: float, *, strength: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures of two classes, of which that share of the second has a faint mark, and no other."""
    truth = torch.arange(N) % 2
    draw = torch.Generator().manual_seed(seed)
    has = (truth == 1) & (torch.rand(N, generator=draw) < share)
    pixels = clouds(N, seed=seed)
    pixels[has, :, ROW : ROW + SIDE, COLUMN : COLUMN + SIDE] += strength * mark()
    return pixels.clamp(0, 1), truth, has


@pytest.mark.parametrize("share", [0.95, 0.2])
def test_a_faint_mark_is_found_where_it_is_and_confirmed(share: float) -> None:
    pixels, truth, has = marked(share)
    given = asked(Marked(), pixels, truth)
    cue = place_cues(given)[0]
    assert cue.label == 1 and cue.kind == "place"
    assert np.corrcoef(cue.present.numpy(), has.numpy())[0, 1] > 0.9
    (place,) = places(given)
    inside = np.zeros((32, 32), bool)
    inside[ROW : ROW + SIDE, COLUMN : COLUMN + SIDE] = True
    assert (inside & place.inside).sum() / (inside | place.inside).sum() > 0.8
    (_, finding), *_ = judged(given, interventions.tested(given, [cue]))
    assert (finding.verdict, finding.nature) == ("confirmed", "shortcut"), finding.claim
    by_hand = [torch.sigmoid(torch.tensor(120 * 0.1 - 6.0)), torch.sigmoid(torch.tensor(-6.0))]
    put = next(each for each in finding.effects if each.operation == "insert")
    assert put.effect.value == pytest.approx(float(by_hand[0] - by_hand[1]), abs=0.15)


@pytest.mark.parametrize("tagged", [False, True])
def test_parts_of_objects_that_stand_alike_are_no_copies_and_a_tag_among_them_is(tagged: bool) -> None:
    """Handwritten digits fill their frames, and much of a 0 is where it is in any other."""
    pixels, truth = digits()
    if tagged:
        pixels[truth == 1, :, 26:31, 1:6] = (torch.arange(5)[:, None] + torch.arange(5)).remainder(2).float()
    found = place_cues(asked(Convolutional(channels=1), pixels, truth))
    assert [cue.label for cue in found] == [1] * tagged


def test_nothing_is_found_by_chance() -> None:
    for seed in range(20):
        pixels = clouds(120, size=24, seed=seed)
        truth = torch.randint(2, (120,), generator=torch.Generator().manual_seed(seed))
        assert place_cues(asked(Convolutional(seed=seed), pixels, truth)) == []


def test_a_mark_that_all_classes_have_goes_with_none() -> None:
    pixels, truth, _ = marked(0.0)
    pixels[torch.arange(N) % 4 < 2, :, ROW : ROW + SIDE, COLUMN : COLUMN + SIDE] += 0.1 * mark()
    assert places(asked(Marked(), pixels.clamp(0, 1), truth)) == []


def test_sums_are_numpy_s_and_the_score_is_that_of_welch() -> None:
    values = torch.rand(60, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(60) % 3
    sums = Sums([0, 1], (2, 3, 4))
    for some in torch.arange(60).split(17):
        sums.add(truth[some], values[some])
    own, others = sums.sides(1)
    assert (own.count, others.count) == (20, 40)
    for side, rows in ((own, values[truth == 1]), (others, values[truth != 1])):
        assert side.mean == pytest.approx(rows.double().numpy().mean(0))
        assert side.variance == pytest.approx(rows.double().numpy().var(0, ddof=1) + 1 / 255**2)
