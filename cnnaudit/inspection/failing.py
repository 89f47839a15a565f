"""What a user's forward raises, as errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from cnnaudit.classifier import Classifier
from cnnaudit.errors import CnnAuditError, ModelError
from cnnaudit.shapes import Pixels


@contextmanager
def forward_errors(classifier: Classifier, given: str, *, hint: str = "") -> Iterator[None]:
    """Whatever the network raises comes out as a ModelError that says what it was given, and the hint."""
    try:
        yield
    except CnnAuditError:
        raise
    except Exception as error:  # a forward may raise anything
        raise ModelError(f"{classifier.name} fails on {given}: {error}{hint}") from error


@contextmanager
def batch_errors(classifier: Classifier, pixels: Pixels) -> Iterator[None]:
    """The same for a batch of a set of pictures, whose size may not be the network's."""
    given, hint = f"pictures of shape {tuple(pixels.shape)}", f" Its input size is {classifier.input_size}."
    with forward_errors(classifier, given, hint=hint):
        yield
