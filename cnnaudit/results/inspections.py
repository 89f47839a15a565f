"""What was found in a network: its layers, and one record for each section of the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnaudit.results.explanations import ImageFacts
from cnnaudit.results.networks import ArchitectureFacts


@dataclass(frozen=True, slots=True, eq=False)
class InspectionFacts:
    """What an inspection found; a section that was not made is None, and `skipped` says why.

    Attributes:
        dataset: the name of the pictures that the network was run on, if there were any.
        pictures: how many.
        photo: the one that maps are shown of.
        skipped: for each section that was left out, the reason in words.
    """

    architecture: ArchitectureFacts
    dataset: str | None = None
    pictures: int = 0
    photo: ImageFacts | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
