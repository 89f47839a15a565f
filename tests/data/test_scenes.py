"""The scenes: the same for the same seed, balanced, and true in what they say of themselves."""

import hashlib
from itertools import islice

import numpy as np
import pytest
import torch

from cnnaudit.data import scenes
from cnnaudit.errors import OptionError

SEED = 411


def _hashes(drawn):
    return [scene.image.sha256 for scene in drawn]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    first = _hashes(scenes.generate(6, correlation=0.5, seed=SEED))
    assert _hashes(scenes.generate(6, correlation=0.5, seed=SEED)) == first
    assert not set(first) & set(_hashes(scenes.generate(6, correlation=0.5, seed=SEED + 1)))
    assert len(set(first)) == 6


def test_a_scene_depends_on_its_index_alone():
    series = _hashes(islice(scenes.generate(100_000, correlation=0.7, seed=SEED), 5))
    assert [scenes.scene(k, correlation=0.7, seed=SEED).image.sha256 for k in (4, 0, 2)] == [
        series[4],
        series[0],
        series[2],
    ]


def test_the_global_random_state_neither_matters_nor_changes():
    np.random.seed(0)
    torch.manual_seed(0)
    legacy, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = _hashes(scenes.generate(2, correlation=0.5, seed=SEED))
    assert (np.random.get_state()[1] == legacy).all()
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.random.seed(1)
    assert _hashes(scenes.generate(2, correlation=0.5, seed=SEED)) == first


def test_a_scene_is_what_it_says():
    scene = scenes.scene(3, correlation=1.0, seed=SEED)
    assert scene.image.pixels.shape == (128, 128, 3)
    assert scene.image.pixels.dtype == np.uint8
    assert scene.image.sha256 == hashlib.sha256(scene.image.pixels.tobytes()).hexdigest()
    assert scene.image.name == f"wolf-snow-{SEED}-3.png"
    assert scene.pixels.dtype == torch.float32
    assert scene.mask.dtype == torch.bool
    assert scene.mask.shape == (128, 128)
    again = (scene.pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    assert (again == scene.image.pixels).all()


@pytest.mark.parametrize(("correlation", "wolves_on_snow"), [(1.0, 1.0), (0.0, 0.0)])
def test_a_full_correlation_has_no_exception(correlation, wolves_on_snow):
    for scene in scenes.generate(16, correlation=correlation, seed=SEED):
        agrees = (scene.label == "wolf") == (scene.background == "snow")
        assert agrees == bool(wolves_on_snow)


def test_classes_are_balanced_and_the_correlation_is_as_asked(monkeypatch):
    monkeypatch.setattr(scenes, "_compose", lambda *_: (np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), bool)))
    drawn = list(scenes.generate(2000, correlation=0.8, seed=SEED))
    assert sum(scene.label == "wolf" for scene in drawn) == 1000
    for label in scenes.LABELS:
        of_class = [scene for scene in drawn if scene.label == label]
        agree = np.mean([(label == "wolf") == (scene.background == "snow") for scene in of_class])
        assert abs(agree - 0.8) < 4 * (0.8 * 0.2 / 1000) ** 0.5
    off_snow = [scene.background for scene in drawn if scene.background != "snow"]
    assert abs(np.mean([background == "forest" for background in off_snow]) - 0.5) < 0.07


@pytest.mark.parametrize("background", scenes.BACKGROUNDS)
@pytest.mark.parametrize("label", scenes.LABELS)
def test_the_mask_is_where_the_picture_changes_when_the_animal_goes(label, background):
    for index in range(6):
        whole = scenes.draw(index, label=label, background=background, seed=SEED)
        empty, _ = scenes._compose(index, label, background, SEED, animal=False)
        changed = (whole.image.pixels != empty).any(-1)
        mask = whole.mask.numpy()
        assert mask.mean() > 0.03
        assert not changed[~mask].any(), "something of the animal is outside its mask"
        assert changed[mask].mean() > 0.98, "within the mask there is only the animal"


def _grown(mask):
    padded = np.pad(mask, 1)
    return np.any([padded[1 + dy : 129 + dy, 1 + dx : 129 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)


def test_the_animal_is_the_same_on_every_background_and_the_place_behind_every_animal():
    snow, grass = (scenes.draw(9, label="husky", background=b, seed=5) for b in ("snow", "grass"))
    inside = torch.from_numpy(~_grown(~(snow.mask & grass.mask).numpy()))
    assert inside.sum() > 0.5 * snow.mask.sum()
    assert (snow.pixels == grass.pixels).all(0)[inside].float().mean() > 0.97, "edges apart, nothing differs"
    wolf = scenes.draw(9, label="wolf", background="snow", seed=5)
    neither = torch.from_numpy(~(snow.mask | wolf.mask).numpy())
    assert torch.equal(wolf.pixels[:, neither], snow.pixels[:, neither])


def test_snow_is_brighter_on_the_ground_than_forest_and_grass():
    def ground(background):
        drawn = [scenes.draw(k, label="husky", background=background, seed=SEED) for k in range(8)]
        return np.mean([float(s.pixels[:, 90:][:, ~s.mask[90:]].mean()) for s in drawn])

    assert ground("snow") > 1.4 * max(ground("forest"), ground("grass"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": -1, "correlation": 0.5, "seed": 0}, "-1 scenes"),
        ({"n": 1, "correlation": 1.5, "seed": 0}, "correlation is 1.5"),
        ({"n": 1, "correlation": float("nan"), "seed": 0}, "correlation is nan"),
        ({"n": 1, "correlation": 0.5, "seed": -3}, "seed is -3"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(OptionError, match=words):
        scenes.generate(**arguments)


def test_only_known_animals_and_places_are_drawn():
    with pytest.raises(OptionError, match=r"'fox' on 'snow'.*husky, wolf.*snow, forest, grass"):
        scenes.draw(0, label="fox", background="snow", seed=0)
    with pytest.raises(OptionError, match="first one is 0"):
        scenes.scene(-1, correlation=0.5, seed=0)
