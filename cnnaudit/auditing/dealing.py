"""Which picture a cue is taken from, for each picture that it is put into."""

from collections.abc import Sequence

import torch


def dealt(among: Sequence[int], places: Sequence[int], random: torch.Generator) -> list[int]:
    """For each place one of some pictures, not itself: like cards, none comes twice before each came once.

    What an effect owes to single donors counts the less the more evenly they are used.
    """
    rounds = -(-len(places) // len(among))
    deck = torch.cat([torch.randperm(len(among), generator=random) for _ in range(rounds)])
    found = [among[k] for k in deck[: len(places)].tolist()]
    return [
        donor if donor != place else among[(among.index(donor) + 1) % len(among)]
        for donor, place in zip(found, places, strict=True)
    ]
