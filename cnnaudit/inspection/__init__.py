"""What is in a network: its layers, and which pixels each of them sees."""

from cnnaudit.inspection.effective_field import effective_field
from cnnaudit.inspection.receptive_field import receptive_field, receptive_fields
from cnnaudit.inspection.summary import summarize

__all__ = ["effective_field", "receptive_field", "receptive_fields", "summarize"]
