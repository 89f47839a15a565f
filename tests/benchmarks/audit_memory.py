"""Peak memory of a whole audit over the number of pictures, each in a process of its own.

    python tests/benchmarks/audit_memory.py [--pictures 1000 2000 4000] [--model husky-wolf] [--threads 1]

Linux only: anonymous memory of the process in MB, looked at every 10 ms, without the pictures, which are
read from a mapped file. A column shows the peak since the beginning once that part is done; the last is that of the
whole audit. Views of pictures that edits are made of are held up to 256 MB (`auditing.holding`): what 3,000
pictures of 128 x 128 take. Drawing the scenes takes a minute a thousand, before anything is measured.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch

import cnnaudit as ca
from cnnaudit.data import scenes
from cnnaudit.data.splits import Split

SIDE = 128
PARTS: tuple[str, ...] = ("start", "survey", "recurring patches", "properties", "interventions", "groups", "robustness")


class Peak(threading.Thread):
    """Watches the process; `by` is the peak that was seen while each part ran."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.part, self.by, self._ended = PARTS[0], dict.fromkeys(PARTS, 0.0), threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.01):
            self.by[self.part] = max(self.by[self.part], anonymous())

    def told(self, part: str, _done: int, _of: int) -> None:
        """Parts without a column count to the one before them."""
        self.part = part if part in self.by else self.part

    def end(self) -> None:
        self._ended.set()
        self.join()


def anonymous() -> float:
    """In MB: what the process holds that is no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**10


def draw(folder: Path, count: int) -> None:
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, 3, SIDE, SIDE))
    labels = np.empty(count, np.int64)
    for place, scene in enumerate(scenes.generate(count, correlation=0.95, seed=1)):
        images[place] = scene.image.pixels.transpose(2, 0, 1)
        labels[place] = scenes.LABELS.index(scene.label)
    images.flush()
    np.save(folder / "labels.npy", labels)


def one(folder: Path, count: int, model: str) -> None:
    images = torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c"))[:count]
    labels = torch.from_numpy(np.load(folder / "labels.npy"))[:count]
    classifier, peak = ca.load(model), Peak()
    peak.start()
    report = ca.audit(classifier, Split(images, labels), progress=peak.told)
    peak.end()
    assert report.audit is not None and not report.audit.skipped
    peaks = np.maximum.accumulate(list(peak.by.values()))
    print(f"{count:>9,}" + "".join(f"{each:>19,.0f}" for each in peaks), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--model", default="husky-wolf")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--drawn", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.drawn:
        one(arguments.drawn, arguments.pictures[0], arguments.model)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder, max(arguments.pictures))
        print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.model}; peaks in MB")
        print(" pictures" + "".join(f"{part:>19}" for part in PARTS))
        for count in arguments.pictures:
            rest = ["--model", arguments.model, "--threads", str(arguments.threads), "--drawn", temporary]
            subprocess.run([sys.executable, __file__, *rest, "--pictures", str(count)], check=True)


if __name__ == "__main__":
    main()
