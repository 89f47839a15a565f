"""Scores of copies against copies composed one by one; memory that runs out, overflow, time, other forms."""

import math
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from model_state import differences, model_state
from networks import ARCHITECTURES, InPlace, classifier, picture, seeded
from torch import Tensor, nn

from cnnaudit import Classifier, devices, explain
from cnnaudit.devices import Form, Forms
from cnnaudit.errors import MethodError, NotFiniteError, OptionError, OutOfTimeError
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Budget, Copies, Grid, Segments, Windows

SIZE = (32, 40)


def segments(count: int = 37) -> Segments:
    shown = torch.rand(count, 20, generator=torch.Generator().manual_seed(0)) < 0.5
    regions = (torch.arange(32) // 8)[:, None] * 5 + torch.arange(40) // 8
    return Segments(regions, shown)


def one_by_one(clf: Classifier, x: Tensor, fill: Tensor, masks: Segments) -> Tensor:
    keep = masks.shown[:, masks.regions][:, None]
    with borrowed(clf.network), torch.no_grad():
        return torch.cat([clf.logits(torch.where(each, x, fill)) for each in keep])


def scored(clf: Classifier, masks: Segments, x: Tensor | None = None, **options: object) -> tuple[Tensor, Copies]:
    x = picture(clf.input_size) if x is None else x
    with borrowed(clf.network):
        copies = Copies(clf, x, filled(x, "grey"), expected=len(masks), **options)  # type: ignore[arg-type]
        return copies.scores(masks), copies


@pytest.mark.parametrize("batch", [1, 5, 37, 1000, None])
def test_scores_are_those_of_each_copy_alone(batch: int | None) -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    expected = one_by_one(clf, x, filled(x, "grey"), segments())
    scores, copies = scored(clf, segments(), batch=batch)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    assert copies.done == 37
    assert (scores.dtype, scores.device.type) == (torch.float32, "cpu")
    assert (copies.notes, copies.precision_used) == ((), "float32")


class Remembering(nn.Module):
    """Scores that are the picture's own values, to see what a network is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_what_is_kept_and_what_is_hidden_is_exact_to_the_bit() -> None:
    clf = Classifier(Remembering(), input_size=SIZE, mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.4])
    x, masks = picture(SIZE), segments()
    assert torch.equal(scored(clf, masks)[0], one_by_one(clf, x, filled(x, "grey"), masks))


def test_a_soft_mask_mixes_picture_and_fill() -> None:
    clf = Classifier(Remembering(), input_size=SIZE)
    x, fill = picture(SIZE), picture(SIZE, seed=5)
    masks = Grid(torch.rand(9, 4, 5, generator=torch.Generator().manual_seed(0)), SIZE)
    soft = torch.empty(9, *SIZE)
    masks.paint(0, 9, soft)
    with borrowed(clf.network):
        found = Copies(clf, x, fill, expected=9).scores(masks)
    torch.testing.assert_close(found.view(9, 3, *SIZE), soft[:, None] * x + (1 - soft[:, None]) * fill)


def test_one_output_is_the_second_of_two() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 40, 1))
    clf, x = Classifier(net, input_size=SIZE), picture(SIZE)
    scores, _ = scored(clf, segments())
    torch.testing.assert_close(scores, one_by_one(clf, x, filled(x, "grey"), segments()))
    assert not scores[:, 0].any()


class Limited(InPlace):
    """Memory for a few pictures at a time, once `most` is set."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.most, self.error = 1000, error
        self.batches: deque[int] = deque()  # which, unlike a list, is not put back as it was

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        if len(x) > self.most:
            raise self.error
        return super().forward(x)


def limited(most: int, error: Exception) -> Classifier:
    clf = Classifier(seeded(lambda: Limited(error)), input_size=SIZE)
    clf.network.most = most
    clf.network.batches.clear()
    return clf


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("MPS backend out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: str(error)[:12])
def test_where_memory_runs_out_half_as_many_are_sent(error: Exception) -> None:
    clf = limited(5, error)
    scores, copies = scored(clf, segments())
    assert list(clf.network.batches) == [16, 8, *[4] * 9, 1]
    assert copies.notes == ("Memory ran out; batches of 4 fitted.",)
    torch.testing.assert_close(scores, scored(clf, segments(), batch=1)[0], rtol=1e-5, atol=1e-5)


def test_memory_for_one_at_a_time_is_enough() -> None:
    clf = limited(1, NO_MEMORY[1])
    scores, copies = scored(clf, segments(6))
    assert list(clf.network.batches) == [6, 6, 4, 2, *[1] * 6]  # batches of 16, 8, 4, 2 and 1
    assert copies.notes == ("Memory ran out; batches of 1 fitted.",)
    torch.testing.assert_close(scores, scored(clf, segments(6), batch=1)[0], rtol=1e-5, atol=1e-5)


def test_a_smaller_batch_is_tried_when_the_error_is_let_go() -> None:
    """As long as it is handled, an exception holds on to all that was computed before it."""

    class Watching(Limited):
        def forward(self, x: Tensor) -> Tensor:
            held.append(sys.exc_info()[1])
            return super().forward(x)

    held: list[BaseException | None] = []
    clf = limited(5, NO_MEMORY[0])
    clf.network.__class__ = Watching
    scored(clf, segments())
    assert len(held) > 2
    assert not any(held)


def test_where_memory_is_too_short_to_measure_the_network_is_run_as_it_is(measured: None) -> None:
    clf = limited(2, NO_MEMORY[0])
    scores, copies = scored(clf, segments())
    assert "too short to find a faster form" in copies.notes[0]
    assert copies.notes[1] == "Memory ran out; batches of 2 fitted."
    torch.testing.assert_close(scores, scored(clf, segments(), batch=1)[0], rtol=1e-5, atol=1e-5)


def test_memory_for_none_at_all_is_an_error() -> None:
    with pytest.raises(MethodError, match="one picture at a time"):
        scored(limited(0, NO_MEMORY[1]), segments())


def test_other_errors_are_the_callers() -> None:
    with pytest.raises(RuntimeError, match="do not match"):
        scored(limited(5, RuntimeError("shapes do not match")), segments())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_an_error(value: float) -> None:
    class Breaking(InPlace):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            y[-1] = value
            return y

    clf = classifier("in_place")
    clf.network.__class__ = Breaking
    with pytest.raises(NotFiniteError, match="not finite"):
        scored(clf, segments())


def test_time_ends_a_stream_with_what_there_is() -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    with borrowed(clf.network):
        copies = Copies(clf, x, filled(x, "grey"), expected=100, budget=Budget(1e-9), batch=4)
        parts = list(copies.stream(segments() for _ in range(3)))
        assert [len(part) for part in parts] == [4]
        assert copies.late
        with pytest.raises(OutOfTimeError, match="after 4 of 37"):
            copies.scores(segments())
        patient = Copies(clf, x, filled(x, "grey"), expected=100, budget=Budget(1e9))
        assert [len(part) for part in patient.stream(segments() for _ in range(3))] == [37] * 3
        assert not patient.late


def test_the_next_block_is_asked_for_when_the_last_was_answered() -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    seen: list[str] = []

    def blocks() -> Iterator[Segments]:
        for i in range(3):
            seen.append(f"asked {i}")
            yield segments(10)

    with borrowed(clf.network):
        copies = Copies(clf, x, filled(x, "grey"), expected=30)
        for i, _ in enumerate(copies.stream(blocks())):
            seen.append(f"answered {i}")
            if i == 1:
                break
    assert seen == ["asked 0", "answered 0", "asked 1", "answered 1"]


def test_progress_is_told_after_each_batch() -> None:
    told: list[tuple[int, int]] = []
    scored(classifier("in_place"), segments(), batch=10, budget=Budget(progress=lambda *counts: told.append(counts)))
    assert told == [(10, 37), (20, 37), (30, 37), (37, 37)]


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_of_nothing_is_refused(batch: int) -> None:
    with pytest.raises(OptionError, match="at least one picture"):
        scored(classifier("in_place"), segments(), batch=batch)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_limit_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(OptionError, match="above 0"):
        Budget(seconds)


def test_time_that_is_up_when_all_is_done_leaves_nothing_out() -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    with borrowed(clf.network):
        copies = Copies(clf, x, filled(x, "grey"), expected=37, budget=Budget(1e-9), batch=100)
        assert [len(part) for part in copies.stream([segments()])] == [37]
        assert not copies.late


def test_a_share_of_the_time_counts_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 6.0, 7.0, 11.0])
    monkeypatch.setattr("cnnaudit.perturbation.budget.time.monotonic", lambda: next(clock))
    budget = Budget(10.0)
    with budget.share(0.5):
        assert [budget.is_up(), budget.is_up()] == [False, True]
    assert [budget.is_up(), budget.is_up()] == [False, True]
    assert budget.late


