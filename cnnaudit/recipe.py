"""Everything that decides what a training makes, checked before it begins."""

import math
from dataclasses import dataclass
from pathlib import Path

from cnnaudit.data.datasets import dataset
from cnnaudit.errors import OptionError, UnknownModelError, near_matches
from cnnaudit.models import ARCHITECTURES


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training, as the command line has it; the same recipe on the same machine gives the same weights."""

    arch: str
    data: str
    correlation: float
    samples: int
    test_samples: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    name: str

    @property
    def command(self) -> str:
        """The command line that trains the same network."""
        return (
            f"cnnaudit train {self.arch} --data {self.data} --correlation {self.correlation:g} "
            f"--samples {self.samples} --epochs {self.epochs} --batch-size {self.batch_size} "
            f"--lr {self.learning_rate:g} --seed {self.seed} --name {self.name}"
        )


def check(recipe: Recipe) -> None:
    """Refuse a recipe that cannot be followed.

    Raises:
        UnknownModelError: there is no such architecture.
        OptionError: another value is wrong.
    """
    if recipe.arch not in ARCHITECTURES:
        raise UnknownModelError(
            f"There is no architecture {recipe.arch!r} to train.{near_matches(recipe.arch, ARCHITECTURES)} "
            f"There is: {', '.join(ARCHITECTURES)}."
        )
    dataset(recipe.data)
    for label, value in (("epochs", recipe.epochs), ("batch size", recipe.batch_size)):
        if value < 1:
            raise OptionError(f"The {label} is {value}; give a whole number from 1 up.")
    if not 0 < recipe.learning_rate < math.inf:
        raise OptionError(f"The learning rate is {recipe.learning_rate}; give a number above 0.")
    if not recipe.name or Path(recipe.name).name != recipe.name:
        raise OptionError(f"The name {recipe.name!r} is not a file's name; give one without folders.")
