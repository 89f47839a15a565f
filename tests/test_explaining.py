"""`explain` and `explain_all`: targets, layers, functions of the user's own, and what goes wrong."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_state import differences, model_state
from networks import MEAN, STD, Detached, classifier, network, picture, seeded
from PIL import Image as PILImage
from torch import Tensor, nn

from cnnaudit import Attribution, Classifier, explain, explain_all, from_array
from cnnaudit.attribution import METHODS, Query
from cnnaudit.errors import CnnAuditError, ImageError, LayerError, MethodError, NotApplicableError, OptionError
from cnnaudit.explaining import Step
from cnnaudit.results import Report

LABELS = ("husky", "wolf", "snow", "grass", "forest")
GRADIENT_METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "deep_lift")
QUICK = {"occlusion": {"window": 16}, "lime": {"samples": 16, "segments": 6}, "rise": {"samples": 24}}


@pytest.fixture
def clf() -> Classifier:
    return Classifier(network("in_place"), input_size=(32, 40), mean=MEAN, std=STD, labels=LABELS)


@pytest.fixture
def pixels() -> Tensor:
    return picture((32, 40))


def maps(report: Report) -> dict[tuple[str, str], Tensor]:
    return {(e.method, e.target.name): e.heatmap for image in report.images for e in image.explanations}


def test_the_first_choice_is_the_default_target(clf: Classifier, pixels: Tensor) -> None:
    why = explain(clf, pixels, method="saliency")
    assert why.target.index == why.prediction.index == int(clf.scores(pixels).argmax())
    assert why.prediction == clf.predict(pixels)[0]
    assert why.seconds > 0
    assert why.forward_passes == 1
    assert torch.equal(why.pixels, pixels)


def test_a_label_or_an_index_is_a_target(clf: Classifier, pixels: Tensor) -> None:
    by_label = explain(clf, pixels, method="saliency", target="snow")
    by_index = explain(clf, pixels, method="saliency", target=2)
    assert by_label.target == by_index.target
    assert torch.equal(by_label.heatmap, by_index.heatmap)
    assert not torch.equal(by_label.heatmap, explain(clf, pixels, method="saliency", target=3).heatmap)


def signed_gradient(query: Query) -> Tensor:
    """What lies under saliency."""
    return query.input_gradient()[0].sum(0)


@pytest.mark.parametrize("method", ["input_x_gradient", "hires_cam", "occlusion", "lime", signed_gradient])
def test_a_contrast_is_the_difference_of_two_targets(clf: Classifier, pixels: Tensor, method: Any) -> None:
    options = QUICK.get(method, {}) if isinstance(method, str) else {}
    ask = partial(explain, clf, pixels, method=method, options=options)
    contrast = ask(target="wolf", versus="husky").heatmap
    difference = ask(target="wolf").heatmap - ask(target="husky").heatmap
    torch.testing.assert_close(contrast, difference, rtol=1e-4, atol=1e-5 * float(contrast.abs().max()))
    assert contrast.abs().max() > 0


def test_top_k_explains_each_of_the_first_choices(clf: Classifier, pixels: Tensor) -> None:
    report = explain_all(clf, [pixels], methods=["saliency", "grad_cam"], target="top3")
    labels = [p.label for p in clf.predict(pixels)[:3]]
    assert list(maps(report)) == [(m, label) for label in labels for m in ("saliency", "grad_cam")]
    for label in labels:
        alone = explain(clf, pixels, method="saliency", target=label)
        torch.testing.assert_close(maps(report)["saliency", label], alone.heatmap)


@pytest.mark.parametrize("target", ["top0", "top6", "top99"])
def test_top_k_beyond_the_classes_is_refused(clf: Classifier, pixels: Tensor, target: str) -> None:
    with pytest.raises(OptionError, match=r"top1 to top5"):
        explain_all(clf, [pixels], methods=["saliency"], target=target)


def test_a_label_that_looks_like_top_k_is_a_label(pixels: Tensor) -> None:
    clf = Classifier(network("in_place"), input_size=(32, 40), labels=("a", "top2", "b", "c", "d"))
    report = explain_all(clf, [pixels], methods=["saliency"], target="top2")
    assert [name for _, name in maps(report)] == ["top2"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "grad_cma"}, OptionError, "no method 'grad_cma'. Did you mean 'grad_cam'"),
        ({"target": "wlof"}, OptionError, "no class 'wlof'. Did you mean 'wolf'"),
        ({"target": "wolf", "versus": "huksy"}, OptionError, "Did you mean 'husky'"),
        ({"target": "wolf", "versus": "wolf"}, OptionError, "same class"),
        ({"layer": "lst"}, LayerError, "no layer 'lst'. Did you mean 'last'"),
        ({"layer": "lst", "method": "saliency"}, LayerError, "Did you mean 'last'"),
        ({"layer": "head"}, LayerError, r"returns \(1, 5\), not a map"),
        ({"options": {"rleu": True}}, OptionError, "no option 'rleu'. Did you mean 'relu'"),
        ({"options": {"relu": "perhaps"}}, OptionError, "grad_cam.relu takes true or false"),
        ({"method": "smoothgrad", "options": {"samples": 0}}, OptionError, "samples >= 1"),
        ({"method": "occlusion", "options": {"window": 3, "stride": 4}}, OptionError, "stride <= window"),
        ({"method": "lime", "options": {"samples": 1}}, OptionError, "samples >= 2"),
        ({"method": "integrated_gradients", "options": {"steps": 9, "max_steps": 8}}, OptionError, "max_steps"),
    ],
)
def test_wrong_arguments_are_refused(
    clf: Classifier, pixels: Tensor, arguments: dict[str, Any], error: type[CnnAuditError], message: str
) -> None:
    with pytest.raises(error, match=message):
        explain(clf, pixels, **arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 3, 32, 40), "one picture"),
        (torch.zeros(1, 1, 32, 40), "one picture"),
        (torch.zeros(32, 40), "one picture"),
        (torch.full((1, 3, 32, 40), 2.0), r"\[0, 1\]"),
        (torch.full((1, 3, 32, 40), -0.1), r"\[0, 1\]"),
        (torch.full((1, 3, 32, 40), torch.nan), r"\[0, 1\]"),
        (torch.zeros(1, 3, 32, 40, dtype=torch.uint8), "floating-point"),
    ],
)
def test_wrong_pixels_are_refused(clf: Classifier, given: Tensor, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        explain(clf, given)


def test_a_picture_comes_as_file_image_or_pixels(clf: Classifier, tmp_path: Path) -> None:
    photo = (picture((50, 60))[0].permute(1, 2, 0) * 255).byte().numpy()
    PILImage.fromarray(photo).save(tmp_path / "dog.png")
    image = from_array(photo, name="dog")
    given = (tmp_path / "dog.png", str(tmp_path / "dog.png"), image, clf.prepare(image), clf.prepare(image)[0])
    heatmaps = [explain(clf, one, method="saliency").heatmap for one in given]
    for heatmap in heatmaps[1:]:
        assert torch.equal(heatmap, heatmaps[0])


# functions of the user's own


def test_a_function_is_a_method(clf: Classifier, pixels: Tensor) -> None:
    def brightness(query: Query, *, power: float = 1.0) -> Tensor:
        return query.pixels[0].mean(0) ** power

    why = explain(clf, pixels, method=brightness, options={"power": 2})
    assert why.method == "brightness"
    assert why.options == {"power": 2.0}
    torch.testing.assert_close(why.heatmap, pixels[0].mean(0) ** 2)
    named = explain(clf, pixels, method=partial(brightness, power=3.0))
    torch.testing.assert_close(named.heatmap, pixels[0].mean(0) ** 3)
    with pytest.raises(OptionError, match=r"Did you mean 'power'"):
        explain(clf, pixels, method=brightness, options={"pwer": 2})


def test_what_a_function_returns_is_brought_into_form(clf: Classifier, pixels: Tensor) -> None:
    def double(query: Query) -> Attribution:
        return Attribution(query.pixels[0].mean(0).double().requires_grad_().T.T)

    heatmap = explain(clf, pixels, method=double).heatmap
    assert heatmap.dtype == torch.float32
    assert not heatmap.requires_grad
    as_array = explain(clf, pixels, method=lambda query: query.pixels[0].mean(0).numpy())
    assert torch.equal(as_array.heatmap, heatmap)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.zeros(3, 3), r"map of \(3, 3\); expected \(32, 40\)"),
        (torch.zeros(1, 32, 40), r"map of \(1, 32, 40\)"),
        (torch.full((32, 40), torch.inf), "not finite"),
        (None, "returned NoneType"),
        ("a map", "returned str"),
    ],
)
def test_a_function_that_returns_no_map_is_an_error(
    clf: Classifier, pixels: Tensor, returned: Any, message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        explain(clf, pixels, method=lambda query: returned)


# networks that go wrong


class Poisoned(nn.Module):
    """Its score is finite and its gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean((2, 3)) + (x * 0).abs().sum((1, 2, 3)).sqrt()[:, None]


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "smoothgrad", "integrated_gradients"])
def test_values_that_are_not_finite_are_never_a_map(method: str) -> None:
    clf = Classifier(seeded(Poisoned), input_size=(8, 8))
    with pytest.raises(MethodError, match=r"not finite"):
        explain(clf, picture((8, 8)), method=method)


