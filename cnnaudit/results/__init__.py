"""What comes back: frozen records, built once and passed on unchanged."""

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
from cnnaudit.results.networks import ArchitectureFacts, LayerFacts, ReceptiveField
from cnnaudit.results.report import Report
from cnnaudit.results.runs import Fact, ModelFacts, RunFacts
from cnnaudit.results.trainings import Epoch, FilterFacts, Mistake, ReliabilityBin, Share, TestFacts, TrainingFacts

__all__ = [
    "ArchitectureFacts",
    "Attribution",
    "Declined",
    "Epoch",
    "Explanation",
    "Fact",
    "FilterFacts",
    "Image",
    "ImageFacts",
    "ImageFailure",
    "ImageResult",
    "LayerFacts",
    "MethodCard",
    "Mistake",
    "ModelFacts",
    "Prediction",
    "ReceptiveField",
    "ReliabilityBin",
    "Report",
    "RunFacts",
    "Share",
    "Target",
    "TestFacts",
    "TrainingFacts",
]
