"""The command line as a user meets it: help, mistakes, configuration, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cnnaudit.cli import main
from cnnaudit.data import scenes
from cnnaudit.numbers import percent

FAST = ["--model", "husky-wolf", "--method", "grad_cam"]


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(main, list(arguments), env=env)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    scene = next(iter(scenes.generate(1, correlation=1.0, seed=3)))
    Image.fromarray(scene.image.pixels).save(tmp_path / "photo.png")
    return "photo.png"


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom cnnaudit.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'rich') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "explain" in done.stdout and "photo.jpg" in done.stdout


@pytest.mark.parametrize("verb", ["explain", "inspect", "audit", "train", "models", "methods", "datasets"])
def test_every_verb_has_help_with_a_sentence_for_each_option(verb: str) -> None:
    assert run(verb, "--help").exit_code == 0
    command = main.get_command(click.Context(main), verb)  # type: ignore[attr-defined]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert options
    assert [option.name for option in options if not option.help] == []


def test_every_option_has_a_variable(photo: str) -> None:
    twin = run("explain", photo, *FAST, "--json", env={"CNNAUDIT_TARGET": "husky", "CNNAUDIT_VERSUS": "wolf"})
    assert json.loads(twin.stdout)["images"][0]["explanations"][0]["target"]["name"] == "husky − wolf"


def test_an_unwritable_folder_is_said_and_exits_with_2(photo: str) -> None:
    Path("file").write_text("")
    result = run("explain", photo, *FAST, "--out", "file/sub")
    assert result.exit_code == 2
    assert "file" in result.stderr and "Traceback" not in result.stderr


def test_cheap_mistakes_are_found_before_a_model_is_loaded(photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("cnnaudit.loading.load", loaded)
    assert run("explain", "missing.png").exit_code == 2
    assert run("explain", photo, "--method", "gradcam").exit_code == 2
    assert run("explain", photo, "--option", "lime.samples=x").exit_code == 2


def test_a_methods_notes_are_printed(photo: str) -> None:
    result = run("explain", photo, "--model", "husky-wolf", "--method", "lime", "--option", "lime.samples=10")
    assert "10 samples are few" in " ".join(result.stdout.split())


def test_a_narrow_terminal_keeps_the_methods_names(photo: str) -> None:
    result = run("explain", photo, "--model", "husky-wolf", "--method", "quick", env={"COLUMNS": "50"})
    assert "grad_cam_plus_plus" in result.stdout


def test_a_misspelt_verb_gets_near_matches() -> None:
    result = run("explan", "x.png")
    assert result.exit_code == 2
    assert "'explain'" in result.output


def test_explain_writes_the_page_and_its_twin_and_prints_the_figures(photo: str) -> None:
    result = run("explain", photo, *FAST)
    assert result.exit_code == 0
    assert "reports/photo.html" in result.stdout and "grad_cam" in result.stdout
    twin = json.loads(Path("reports/photo.json").read_text())
    assert twin["kind"] == "explain" and twin["run"]["command"].startswith("cnnaudit")
    top = twin["images"][0]["predictions"][0]
    assert percent(top["probability"]) in result.stdout and top["label"] in result.stdout


def test_the_same_command_twice_writes_the_same_page(photo: str) -> None:
    arguments = ["explain", photo, "--model", "husky-wolf", "--method", "all", "--option", "lime.samples=50"]
    run(*arguments)
    first = Path("reports/photo.html").read_bytes()
    run(*arguments)
    assert Path("reports/photo.html").read_bytes() == first


def test_json_goes_to_standard_output_alone(photo: str) -> None:
    result = run("explain", photo, *FAST, "--json")
    assert json.loads(result.stdout)["images"][0]["name"] == "photo.png"


def test_one_bad_image_is_a_row_and_strict_makes_it_fail(photo: str) -> None:
    Path("bad.jpg").write_bytes(b"not a picture")
    loose = run("explain", photo, "bad.jpg", *FAST)
    assert loose.exit_code == 0
    assert "1 of 2 images failed" in loose.stderr and "bad.jpg" in loose.stderr
    twin = json.loads(Path("reports/photo.json").read_text())
    assert [("error" in image) for image in twin["images"]] == [False, True]
    assert run("explain", photo, "bad.jpg", *FAST, "--strict").exit_code == 2


def test_nothing_but_bad_images_is_a_failed_run(photo: str) -> None:
    Path("bad.jpg").write_bytes(b"not a picture")
    result = run("explain", "bad.jpg", "missing.png", *FAST)
    assert result.exit_code == 2
    assert not Path("reports").exists()


def test_folders_and_globs_are_expanded(photo: str) -> None:
    Path("more").mkdir()
    for name in ("a.png", "b.png"):
        Path("more", name).write_bytes(Path(photo).read_bytes())
    result = run("explain", "more", "pho*.png", *FAST, "--json")
    assert [image["name"] for image in json.loads(result.stdout)["images"]] == ["a.png", "b.png", "photo.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "0"], "above 0"),
        (["--method", "gradcam"], "Did you mean 'grad_cam'"),
        (["--target", "wolff"], "Did you mean 'wolf'"),
        (["--target", "7"], "0 to 1"),
        (["--target", "wolf", "--versus", "wolf"], "same class"),
        (["--layer", "stage9"], "no layer 'stage9'"),
        (["--method", "lime", "--option", "lime.sample=3"], "Did you mean 'samples'"),
        (["--method", "lime", "--option", "lime.samples=many"], "a whole number"),
        (["--method", "lime", "--option", "samples=3"], "METHOD.KEY=VALUE"),
        (["--option", "lime.samples=3"], "not among the methods"),
        (["--model", "resnet5"], "Did you mean"),
        (["--device", "cuda:99"], "cuda"),
        (["--input-size", "big"], "224"),
        (["--mean", "a,b"], "a number a channel"),
    ],
)
def test_mistakes_exit_with_2_and_say_what_to_do(photo: str, arguments: list[str], message: str) -> None:
    base = ["--method", "grad_cam"] if "--method" not in arguments else []
    model = ["--model", "husky-wolf"] if "--model" not in arguments else []
    result = run("explain", photo, *model, *base, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("reports").exists()


def test_verbose_adds_the_traceback(photo: str) -> None:
    result = run("explain", photo, "--model", "husky-wolf", "--method", "gradcam", "-v")
    assert "Traceback" in result.stderr and "Did you mean" in result.stderr


def test_quiet_prints_the_path_alone(photo: str) -> None:
    result = run("explain", photo, *FAST, "-q")
    assert result.stdout.strip() == "reports/photo.html"
    assert result.stderr == ""


def test_contrast_and_top_k_are_explained(photo: str) -> None:
    contrast = json.loads(run("explain", photo, *FAST, "--target", "wolf", "--versus", "husky", "--json").stdout)
    target = contrast["images"][0]["explanations"][0]["target"]
    assert (target["label"], target["versus_label"]) == ("wolf", "husky")
    both = json.loads(run("explain", photo, *FAST, "--target", "top2", "--json").stdout)
    assert {e["target"]["label"] for e in both["images"][0]["explanations"]} == {"husky", "wolf"}


def test_save_maps_writes_arrays_and_overlays(photo: str) -> None:
    run("explain", photo, *FAST, "--save-maps")
    assert {path.suffix for path in Path("reports/photo-maps").iterdir()} == {".npy", ".png"}


def test_values_come_from_the_flag_then_the_environment_then_the_file(photo: str) -> None:
    Path("cnnaudit.toml").write_text('seed = 5\nmodel = "husky-wolf"\n[explain]\nmethod = "edges"\nout = "pages"\n')

    def ran(*flags: str, env: dict[str, str] | None = None) -> tuple[list[str], int]:
        twin = json.loads(run("explain", photo, "--json", *flags, env=env).stdout)
        return [e["method"] for e in twin["images"][0]["explanations"]], twin["run"]["seed"]

    assert ran() == (["edges"], 5)
    assert ran(env={"CNNAUDIT_METHOD": "saliency", "CNNAUDIT_SEED": "6"}) == (["saliency"], 6)
    assert ran("--method", "random", "--seed", "7", env={"CNNAUDIT_METHOD": "saliency"}) == (["random"], 7)
    assert Path("pages/photo.html").exists()


@pytest.mark.parametrize("text", ['modle = "x"', "[explian]\nseed = 1", "[explain]\nsed = 1", "seed ="])
def test_a_mistake_in_the_file_is_named(photo: str, text: str) -> None:
    Path("cnnaudit.toml").write_text(text)
    result = run("explain", photo, *FAST)
    assert result.exit_code == 2
    assert "cnnaudit.toml" in result.stderr


def test_pyproject_is_read_too(photo: str) -> None:
    Path("pyproject.toml").write_text('[tool.cnnaudit]\nmodel = "husky-wolf"\nmethod = "edges,random"\n')
    twin = json.loads(run("explain", photo, "--json").stdout)
    assert [e["method"] for e in twin["images"][0]["explanations"]] == ["edges", "random"]


def test_lists_name_every_method_and_the_bundled_models() -> None:
    from cnnaudit.attribution import METHODS

    assert [card["name"] for card in json.loads(run("methods", "--json").stdout)] == list(METHODS)
    models = {entry["name"] for entry in json.loads(run("models", "--json").stdout)}
    assert {"husky-wolf", "husky-wolf-fair", "resnet50", "vgg16"} <= models
    assert "grad_cam" in run("methods").stdout and "mobilenet_v2" in run("models").stdout


def test_no_colour_codes_when_standard_output_is_no_terminal(photo: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cnnaudit", "explain", photo, *FAST],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""
