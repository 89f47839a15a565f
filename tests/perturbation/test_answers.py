"""What is remembered of copies of a picture: recalled for the same question only, and only so much of it."""

import pytest
import torch
from networks import classifier, picture
from torch import Tensor, nn

from cnnaudit import Classifier, devices, explain, explain_all
from cnnaudit.devices import Form, Forms
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Answers, Copies, Grid, Segments, Windows
from cnnaudit.perturbation.answers import Answer, digest

SIZE = (32, 40)
REGIONS = (torch.arange(32) // 8)[:, None] * 5 + torch.arange(40) // 8
OPTIONS = {
    "lime": {"samples": 80, "segmentation": "grid", "segments": 12},
    "kernel_shap": {"samples": 60, "segmentation": "grid", "segments": 16},
    "shapley": {"samples": 80, "segmentation": "grid", "segments": 9},
    "occlusion": {},
    "rise": {"samples": 40},
    "score_cam": {"channels": 5},
}


def test_a_digest_tells_all_that_is_asked_apart() -> None:
    shown = torch.eye(20) > 0
    asked = [
        ("float32", Segments(REGIONS, shown)),
        ("auto", Segments(REGIONS, shown)),
        ("float32", Segments(REGIONS.T, shown)),
        ("float32", Segments(REGIONS, ~shown)),
        ("float32", Segments(REGIONS, shown[:19])),
        ("float32", Grid(shown.float()[None], SIZE)),
        ("float32", Grid(shown.float()[None], SIZE, corners=True)),
        ("float32", Grid(shown.float()[None], SIZE, torch.zeros(1, 2, dtype=torch.int64))),
        ("float32", Windows(torch.zeros(1, 4, dtype=torch.int64), SIZE)),
    ]
    assert len({digest(*each) for each in asked}) == len(asked)
    assert digest(*asked[0]) == digest("float32", Segments(REGIONS.clone(), shown.clone()))


def test_what_has_no_room_is_not_kept() -> None:
    answers = Answers(room=100)
    for key, count in (("a", 20), ("b", 6), ("c", 5)):  # float32: 80, 24 and 20 bytes
        answers.keep(key, Answer(torch.zeros(count), (), (), torch.empty(0)))
    assert [answers.recall(key) is not None for key in "abc"] == [True, False, True]


def counted(clf: Classifier) -> list[int]:
    counts: list[int] = []
    clf.network.register_forward_hook(lambda _, __, output: counts.append(len(output)))
    return counts


@pytest.mark.parametrize("method", OPTIONS)
def test_several_classes_share_the_passes_and_get_what_each_gets_alone(method: str) -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    alone = [
        explain(clf, x, method=method, target=choice.index, options=OPTIONS[method]) for choice in clf.predict(x)[:3]
    ]
    counts = counted(clf)
    report = explain_all(clf, [x], methods=[method], target="top3", options={method: OPTIONS[method]})
    together = report.images[0].explanations
    for one, among in zip(alone, together, strict=True):
        assert torch.equal(one.heatmap, among.heatmap)
        assert (one.facts, one.notes) == (among.facts, among.notes)
    own = int(method == "score_cam")  # the pass that finds the maps is each class's own
    passes, needed = ([each.forward_passes - own for each in answers] for answers in (together, alone))
    assert sum(passes) == max(needed)  # LIME may need more samples for one class than for another
    assert sum(counts) == 1 + sum(each.forward_passes for each in together)  # the prediction


def test_another_fill_or_precision_is_another_question() -> None:
    clf, x, answers = classifier("in_place"), picture(SIZE), Answers()
    masks = Segments(REGIONS, torch.eye(20) > 0)
    asked = []
    with borrowed(clf.network):
        for fill, precision in (("grey", "auto"), ("grey", "auto"), ("black", "auto"), ("grey", "float32")):
            copies = Copies(clf, x, filled(x, fill), expected=20, precision=precision, answers=answers)  # type: ignore[arg-type]
            copies.scores(masks)
            asked.append((copies.asked, copies.done))
    assert asked == [(20, 20), (0, 20), (20, 20), (20, 20)]


class Drawing(nn.Module):
    """Scores with noise from torch's own generator."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) + 0.1 * torch.rand(len(x), 3)


def test_a_network_that_draws_goes_on_where_it_was() -> None:
    clf, x, answers = Classifier(Drawing(), input_size=SIZE), picture(SIZE), Answers()
    blocks = [Segments(REGIONS, torch.rand(8, 20, generator=torch.Generator().manual_seed(i)) < 0.5) for i in range(3)]

    def scores(count: int, known: Answers | None) -> list[Tensor]:
        with borrowed(clf.network):
            torch.manual_seed(0)
            copies = Copies(clf, x, filled(x, "grey"), expected=24, answers=known)
            return [copies.scores(block) for block in blocks[:count]]

    scores(2, answers)
    for found, expected in zip(scores(3, answers), scores(3, None), strict=True):
        assert torch.equal(found, expected)


def test_what_was_said_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that does not agree, in the words of each class's explanation."""
    monkeypatch.setattr("cnnaudit.perturbation.copies.forms", lambda *_: Forms(devices.AS_IS, Form(torch.bfloat16)))
    monkeypatch.setattr(devices, "REDUCED", devices.Agreement(0.0, 0.0, 1.0, 0.0))
    clf, x = classifier("in_place"), picture(SIZE)
    report = explain_all(clf, [x], methods=["lime"], target="top2", options={"lime": OPTIONS["lime"]})
    notes = [[note for note in each.notes if "bfloat16" in note] for each in report.images[0].explanations]
    assert notes[0] == notes[1] != []