@pytest.mark.parametrize("method", [*GRADIENT_METHODS, "guided_backprop", "grad_cam", "hires_cam"])
def test_a_network_that_cuts_its_graph_has_no_gradient(method: str) -> None:
    clf = Classifier(seeded(Detached), input_size=(16, 16))
    with pytest.raises(NotApplicableError, match=r"no gradient.*occlusion or lime"):
        explain(clf, picture((16, 16)), method=method)


@pytest.mark.parametrize("method", ["occlusion", "lime", "rise", "score_cam", "ablation_cam", "random", "edges"])
def test_perturbation_needs_no_gradient(method: str) -> None:
    clf = Classifier(seeded(Detached), input_size=(16, 16))
    assert explain(clf, picture((16, 16)), method=method, options=QUICK.get(method)).heatmap.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_network_made_in_inference_mode(pixels: Tensor, method: str) -> None:
    with torch.inference_mode():
        clf = Classifier(network("in_place"), input_size=(32, 40))
    clf.network.train()
    before = model_state(clf.network)
    if METHODS[method].shares_gradient or method in (*GRADIENT_METHODS, "guided_backprop"):
        with pytest.raises(NotApplicableError, match=r"inference_mode.*occlusion or lime"):
            explain(clf, pixels, method=method)
    else:
        why = explain(clf, pixels, method=method, options=QUICK.get(method))
        assert why.heatmap.any() or method == "sufficient"  # this network says the same of grey
    assert differences(before, model_state(clf.network)) == []


