"""`inspect_model`: what a network has learned, as a report."""

from cnnaudit.inspecting.running import Progress, inspect_model
from cnnaudit.inspecting.sections import SECTIONS

__all__ = ["SECTIONS", "Progress", "inspect_model"]
