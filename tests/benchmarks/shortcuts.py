"""How well an audit finds a planted shortcut, and how often it finds one where there is none.

    python tests/benchmarks/shortcuts.py --data-root DIR --cache DIR [--only PATTERN] [--quick]
                                    [--draw N] [--audit-pictures 800] [--json FILE] [--train-only] [--sheets]

About 70 small networks learn digits, clothes, photos or drawn scenes with a cue (a tag in a corner or anywhere, a
frame, snow, a tint, a blur) that goes with one class (linked), is as frequent in all (unlinked), or is in none
(absent). Each is audited on test pictures with the cue as in training, without masks, and told nothing. What is true
is known by construction: every picture is at hand with the cue and without it, and a network depends on its cue when
that changes a tenth of its answers. Linked cases on whose cue the network does not depend are in the first AUROC
and in no other figure of what is found.

Networks, drawn scenes and the audits' pages are kept in --cache. Half 0 of the cases is for choosing thresholds, ours
in the package included; half 1 for judging. PATTERN is a part of the names that --train-only lists
("cifar-95-linked"). --draw 1 trains all networks anew, with the cue in other pictures and for another class: the
method was never adjusted on these. --sheets draws each cue into --cache. Ends with the two bundled networks on
2,000 scenes.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from planted.cases import CUES, Case, cases
from planted.matching import judged
from planted.material import Material, material
from planted.scoring import Row, summary
from planted.training import Truth, audited, classifier, planted, truth

import cnnaudit as ca
from cnnaudit.data import scenes
from cnnaudit.data.datasets import Split

_SCENES, _SCENE_SEED = 2000, 4711
_SHEET = 24


def chosen_cases(only: str, quick: bool, draw: int) -> tuple[Case, ...]:
    """Those whose name has `only` in it; of these, with `quick`, a linked one and another for each cue."""
    kept = [case for case in cases(draw) if only in case.name]
    if not quick:
        return tuple(kept)
    pairs = {cue: min((case.pair for case in kept if case.cue == cue), default=-1) for cue in CUES}
    both = [[case for case in kept if case.pair == pair] for pair in pairs.values()]
    return tuple(case for pair in both for case in pair[:2])


def trained(
    picked: Sequence[Case], root: Path, cache: Path, pictures: int
) -> Iterator[tuple[Case, ca.Classifier, Material, Truth]]:
    """Each case's network with what is true of it, told as it comes; the cases of one kind of data together."""
    for kind in dict.fromkeys(case.data for case in picked):
        source = material(kind, root, cache)
        for case in (each for each in picked if each.data == kind):
            clf, seconds = classifier(case, source, cache)
            known = truth(clf, audited(case, source, pictures), case)
            said = "depends" if known.depends and case.arm == "linked" else ""
            print(
                f"{case.name:<34}{seconds:6.1f} s  accuracy {known.accuracy:.3f}, without {known.without:.3f}  "
                f"lost {known.lost:+.2f}  gained {known.gained:+.2f}  {said}",
                flush=True,
            )
            yield case, clf, source, known


def scored(case: Case, clf: ca.Classifier, source: Material, known: Truth, pictures: int, reports: Path) -> Row:
    data = audited(case, source, pictures)
    began = time.perf_counter()
    report = ca.audit(clf, Split(data.images, data.labels))
    seconds = time.perf_counter() - began
    report.save(reports / f"{case.name}.html")
    facts = report.audit
    assert facts is not None
    worst = facts.hurt.worst.right.value if facts.hurt.worst else None
    row = Row(case, known, judged(facts, case, source.labels[case.target], data), worst, seconds)
    shown = ", ".join(f"{each.id}{'*' if each.matched else ''} {each.evidence:.2f}" for each in row.findings[:3])
    print(f"    {seconds:6.1f} s  {'found' if row.found else 'alarm' if row.alarm else ''}  {shown}", flush=True)
    return row


def bundled(name: str) -> str:
    """What an audit of a bundled network on scenes says first, without masks."""
    drawn = list(scenes.generate(_SCENES, correlation=0.95, seed=_SCENE_SEED))
    images = torch.stack([torch.from_numpy(each.image.pixels).permute(2, 0, 1) for each in drawn])
    labels = torch.tensor([scenes.LABELS.index(each.label) for each in drawn])
    began = time.perf_counter()
    facts = ca.audit(ca.load(name), Split(images, labels)).audit
    seconds = time.perf_counter() - began
    assert facts is not None
    confirmed = [each for each in facts.findings if each.verdict == "confirmed"]
    first = facts.findings[0] if facts.findings else None
    if first is None:
        return f"{name}: {seconds:.0f} s; no finding"
    snowy = np.mean([drawn[int(place)].background == "snow" for place in first.concerned])
    return (
        f"{name}: {seconds:.0f} s; {len(confirmed)} confirmed; first ({first.verdict}, {first.kind}, {first.nature}, "
        f"{snowy:.0%} of its pictures on snow): {first.claim}"
    )


def sheet(case: Case, source: Material, path: Path) -> None:
    """Some training pictures with the cue below the same ones without it."""
    data = planted(case, source.train.first(_SHEET), seed=0)
    rows = [torch.cat(list(half), 2) for images in (data.clean, data.full) for half in images.split(_SHEET // 2)]
    picture = torch.cat(rows, 1).permute(1, 2, 0).numpy()
    Pillow.fromarray(picture).resize((picture.shape[1] * 3, picture.shape[0] * 3), 0).save(path)


def sheets(picked: Sequence[Case], root: Path, cache: Path) -> None:
    for case in {(case.cue, case.data): case for case in picked}.values():
        sheet(case, material(case.data, root, cache), cache / f"sheet-{case.cue}-{case.data}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="holds MNIST, Fashion-MNIST and CIFAR-10")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--quick", action="store_true", help="a dozen networks")
    parser.add_argument("--draw", type=int, default=0, help="other networks and pictures with the cue, for each number")
    parser.add_argument("--audit-pictures", type=int, default=800)
    parser.add_argument("--json", type=Path, help="by default shortcuts.json in --cache")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--sheets", action="store_true")
    given = parser.parse_args()
    (given.cache / "reports").mkdir(parents=True, exist_ok=True)
    picked = chosen_cases(given.only, given.quick, given.draw)
    if given.sheets:
        return sheets(picked, given.data_root, given.cache)
    rows: list[Row] = []
    for case, clf, source, known in trained(picked, given.data_root, given.cache, given.audit_pictures):
        if not given.train_only:
            rows.append(scored(case, clf, source, known, given.audit_pictures, given.cache / "reports"))
            text = json.dumps([row.as_json() for row in rows], indent=1)
            (given.json or given.cache / "shortcuts.json").write_text(text, encoding="utf-8")
    if given.train_only:
        return None
    for measure, value, bar in summary(rows):
        print(f"{measure:<58}{value:>20}   {bar}")
    missed = [row.case.name for row in rows if row.linked and row.truth.depends and not row.found]
    alarms = [row.case.name for row in rows if row.alarm and not row.linked]
    print(f"missed: {', '.join(missed) or 'none'}\nfalse alarms: {', '.join(alarms) or 'none'}")
    for name in () if given.only else ("husky-wolf", "husky-wolf-fair"):
        print(bundled(name), flush=True)
    return None


if __name__ == "__main__":
    main()
