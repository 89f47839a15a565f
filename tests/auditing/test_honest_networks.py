"""Networks that have learned nothing but their task, audited on the pictures they are good at: no alarm."""

from pathlib import Path

import pytest

import cnnaudit as ca


@pytest.mark.slow
def test_nothing_is_confirmed_for_digits(tmp_path: Path) -> None:
    """Objects that fill their frames, all alike: no part of them is a background, or was put there."""
    trained = ca.train("cnn2", data="digits", out=tmp_path).classifier
    report = ca.audit(trained, "digits")
    assert report.audit is not None and report.audit.accuracy.value > 0.95
    assert [each.claim for each in report.audit.findings if each.verdict == "confirmed"] == []
    assert any(each.nature == "undecided" and each.severity == "high" for each in report.audit.findings)
