"""Everything that cnnaudit raises on purpose.

::

    CnnAuditError
    ├── ImageError            a picture cannot be read
    │   └── ImageTooLargeError    more pixels than the limit; nothing was decoded
    ├── ModelError            a network, checkpoint or weights file cannot be used
    │   ├── UnknownModelError     no such architecture
    │   ├── WeightsError          the weights do not fit, or the file is damaged
    │   ├── UntrustedModelError   loading it would run code from the file
    │   └── DownloadError         the weights could not be fetched
    ├── MethodError           an explanation cannot be made
    │   ├── NotApplicableError    the method does not apply to this network; others may
    │   ├── LayerError            no such layer, or one without spatial maps
    │   ├── NotFiniteError        scores or a map are infinite or not numbers
    │   └── OutOfTimeError        the time limit left too little to say anything
    ├── OptionError           a value that the caller gave is wrong
    ├── DataError             a dataset is missing or malformed
    └── TrainingError         training cannot go on

Every message says what was given, what was expected, and what to do next.
"""

import difflib
from collections.abc import Iterable


class CnnAuditError(Exception):
    """The base of every error that cnnaudit raises on purpose."""


class ImageError(CnnAuditError):
    """A picture cannot be read; the message names the file."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than the limit; it was not decoded."""


class ModelError(CnnAuditError):
    """A network, checkpoint or weights file cannot be used."""


class UnknownModelError(ModelError):
    """No architecture has this name."""


class WeightsError(ModelError):
    """The weights do not fit the architecture, or the file is damaged."""


class UntrustedModelError(ModelError):
    """Loading the file would run code that it contains."""


class DownloadError(ModelError):
    """The weights could not be fetched."""


class MethodError(CnnAuditError):
    """An explanation cannot be made."""


class NotApplicableError(MethodError):
    """The method does not apply to this network; others may."""


class LayerError(MethodError):
    """No such layer, or one without spatial maps."""


class NotFiniteError(MethodError):
    """Scores or a map are infinite or not numbers."""


class OutOfTimeError(MethodError):
    """The time limit left too little to say anything."""


class OptionError(CnnAuditError):
    """A value that the caller gave is wrong."""


class DataError(CnnAuditError):
    """A dataset is missing or malformed."""


class TrainingError(CnnAuditError):
    """Training cannot go on."""


def near_matches(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'a' or 'b'?"` for a misspelt name, or an empty string."""
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(folded[c]) for c in close)}?" if close else ""
