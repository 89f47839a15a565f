"""Draw the scenes of this folder again: `python examples/make_scenes.py [FOLDER]`."""

import sys
from pathlib import Path

from PIL import Image

from cnnaudit.data import scenes

PICTURES = {
    "husky-on-snow.png": (1, 158, "husky", "snow"),
    "husky-in-forest.png": (1, 158, "husky", "forest"),
    "wolf-on-snow.png": (2016, 11, "wolf", "snow"),
    "wolf-on-grass.png": (2016, 9, "wolf", "grass"),
}
"""Each picture's seed and index in the series of that seed, its animal and its background."""


def main(folder: Path) -> None:
    """Write the pictures into `folder`."""
    for name, (seed, index, label, background) in PICTURES.items():
        scene = scenes.draw(index, label=label, background=background, seed=seed)
        Image.fromarray(scene.image.pixels).save(folder / name)
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
