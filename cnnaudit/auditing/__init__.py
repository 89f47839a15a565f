"""Audit: which cues a classifier leans on, each tested by intervention."""

from cnnaudit.auditing.running import Progress, audit
from cnnaudit.auditing.sources import SOURCES

__all__ = ["SOURCES", "Progress", "audit"]
