"""Each example runs, and shows what it says."""

import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_blur_pooling_is_more_consistent_under_shifts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["shift_invariance.py", "--epochs", "4", "--out", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "shift_invariance.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "shift",
        "max",
        "accuracy",
        "max",
        "consistency",
        "blur",
        "accuracy",
        "blur",
        "consistency",
    ]
    rows = [[float(cell.rstrip("%")) for cell in line.split() if cell != "–"] for line in lines[1:6]]
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4]
    assert sum(row[4] - row[2] for row in rows[:3]) > 0, "consistency with blur, less that with max, near the middle"
    ElementTree.parse(tmp_path / "shift-invariance-digits.svg")