def test_what_cannot_run_is_listed_and_the_rest_runs() -> None:
    clf = classifier("vit")
    report = explain_all(clf, [picture((32, 32))], options=QUICK)
    declined = {d.card.name: d.reason for d in report.images[0].declined}
    cams = {"grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "ablation_cam", "score_cam"}
    assert set(declined) == cams | {"guided_backprop"}
    assert "tokens" in declined["grad_cam"]
    assert {e.method for e in report.images[0].explanations} == set(METHODS) - set(declined)


def test_a_wrong_layer_stops_before_any_picture_is_read(clf: Classifier) -> None:
    with pytest.raises(LayerError, match=r"Did you mean 'last'"):
        explain_all(clf, ["no such file.png"], methods=["saliency"], layer="lats")


def test_wrong_options_stop_before_any_picture_is_read(clf: Classifier) -> None:
    for options in ({"lime": {"sample": 3}}, {"occlusion": {"window": 3}}, {"lmie": {}}):
        with pytest.raises(OptionError):
            explain_all(clf, ["no such file.png"], methods=["lime"], options=options)
    with pytest.raises(OptionError, match=r"Did you mean 'lime'"):
        explain_all(clf, ["no such file.png"], methods=["limee"])


def test_one_bad_picture_is_a_row_and_the_rest_go_on(clf: Classifier, pixels: Tensor, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    report = explain_all(clf, [tmp_path / "broken.png", pixels, "missing.png"], methods=["saliency"])
    assert len(report.images) == 1
    assert [
        failure.name.endswith(name)
        for failure, name in zip(report.failures, ("broken.png", "missing.png"), strict=True)
    ]
    with pytest.raises(ImageError):
        explain(clf, tmp_path / "broken.png")


class Allergic(nn.Module):
    """Overflows on a white picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean((2, 3)) / (x.mean((1, 2, 3)) < 1)[:, None]


def test_a_picture_that_the_network_overflows_on_is_a_row_too() -> None:
    clf = Classifier(seeded(Allergic), input_size=(8, 8))
    report = explain_all(clf, [torch.ones(1, 3, 8, 8), picture((8, 8))], methods=["saliency"])
    assert len(report.images) == len(report.failures) == 1
    assert "not finite" in report.failures[0].reason


def test_a_picture_whose_choice_is_the_contrast_is_a_row_too(clf: Classifier, pixels: Tensor) -> None:
    first, second = (p.label for p in clf.predict(pixels)[:2])
    report = explain_all(clf, [pixels], methods=["saliency"], versus=first)
    assert not report.images
    assert "same class" in report.failures[0].reason
    report = explain_all(clf, [pixels], methods=["saliency"], target="top2", versus=first)
    assert [name for _, name in maps(report)] == [f"{second} − {first}"]


def test_report_of_all_methods_equals_each_alone(clf: Classifier, pixels: Tensor) -> None:
    report = maps(explain_all(clf, [pixels], options=QUICK))
    assert [method for method, _ in report] == list(METHODS)
    for (method, _), heatmap in report.items():
        alone = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
        torch.testing.assert_close(heatmap, alone, rtol=1e-4, atol=1e-5 * float(alone.abs().max()), msg=method)


def test_progress_names_picture_and_method(clf: Classifier, pixels: Tensor) -> None:
    told: list[Step] = []
    label = clf.predict(pixels)[0].label
    explain_all(clf, [pixels], methods=["random", "edges"], progress=told.append)
    assert told == [Step("pixels", "random", label, 0), Step("pixels", "edges", label, 1)]


@pytest.mark.parametrize("method", METHODS)
def test_default_device_and_dtype_of_the_caller_do_not_matter(clf: Classifier, pixels: Tensor, method: str) -> None:
    expected = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    with torch.device("meta"):
        there = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    assert torch.equal(there, expected)
    torch.set_default_dtype(torch.float64)
    try:
        double = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    finally:
        torch.set_default_dtype(torch.float32)
    assert double.dtype == torch.float32
    if METHODS[method].function.__name__ not in ("random", "smoothgrad", "lime"):
        torch.testing.assert_close(double, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_a_network_on_another_device_gives_the_same_map(clf: Classifier, pixels: Tensor, method: str) -> None:
    expected = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    clf.network.to("cuda")
    there = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    torch.testing.assert_close(there, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_networks_are_explained_too(pixels: Tensor, method: str) -> None:
    clf = Classifier(network("in_place").to(torch.bfloat16), input_size=(32, 40), mean=MEAN, std=STD)
    heatmap = explain(clf, pixels, method=method, options=QUICK.get(method)).heatmap
    assert heatmap.dtype == torch.float32
    assert np.isfinite(heatmap.numpy()).all()
