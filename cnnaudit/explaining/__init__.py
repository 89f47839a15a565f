"""`explain`: one picture, one method; `explain_all`: many of both, as a report."""

from cnnaudit.explaining.many import explain_all
from cnnaudit.explaining.one import Progress, Step, check_methods, explain

__all__ = ["Progress", "Step", "check_methods", "explain", "explain_all"]
