"""What was found in a network: its layers, and one record for each section of the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cnnaudit.results.ablation import Ablation
from cnnaudit.results.activations import Activations
from cnnaudit.results.blocks import Blocks
from cnnaudit.results.effective_fields import EffectiveFields
from cnnaudit.results.embedding import Embedding
from cnnaudit.results.exemplars import DeadUnits, Exemplars
from cnnaudit.results.explanations import ImageFacts
from cnnaudit.results.feature_visualization import Visualizations
from cnnaudit.results.filters import Filters
from cnnaudit.results.networks import ArchitectureFacts
from cnnaudit.results.walkthrough import Walkthrough


@dataclass(frozen=True, slots=True, eq=False)
class InspectionFacts:
    """What an inspection found; a section that was not made is None, and `skipped` says why.

    Attributes:
        dataset: the name of the pictures that the network was run on, if there were any.
        pictures: how many.
        photo: the one that is followed through the network.
        notes: what the reader must know of the pictures.
        skipped: for each section that was left out, the reason in words.
        dead_units: by the name of the layer.
    """

    architecture: ArchitectureFacts
    dataset: str | None = None
    pictures: int = 0
    photo: ImageFacts | None = None
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    blocks: Blocks | None = None
    dead_units: Mapping[str, DeadUnits] | None = None
    filters: Filters | None = None
    activations: Activations | None = None
    fields: EffectiveFields | None = None
    exemplars: Exemplars | None = None
    ablation: Ablation | None = None
    feature_visualization: Visualizations | None = None
    embedding: Embedding | None = None
    walkthrough: Walkthrough | None = None
