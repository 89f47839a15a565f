"""Training a classifier: the same result for the same seed, and nothing lost whatever happens on the way."""

from cnnaudit.results import Epoch
from cnnaudit.training.loop import Progress, Step
from cnnaudit.training.running import train
from cnnaudit.training.session import TrainingResult

__all__ = ["Epoch", "Progress", "Step", "TrainingResult", "train"]
