"""What a network has learned, as functions that return data.

Its layers, filters and dead units; what they make of a photo, number by number; which pixels they see; which patches
excite a unit, what pictures can be made for it, and what the network cannot do without it; and how a set of pictures
lies in the last features.
"""

from cnnaudit.inspection.ablation import ablation
from cnnaudit.inspection.activations import activations
from cnnaudit.inspection.blocks import blocks
from cnnaudit.inspection.dead_units import dead_units
from cnnaudit.inspection.effective_field import effective_field
from cnnaudit.inspection.embedding import embedding
from cnnaudit.inspection.exemplars import exemplars
from cnnaudit.inspection.feature_visualization import visualize_feature
from cnnaudit.inspection.filters import filters
from cnnaudit.inspection.receptive_field import receptive_field, receptive_fields
from cnnaudit.inspection.summary import summarize
from cnnaudit.inspection.visualizing.defaults import default_objectives
from cnnaudit.inspection.visualizing.objectives import Objective, channel, class_logit, direction, neuron
from cnnaudit.inspection.visualizing.ties import settle_ties
from cnnaudit.inspection.visualizing.transformations import Shaking
from cnnaudit.inspection.walkthrough import walkthrough

__all__ = [
    "Objective",
    "Shaking",
    "ablation",
    "activations",
    "blocks",
    "channel",
    "class_logit",
    "dead_units",
    "default_objectives",
    "direction",
    "effective_field",
    "embedding",
    "exemplars",
    "filters",
    "neuron",
    "receptive_field",
    "receptive_fields",
    "settle_ties",
    "summarize",
    "visualize_feature",
    "walkthrough",
]
