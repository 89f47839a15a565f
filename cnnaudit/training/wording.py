"""What a training says beside its numbers: notes for the reader, and torch's errors in words that help."""

import torch

from cnnaudit.data.augmentation import part_size
from cnnaudit.errors import OptionError, TrainingError
from cnnaudit.memory import is_out_of_memory
from cnnaudit.training.recipe import Recipe
from cnnaudit.training.snapshots import Snapshot


def remarks(recipe: Recipe, size: tuple[int, int]) -> list[str]:
    """What a reader of the curves must know; `size` is the pictures' height and width."""
    found = []
    if recipe.label_smoothing:
        found.append(
            f"the loss in training counts targets smoothed by {recipe.label_smoothing:g}; in validation it does not"
        )
    height, width = part_size(size, recipe.early_part)
    if (height, width) != size:
        found.append(
            f"the first half of the steps learned from random parts of {height} x {width} pixels, the second from "
            "whole pictures; validation is always of whole ones"
        )
    return found


def changes(earlier: Snapshot) -> tuple[str, ...]:
    """What is no longer as it was when a training was stopped, and changes how sums are rounded."""
    here = f"{torch.get_num_threads()} threads of torch {torch.__version__}"
    there = f"{earlier.threads} threads of torch {earlier.torch}"
    if here == there:
        return ()
    epochs = len(earlier.history)
    return (f"went on behind epoch {epochs} with {here}, after {there}: not the bits of a training in one go",)


def explained(error: Exception, recipe: Recipe, device: torch.device) -> Exception:
    """An error of torch as one that says what to do, where that is known."""
    first = str(error).partition("\n")[0]
    if "more than 1 value per channel" in first:
        return OptionError(
            f"{recipe.arch} has batch norm, and that has no variance of one picture. "
            "Give --batch-size 2 or more, and two or more pictures to train on."
        )
    if recipe.deterministic and "determinis" in str(error):
        return OptionError(f"{recipe.arch} cannot be trained with --deterministic on {device} ({first}). Leave it out.")
    if is_out_of_memory(error):
        return TrainingError(f"The memory of {device} does not suffice ({first}). Give a smaller --batch-size.")
    return error