def test_shapes_that_do_not_fit_are_refused() -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    with pytest.raises(OptionError, match="one picture"):
        Copies(clf, x, filled(x, "grey")[:, :, :20], expected=1)
    with pytest.raises(OptionError, match="masks of"):
        Copies(clf, x, filled(x, "grey"), expected=1).scores(Windows(torch.zeros(1, 4, dtype=torch.int64), (8, 8)))
    with pytest.raises(OptionError, match="0 masks"):
        Copies(clf, x, filled(x, "grey"), expected=1).scores(segments(0))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure even small networks, and let any form that agrees be fast enough."""
    monkeypatch.setattr(devices, "SMALL", 0)
    monkeypatch.setattr(devices, "WORTHWHILE", 1)
    monkeypatch.setattr(devices, "_SECONDS", 0.0)
    monkeypatch.setattr(devices, "_FASTER", math.inf)


def in_forms(monkeypatch: pytest.MonkeyPatch, exact: Form, reduced: Form | None) -> None:
    monkeypatch.setattr("cnnaudit.perturbation.copies.forms", lambda *_: Forms(exact, reduced))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_another_form_gives_the_same_scores_and_leaves_the_network_alone(architecture: str, measured: None) -> None:
    clf = classifier(architecture)
    x = picture(clf.input_size)
    masks = Segments((torch.arange(x[0, 0].numel()) * 7 // x[0, 0].numel()).view(x.shape[2:]), segments().shown)
    expected = one_by_one(clf, x, filled(x, "grey"), masks)
    before = model_state(clf.network)
    scores, copies = scored(clf, masks, precision="float32")
    assert differences(before, model_state(clf.network)) == []
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    assert copies.precision_used == "float32"


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_less_precision_is_used_where_it_agrees(
    dtype: torch.dtype, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_forms(monkeypatch, devices.AS_IS, Form(dtype, channels_last))
    clf, x = classifier("in_place"), picture(SIZE)
    scores, copies = scored(clf, segments())
    expected = one_by_one(clf, x, filled(x, "grey"), segments())
    assert copies.precision_used == str(dtype).removeprefix("torch.")
    assert devices.agreement(scores, expected).within(devices.REDUCED)
    assert not torch.equal(scores, expected)
    exact, copies = scored(clf, segments(), precision="float32")
    torch.testing.assert_close(exact, expected, rtol=1e-5, atol=1e-5)
    assert copies.precision_used == "float32"


def test_less_precision_that_disagrees_is_not_used_and_the_reader_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensitive(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([torch.sin(1e4 * x.mean((1, 2, 3))), x[:, 0, 0, 0]], 1)

    in_forms(monkeypatch, devices.AS_IS, Form(torch.bfloat16))
    clf, x = Classifier(Sensitive(), input_size=SIZE), picture(SIZE)
    scores, copies = scored(clf, segments())
    assert "bfloat16 is faster here, but changes these scores by more than 15%" in copies.notes[0]
    assert copies.precision_used == "float32"
    torch.testing.assert_close(scores, one_by_one(clf, x, filled(x, "grey"), segments()), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("pair", [("block", "norm"), ("stem", "pool"), ("stem", "removed")])
def test_a_form_that_was_measured_before_the_network_changed_is_not_used(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_forms(monkeypatch, Form(folded=(pair,)), None)
    clf, x = classifier("in_place"), picture(SIZE)
    scores, copies = scored(clf, segments())
    assert "other scores" in copies.notes[0]
    torch.testing.assert_close(scores, one_by_one(clf, x, filled(x, "grey"), segments()), rtol=1e-5, atol=1e-5)


def test_weights_that_changed_change_the_scores(measured: None) -> None:
    clf, x = classifier("in_place"), picture(SIZE)
    scored(clf, segments())
    with torch.no_grad():
        clf.network.stem.weight.mul_(1.5)
        clf.network.norm.running_mean.add_(0.3)
    scores, _ = scored(clf, segments())
    torch.testing.assert_close(scores, one_by_one(clf, x, filled(x, "grey"), segments()), rtol=1e-4, atol=1e-4)


def test_overflow_of_less_precision_falls_back_and_the_reader_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(nn.Module):
        """Overflows float16 where the upper left corner is hidden, as no copy does that is probed."""

        def forward(self, x: Tensor) -> Tensor:
            hidden = (x[:, 0, 0, 0] == 0.5).to(x.dtype)
            return torch.stack([x.mean((1, 2, 3)) + hidden * 60000 * 2, x[:, 1, 9, 9]], 1)

    in_forms(monkeypatch, devices.AS_IS, Form(torch.float16))
    shown = segments().shown.clone()
    shown[:, 0] = True
    shown[1, 0] = False
    clf, x = Classifier(Large(), input_size=SIZE), picture(SIZE)
    masks = Segments(segments().regions, shown)
    scores, copies = scored(clf, masks)
    assert copies.notes == ("float16 overflows on some copies, so the network is run as it is.",)
    assert (copies.done, copies.asked, copies.precision_used) == (37, 2 * 37, "float32")
    torch.testing.assert_close(scores, one_by_one(clf, x, filled(x, "grey"), masks))


def test_what_was_answered_before_an_overflow_counts_once_and_its_type_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Later(nn.Module):
        """Overflows float16 where the upper left corner is hidden."""

        def forward(self, x: Tensor) -> Tensor:
            hidden = (x[:, 0, 0, 0] == 0.5).to(x.dtype)
            return torch.stack([x.mean((1, 2, 3)) + hidden * 60000 * 2, x[:, 1, 9, 9]], 1)

    in_forms(monkeypatch, devices.AS_IS, Form(torch.float16))
    clf, x, shown = Classifier(Later(), input_size=SIZE), picture(SIZE), segments().shown.clone()
    shown[:, 0] = True
    hidden = shown.clone()
    hidden[:, 0] = False
    with borrowed(clf.network):
        copies = Copies(clf, x, filled(x, "grey"), expected=100)
        answers = list(copies.stream(Segments(segments().regions, each) for each in (shown, hidden)))
    assert [len(answer) for answer in answers] == [37, 37]
    assert (copies.done, copies.asked) == (74, 37 + 2 * 37)
    assert copies.precision_used == "float16 and float32"
    why = explain(clf, x, method="lime", options={"samples": 200, "segments": 12, "segmentation": "grid"})
    assert why.facts["samples"] == 200 < why.forward_passes


def test_a_form_that_is_faster_but_gave_other_scores_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = (Form(channels_last=True), Form(torch.float16, channels_last=True))
    monkeypatch.setattr("cnnaudit.perturbation.copies.forms", lambda *_: Forms(refused=refused))
    said = "Faster here, but not used, as it gives other scores or overflows: channels last"
    for precision, more in (("float32", ""), ("auto", "; float16 with channels last")):
        assert scored(classifier("in_place"), segments(), precision=precision)[1].notes == (f"{said}{more}.",)


def test_batches_grow_while_that_is_faster(measured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clf = classifier("in_place")
    scored(clf, segments(200))
    sizes = [size for key, size in clf.found.items() if key.startswith("batch")]
    assert len(sizes) == 1
    assert sizes[0].settled
    assert sizes[0].size in (8, 16, 32)


MEASURE = """
import resource, torch
from networks import classifier, picture
from cnnaudit.fills import filled
from cnnaudit.hooks import borrowed
from cnnaudit.perturbation import Copies, Segments

def most(count):
    clf, x = classifier("in_place"), picture((32, 40))
    shown = torch.rand(count, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    with borrowed(clf.network):
        Copies(clf, x, filled(x, "grey"), expected=count).scores(Segments(torch.arange(1280).view(32, 40) // 32, shown))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.set_num_threads(1)
few = most(100)
print(most(12000) - few)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are counted in other units")
def test_memory_does_not_grow_with_the_number_of_masks() -> None:
    """All masks at once would take 60 MB, and all copies 180 MB."""
    command = [sys.executable, "-c", MEASURE]
    here = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here, timeout=120)
    assert float(done.stdout) < 20
