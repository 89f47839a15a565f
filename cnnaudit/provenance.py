"""How a report came about: what a reader needs to make it again."""

import platform
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import cnnaudit
from cnnaudit.classifier import Classifier
from cnnaudit.results import RunFacts


def run_facts(classifier: Classifier, *, seed: int, started: datetime, command: str) -> RunFacts:
    """What a reader needs to run it again."""
    versions = {"cnnaudit": cnnaudit.__version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    dtype = str(classifier.dtype).removeprefix("torch.")
    return RunFacts(command, versions, seed, str(classifier.device), dtype, started.isoformat(timespec="seconds"), 0.0)
