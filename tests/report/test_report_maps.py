"""Maps as files: their values, their names."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from report_samples import (
    CONTRAST,
    HOSTILE,
    METHODS,
    WOLF,
    explanation,
    full_report,
    hostile_report,
    image,
    report,
    result,
)

from cnnaudit.report import save_maps

LIME = METHODS["lime"]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_each_map_is_a_raw_array_and_an_overlay(tmp_path: Path) -> None:
    paths = save_maps(full_report(), tmp_path / "maps")
    assert len(paths) == 2 * len(METHODS)
    assert set(paths) == set((tmp_path / "maps").iterdir())
    raw = np.load(tmp_path / "maps" / "husky-lime-269_timber_wolf.npy")
    assert raw.dtype == np.float32
    assert np.array_equal(raw, LIME[1].astype(np.float32))
    with PillowImage.open(tmp_path / "maps" / "husky-lime-269_timber_wolf.png") as overlay:
        assert (overlay.size, overlay.mode) == ((224, 224), "RGB")


def test_a_contrast_names_both_classes(tmp_path: Path) -> None:
    made = explanation(*LIME, target=CONTRAST)
    names_written = names(save_maps(report(result([made])), tmp_path))
    assert names_written[0] == "husky-lime-269_timber_wolf-versus-250_Siberian_husky.npy"


@pytest.mark.parametrize("second", ["husky.jpg", "husky.png", "folder/husky.jpeg", "HUSKY.jpg"])
def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path: Path, second: str) -> None:
    pictures = [image("husky.jpg"), image(second), image("husky-2.jpg")]
    made = [result([explanation(*LIME, of=of), explanation(*LIME, of=of)]) for of in pictures]
    written = names(save_maps(report(*made), tmp_path))
    assert len({name.casefold() for name in written}) == len(written) == 12
    assert written == names(save_maps(report(*made), tmp_path))


def test_classes_of_one_label_are_told_apart(tmp_path: Path) -> None:
    made = [explanation(*LIME, target=replace(WOLF, index=index, label="crane")) for index in (134, 517)]
    assert len(set(save_maps(report(result(made)), tmp_path))) == 4


@pytest.mark.parametrize("name", [HOSTILE, "../../etc/passwd", "狼.jpg", ".", "con:aux?.jpg", "x" * 300])
def test_names_are_safe_on_every_file_system(tmp_path: Path, name: str) -> None:
    for path in save_maps(report(result([explanation(*LIME, of=image(name))])), tmp_path):
        assert path.parent == tmp_path
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,150}", path.name)


def test_hostile_labels_are_safe_too(tmp_path: Path) -> None:
    assert all(path.parent == tmp_path for path in save_maps(hostile_report(), tmp_path))
