"""The maps as files: `.npy` for numbers, `.png` for the eye."""

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from cnnaudit.files import write_bytes
from cnnaudit.report import figures
from cnnaudit.report.encoding import display_codes
from cnnaudit.report.grouping import Group, Maps, groups
from cnnaudit.results import Report, Target

_LONGEST_PIECE = 40


def save_maps(report: Report, folder: Path) -> list[Path]:
    """Write every map to `folder` as `picture-method-target.npy` (float32, `h w`) and as an overlay `.png`,
    hatched where its sign is not settled.

    File names hold ASCII letters, digits, `.`, `_` and `-` only; a name that is taken gets "-2".
    Returns the paths, two a map.

    Raises:
        MethodError: a map holds a value that is not finite.
    """
    taken: set[str] = set()
    paths: list[Path] = []
    for result in report.images:
        stem = _unused(_piece(PurePath(result.image.name).stem) or "picture", taken)
        picture = figures.photo(result.pixels)
        for group in groups(result.explanations):
            paths += _save_group(group, picture, folder / stem, taken)
    return paths


def _save_group(group: Group, picture: np.ndarray, stem: Path, taken: set[str]) -> Iterator[Path]:
    for maps in group.maps:
        name = f"{stem.name}-{group.method.name}-{_target(maps.explanation.target)}"
        base = _unused(name, taken)
        yield _written(stem.with_name(f"{base}.npy"), _npy(maps))
        yield _written(stem.with_name(f"{base}.png"), _png(maps, group, picture))


def _written(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path


def _npy(maps: Maps) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, maps.whole.astype(np.float32))
    return buffer.getvalue()


def _png(maps: Maps, group: Group, picture: np.ndarray) -> bytes:
    codes = display_codes(maps.whole, group.limit)
    drawn = figures.overlay(picture, codes, figures.default_palette(group.signed))
    return figures.encoded(drawn if maps.unsettled is None else figures.hatched(drawn, maps.unsettled), "PNG")


def _target(target: Target) -> str:
    """`269_timber_wolf`, or `269_timber_wolf-versus-250_husky`: the index keeps equal labels apart."""
    name = f"{target.index}_{_piece(target.label)}"
    if target.versus_index is None:
        return name
    return f"{name}-versus-{target.versus_index}_{_piece(target.versus_label or '')}"


def _piece(text: str) -> str:
    """`text` as part of a file name on any system."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._]+", "_", ascii_text)[:_LONGEST_PIECE].strip("._")


def _unused(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem-2`, `stem-3` …, also where the file system ignores case."""
    name, count = stem, 1
    while name.casefold() in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name.casefold())
    return name
