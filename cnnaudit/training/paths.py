"""Where a training writes, and that it can."""

import glob
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cnnaudit.errors import OptionError


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a training writes: the checkpoint, its log, and the snapshot it can go on from."""

    checkpoint: Path
    csv: Path
    json: Path
    snapshot: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "Paths":
        """All in one folder, which is made if missing.

        Better to learn before the training than after it that nothing can be written there.

        Raises:
            OptionError: it cannot be written to, or the name is too long for a file.
        """
        ends = ("safetensors", "log.csv", "log.json", "resume")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OptionError(f"Nothing can be written to {folder} ({error.strerror}). Give another folder.") from error
        try:  # the longest name that will be written, which is a temporary one
            tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.{ends[0]}.", suffix=".part").close()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OptionError(f"No file can be called {_short(name)} ({reason}). Give another --name.") from error
        for end in ends:
            for litter in folder.glob(f".{glob.escape(name)}.{end}.*.part"):  # of a process killed while it wrote
                litter.unlink(missing_ok=True)
        return cls(*(folder / f"{name}.{end}" for end in ends))


def _short(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}…")
