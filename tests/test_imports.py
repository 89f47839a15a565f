"""Which module may import which, and what `import cnnaudit` brings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cnnaudit

PACKAGE = Path(cnnaudit.__file__).parent
LAYERS = (
    {"results", "shapes", "errors", "numbers"},
    {"data", "models", "files", "download", "geometry"},
    {"hooks", "fills", "options", "twins", "memory"},
    {"classifier", "loading", "checkpoints"},
    {"perturbation", "pictures", "devices", "provenance"},
    {"attribution", "trust"},
    {"explaining", "inspection", "training"},
    {"inspecting", "auditing"},
    {"cli", "__main__"},
)
"""From below: a module imports from its own layer or from below it."""
BESIDE = {"files", "report"}
"""`report` draws results and knows nothing else; `files` is about paths alone."""
UPWARDS = {("results", "report")}
"""The deferred import of rendering."""


def imported(path: Path) -> set[str]:
    """The package's own first-level modules that a file imports, deferred imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "cnnaudit" else {node.module or ""}
    parts = [name.split(".") for name in found if name.split(".")[0] == "cnnaudit"]
    return {part[1] for part in parts if len(part) > 1} - {"__version__"}


def level(module: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if module in layer)


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imported(path) - {module}:
        if (module, other) in UPWARDS:
            continue
        if module == "report":
            assert other in {"results", "shapes", "errors", "numbers", "files"}
        elif other == "report":
            assert module in {"explaining", "inspecting", "inspection", "auditing", "training", "cli"}
        else:
            assert level(other) <= level(module), f"{module} imports {other}"


def test_every_module_has_a_place_in_the_order() -> None:
    modules = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert modules - set().union(*LAYERS) - BESIDE == set()


def test_results_meet_the_report_only_when_asked() -> None:
    for path in (PACKAGE / "results").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("cnnaudit.report")


def run(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_importing_the_package_does_not_import_torch() -> None:
    run("import cnnaudit, sys; assert 'torch' not in sys.modules; assert 'numpy' not in sys.modules")


def test_explain_stays_a_function_after_its_module_is_imported() -> None:
    run("import cnnaudit.explaining; import cnnaudit as ca; assert callable(ca.explain)")


def test_every_public_name_resolves() -> None:
    for name in cnnaudit.__all__:
        assert callable(getattr(cnnaudit, name)), name
    assert set(cnnaudit.__all__) <= set(dir(cnnaudit))
    assert sorted(cnnaudit.__all__) == list(cnnaudit.__all__)


def test_no_public_name_is_also_a_submodule() -> None:
    """`import cnnaudit.name` would put the module in the place of the lazily found name."""
    submodules = {path.stem for path in PACKAGE.glob("*.py")} | {p.name for p in PACKAGE.iterdir() if p.is_dir()}
    assert not submodules & set(cnnaudit.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="explian"):
        cnnaudit.explian  # noqa: B018
