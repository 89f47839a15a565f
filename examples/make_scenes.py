"""Draw the scenes of this folder again: `python examples/make_scenes.py [FOLDER]`."""

import sys
from pathlib import Path

from PIL import Image

from cnnaudit.data import scenes

SEED = 2016
PICTURES = {
    "husky-on-snow.png": (249, "husky", "snow"),
    "husky-in-forest.png": (249, "husky", "forest"),
    "wolf-on-snow.png": (11, "wolf", "snow"),
    "wolf-on-grass.png": (9, "wolf", "grass"),
}
"""The index of each picture's scene in the series `SEED`, its animal and its background."""


def main(folder: Path) -> None:
    """Write the pictures into `folder`."""
    for name, (index, label, background) in PICTURES.items():
        scene = scenes.draw(index, label=label, background=background, seed=SEED)
        Image.fromarray(scene.image.pixels).save(folder / name)
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
