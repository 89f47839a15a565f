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
            OptionError: it cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OptionError(f"Nothing can be written to {folder} ({error.strerror}). Give another folder.") from error
        ends = ("safetensors", "log.csv", "log.json", "resume")
        for end in ends:
            for litter in folder.glob(f".{glob.escape(name)}.{end}.*.part"):  # of a process killed while it wrote
                litter.unlink(missing_ok=True)
        return cls(*(folder / f"{name}.{end}" for end in ends))
