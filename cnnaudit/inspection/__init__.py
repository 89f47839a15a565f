"""What is in a network: its layers, and which pixels each of them sees."""

from cnnaudit.inspection.activations import activations
from cnnaudit.inspection.effective_field import effective_field
from cnnaudit.inspection.embedding import embedding
from cnnaudit.inspection.filters import filters
from cnnaudit.inspection.receptive_field import receptive_field, receptive_fields
from cnnaudit.inspection.summary import summarize
from cnnaudit.inspection.walkthrough import walkthrough

__all__ = [
    "activations",
    "effective_field",
    "embedding",
    "filters",
    "receptive_field",
    "receptive_fields",
    "summarize",
    "walkthrough",
]
