"""What a user's forward raises, as errors of ours."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

import cnnaudit
from cnnaudit import hooks
from cnnaudit.classifier import Classifier
from cnnaudit.errors import CnnAuditError, ModelError
from cnnaudit.shapes import Pixels

_PACKAGE = str(Path(cnnaudit.__file__).parent)


def grey(classifier: Classifier, pictures: int = 1) -> Pixels:
    """Pictures of the network's input size that show nothing."""
    return torch.full((pictures, classifier.channels, *classifier.input_size), 0.5, device=classifier.device)


def probe(classifier: Classifier, pictures: int = 1) -> None:
    """Run the network, borrowed and without gradients, on grey pictures, for what hooks see of it.

    Raises:
        ModelError: it fails on them.
    """
    with hooks.borrowed(classifier.network), torch.no_grad(), forward_errors(classifier, "a grey picture"):
        classifier.logits(grey(classifier, pictures))


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


def arose_in(network: nn.Module, error: BaseException) -> bool:
    """Whether a module of the network was running, and inside of it no code of ours (a hook), when this was raised."""
    modules = {id(module) for module in network.modules()}
    inside = False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(_PACKAGE):
            inside = False
        elif frame.f_code.co_name == "_call_impl":
            inside = inside or id(frame.f_locals.get("self")) in modules
    return inside
