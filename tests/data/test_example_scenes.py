"""The pictures in `examples/` are scenes as they are drawn today, and show what they are said to show."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnaudit import loading
from cnnaudit.data.images import read_image

EXAMPLES = Path(__file__).parents[2] / "examples"
_spec = importlib.util.spec_from_file_location("make_scenes", EXAMPLES / "make_scenes.py")
assert _spec is not None and _spec.loader is not None
make_scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_scenes)


def test_the_script_draws_the_same_pictures_again(tmp_path, capsys):
    make_scenes.main(tmp_path)
    assert len(capsys.readouterr().out.splitlines()) == len(make_scenes.PICTURES)
    for name in make_scenes.PICTURES:
        with Image.open(tmp_path / name) as again, Image.open(EXAMPLES / name) as kept:
            assert kept.size == (128, 128)
            assert np.array_equal(np.asarray(again), np.asarray(kept)), name


@pytest.mark.parametrize(
    ("model", "name", "label", "at_least"),
    [
        ("husky-wolf", "husky-on-snow.png", "wolf", 0.9),
        ("husky-wolf", "wolf-on-snow.png", "wolf", 0.9),
        ("husky-wolf", "husky-in-forest.png", "husky", 0.9),
        ("husky-wolf", "wolf-on-grass.png", "husky", 0.8),
        ("husky-wolf-fair", "husky-on-snow.png", "husky", 0.9),
        ("husky-wolf-fair", "wolf-on-snow.png", "wolf", 0.9),
        ("husky-wolf-fair", "husky-in-forest.png", "husky", 0.9),
        ("husky-wolf-fair", "wolf-on-grass.png", "wolf", 0.9),
    ],
)
def test_the_first_network_sees_the_snow_and_the_fair_one_the_animal(model, name, label, at_least):
    classifier = loading.load(model)
    first = classifier.predict(classifier.prepare(read_image(EXAMPLES / name)))[0]
    assert first.label == label
    assert first.probability > at_least
