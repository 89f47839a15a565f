"""What comes back: frozen records, built once and passed on unchanged."""

from cnnaudit.results.ablation import Ablation, Change, Loss, UnitAblation
from cnnaudit.results.activations import Activations, FeatureMaps
from cnnaudit.results.blocks import Block, Blocks, Fold, Node
from cnnaudit.results.effective_fields import EffectiveField, EffectiveFields
from cnnaudit.results.embedding import Embedding, EmbeddingMethod
from cnnaudit.results.exemplars import DeadUnits, Exemplars, LayerExemplars, Meaning, Patch, UnitExemplars
from cnnaudit.results.explanations import (
    Attribution,
    Declined,
    Explanation,
    Image,
    ImageFacts,
    ImageFailure,
    ImageResult,
    MethodCard,
    Prediction,
    Target,
)
from cnnaudit.results.feature_visualization import Visualization, Visualizations
from cnnaudit.results.filters import AlikeFilters, FilterBank, Filters
from cnnaudit.results.inspections import InspectionFacts
from cnnaudit.results.networks import ArchitectureFacts, LayerFacts, ReceptiveField
from cnnaudit.results.report import Report
from cnnaudit.results.runs import Fact, ModelFacts, RunFacts
from cnnaudit.results.trainings import Epoch, FilterFacts, Mistake, ReliabilityBin, Share, TestFacts, TrainingFacts
from cnnaudit.results.walkthrough import Kernel, Sliding, Stage, Steps, Walkthrough, Windows

__all__ = [
    "Ablation",
    "Activations",
    "AlikeFilters",
    "ArchitectureFacts",
    "Attribution",
    "Block",
    "Blocks",
    "Change",
    "DeadUnits",
    "Declined",
    "EffectiveField",
    "EffectiveFields",
    "Embedding",
    "EmbeddingMethod",
    "Epoch",
    "Exemplars",
    "Explanation",
    "Fact",
    "FeatureMaps",
    "FilterBank",
    "FilterFacts",
    "Filters",
    "Fold",
    "Image",
    "ImageFacts",
    "ImageFailure",
    "ImageResult",
    "InspectionFacts",
    "Kernel",
    "LayerExemplars",
    "LayerFacts",
    "Loss",
    "Meaning",
    "MethodCard",
    "Mistake",
    "ModelFacts",
    "Node",
    "Patch",
    "Prediction",
    "ReceptiveField",
    "ReliabilityBin",
    "Report",
    "RunFacts",
    "Share",
    "Sliding",
    "Stage",
    "Steps",
    "Target",
    "TestFacts",
    "TrainingFacts",
    "UnitAblation",
    "UnitExemplars",
    "Visualization",
    "Visualizations",
    "Walkthrough",
    "Windows",
]
