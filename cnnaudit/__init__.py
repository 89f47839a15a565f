"""cnnaudit: is this CNN right for the right reasons?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnaudit.auditing import audit
    from cnnaudit.classifier import Classifier
    from cnnaudit.data.images import from_array, read_image
    from cnnaudit.errors import CnnAuditError
    from cnnaudit.explaining import explain, explain_all
    from cnnaudit.inspecting import inspect_model
    from cnnaudit.loading import load
    from cnnaudit.results import Attribution, Explanation, Image, Prediction, Report, Target
    from cnnaudit.training import TrainingResult, train

_HOME = {
    "Attribution": "results",
    "Classifier": "classifier",
    "CnnAuditError": "errors",
    "Explanation": "results",
    "Image": "results",
    "Prediction": "results",
    "Report": "results",
    "Target": "results",
    "TrainingResult": "training",
    "audit": "auditing",
    "explain": "explaining",
    "explain_all": "explaining",
    "from_array": "data.images",
    "inspect_model": "inspecting",
    "load": "loading",
    "read_image": "data.images",
    "train": "training",
}
_SUBPACKAGES = ("inspection",)
"""Asked for as they are (`ca.inspection.summarize`)."""

__version__ = "0.1.0"
__all__ = [
    "Attribution",
    "Classifier",
    "CnnAuditError",
    "Explanation",
    "Image",
    "Prediction",
    "Report",
    "Target",
    "TrainingResult",
    "audit",
    "explain",
    "explain_all",
    "from_array",
    "inspect_model",
    "load",
    "read_image",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `cnnaudit --help` does not wait for torch."""
    from importlib import import_module

    if name in _SUBPACKAGES:
        return import_module(f"cnnaudit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'cnnaudit' has no attribute {name!r}")
    return getattr(import_module(f"cnnaudit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES, "__version__"])
