"""What files, folders and patterns on a command line stand for."""

import os
from pathlib import Path

import pytest

from cnnaudit.data.finding import find_images
from cnnaudit.errors import OptionError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    for name in (
        "photos/10.png", "photos/2.JPG", "photos/1.webp", "photos/notes.txt", "photos/.hidden.png",
        "photos/wolf/b.tiff", "photos/wolf/a[1].gif", "photos/wolf/.cache/c.png", "empty/readme.md",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(*arguments: str | Path) -> list[str]:
    return [path.as_posix() for path in find_images(arguments)]


EVERYTHING = ["photos/1.webp", "photos/2.JPG", "photos/10.png", "photos/wolf/a[1].gif", "photos/wolf/b.tiff"]


@pytest.mark.parametrize("argument", ["photos", "photos/", "./photos", "photos/**", "phot*", "*/", "**"])
def test_a_folder_is_read_in_natural_order(photos, argument):
    assert names(argument) == EVERYTHING


def test_absolute_folders_and_patterns_work_too(photos):
    expected = [(photos.parent / name).as_posix() for name in EVERYTHING]
    assert names(photos) == names(f"{photos}/**/*") == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.png", ["photos/10.png"]),
        ("photos/[12].*", ["photos/1.webp", "photos/2.JPG"]),
        ("photos/?.*", ["photos/1.webp", "photos/2.JPG"]),
        ("photos/**/*.tiff", ["photos/wolf/b.tiff"]),
        ("**/*.tiff", ["photos/wolf/b.tiff"]),
        ("photos/wol*", ["photos/wolf/a[1].gif", "photos/wolf/b.tiff"]),
    ],
)
def test_patterns(photos, pattern, expected):
    assert names(pattern) == expected


def test_arguments_keep_their_order_and_each_picture_comes_once(photos):
    given = ("photos/wolf", "photos/10.png", "photos/../photos/10.png", photos, "photos/*")
    found = names(*given)
    assert found[:3] == ["photos/wolf/a[1].gif", "photos/wolf/b.tiff", "photos/10.png"]
    assert len(found) == len(EVERYTHING) == len(set(found))


def test_a_named_file_is_kept_as_it_is(photos):
    assert names("missing.png", "photos/notes.txt", "photos/.hidden.png") == [
        "missing.png", "photos/notes.txt", "photos/.hidden.png",
    ]  # fmt: skip
    assert names("photos/wolf/a[1].gif") == ["photos/wolf/a[1].gif"]
    assert find_images("photos/10.png") == [Path("photos/10.png")]
    assert find_images([]) == []
    assert names("long" * 999) == ["long" * 999]


def test_links_to_folders_are_not_followed_round_in_circles(photos):
    (photos / "wolf" / "up").symlink_to(photos)
    assert names("photos") == EVERYTHING


@pytest.mark.parametrize(
    ("argument", "kind"),
    [("empty", "folder"), ("empty/*", "pattern"), ("photos/*.bmp", "pattern"), ("no/*", "pattern")],
)
def test_a_folder_or_pattern_without_a_picture_is_an_option_error(photos, argument, kind):
    with pytest.raises(OptionError, match=f"the {kind} '.*' holds no picture.*png"):
        find_images(["photos", argument])


def test_a_folder_that_cannot_be_listed_is_an_option_error(photos, monkeypatch):
    def locked(folder, scandir=os.scandir):
        if Path(folder).name == "wolf":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", locked)  # root may list any folder, so permissions will not do
    with pytest.raises(OptionError, match="'photos/wolf' cannot be listed"):
        find_images(["photos"])
