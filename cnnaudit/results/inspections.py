"""What was found in a network: its layers, and one record for each section of the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnaudit.results.effective_fields import EffectiveFields
from cnnaudit.results.explanations import ImageFacts
from cnnaudit.results.networks import ArchitectureFacts


@dataclass(frozen=True, slots=True, eq=False)
class InspectionFacts:
    """What an inspection found; a section that was not made is None, and `skipped` says why.

    Attributes:
        dataset: the name of the pictures that the network was run on, if there were any.
        pictures: how many.
        photo: the one that is followed through the network.
        notes: what the reader must know of the pictures.
        skipped: for each section that was left out, the reason in words.
    """

    architecture: ArchitectureFacts
    dataset: str | None = None
    pictures: int = 0
    photo: ImageFacts | None = None
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    fields: EffectiveFields | None = None
