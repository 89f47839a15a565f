"""What the bundled network's units of snow want to see: the same as snow, as far as the network can tell."""

import pytest
import torch
from torch import Tensor

import cnnaudit as ca
from cnnaudit.data import huskies, scenes
from cnnaudit.inspection import exemplars, visualize_feature
from tests.inspection.plain_loops import scores

LAYER = "2.2"
UNITS = 4


def blueness(picture: Tensor) -> float:
    """How much more blue than green there is in `c h w` or `c n`."""
    return float(picture[2].mean() - picture[1].mean())


def behind(drawn: list[scenes.Scene], picture: Tensor) -> Tensor:
    """The animals as they are, with a picture in the place of the landscape."""
    return torch.stack([torch.where(scene.mask, scene.pixels, picture) for scene in drawn])


@pytest.mark.slow
def test_what_is_made_for_units_of_snow_turns_huskies_into_wolves_as_snow_does() -> None:
    """The generator's own landscapes are the measure: the same huskies on grass, and on snow."""
    clf = ca.load("husky-wolf")
    clf.network.eval()
    data = huskies.husky_wolf(correlation=0.95, samples=2, test_samples=200, seed=21)
    found = exemplars(clf, data, layers=[LAYER]).layers[0].units
    sure = sorted((each for each in found if each.meaning and each.meaning.is_sure), key=lambda each: -each.prominence)
    units = {
        part: [each.unit for each in sure if each.meaning and each.meaning.part == part][:UNITS]
        for part in ("snow", "grass")
    }
    assert all(len(each) == UNITS for each in units.values())
    on = {
        part: [scenes.draw(n, label="husky", background=part, seed=33) for n in range(20)]
        for part in scenes.BACKGROUNDS
        if part in units
    }

    def wolf(pixels: Tensor) -> float:
        """The mean log-odds."""
        logits = scores(clf, pixels)
        return float((logits[:, 1] - logits[:, 0]).mean())

    truly = {part: wolf(torch.stack([scene.pixels for scene in drawn])) for part, drawn in on.items()}
    assert truly["grass"] < -2 < 2 < truly["snow"]
    colour = {
        part: blueness(torch.cat([each.pixels[:, ~each.mask] for each in drawn], 1)) for part, drawn in on.items()
    }
    between = (colour["snow"] + colour["grass"]) / 2
    for part, channels in units.items():
        for each in visualize_feature(clf, (LAYER, channels)).pictures:
            made = torch.from_numpy(each.pixels)
            said = wolf(behind(on["grass"], made))
            assert (said > truly["snow"] / 2) if part == "snow" else (said < truly["grass"] / 2), (part, each.channel)
            assert (blueness(made) > between) == (part == "snow"), (part, each.channel)
