"""Folders and archives of pictures: layouts, geometry, and everything that can be wrong with them."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
from dataset_files import SHARED, classes, needs, picture, put, tar
from PIL import Image as Pillow
from PIL import ImageOps
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

from cnnaudit.classifier import Classifier
from cnnaudit.data.datasets import Dataset, Files, Request, Split, dataset
from cnnaudit.data.images import read_image
from cnnaudit.data.layout import layout
from cnnaudit.errors import DataError, ImageError

SMALL = Request(size=(16, 16))
ROSES = classes(("rose", "tulip"), 10)
SPLITS = classes(("rose", "tulip"), 3, "train/") | classes(("rose", "tulip"), 2, "val/")


def read(path: Path, request: Request = SMALL) -> Dataset:
    return dataset(f"folder:{path}", request)


def same(one: Dataset, other: Dataset) -> None:
    """Both have the same pictures in the same splits, whatever they are held in."""
    assert (one.labels, one.notes) == (other.labels, other.notes)
    for a, b in (
        (one.train, other.train),
        (one.validation, other.validation),
        (one.tests["test"], other.tests["test"]),
    ):
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(pixels(a), pixels(b))


def pixels(split: Split | Files) -> torch.Tensor:
    return split.images if isinstance(split, Split) else torch.stack([split[i] for i in range(len(split))])


def test_splits_and_classes_are_torchvisions(tmp_path: Path) -> None:
    put(tmp_path, SPLITS | classes(("rose", "tulip"), 1, "test/"))
    made = read(tmp_path, Request())
    geometry = Compose([Resize(256), CenterCrop(224), PILToTensor()])
    for part, split in (("train", made.train), ("val", made.validation), ("test", made.tests["test"])):
        theirs = ImageFolder(str(tmp_path / part), geometry)
        assert list(made.labels) == theirs.classes
        assert split.labels.tolist() == theirs.targets
        assert torch.equal(pixels(split), torch.stack([image for image, _ in theirs]))
    assert made.notes == () and made.resize_size == 256
    assert made.augmentation == ("crop", "flip", "colour")
    assert made.mean == (0.485, 0.456, 0.406) and made.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("size", "channels"), [((224, 224), 3), ((32, 32), 1), ((20, 60), 3), ((60, 20), 3), (None, None)]
)
def test_a_classifier_is_shown_the_same_pixels(
    tmp_path: Path, size: tuple[int, int] | None, channels: int | None
) -> None:
    put(tmp_path, SPLITS)
    made = read(tmp_path, Request(size=size, channels=channels))
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    c, h, w = made.train.shape
    network(torch.zeros(1, c, h, w))
    clf = Classifier(network, input_size=(h, w), channels=c, resize_size=made.resize_size, mean=made.mean, std=made.std)
    shown = clf.prepare(read_image(tmp_path / "train" / "rose" / "0.png"))
    assert torch.equal((shown[0] * 255).round().to(torch.uint8), pixels(made.train)[0])


def test_without_splits_a_tenth_of_each_class_is_held_out_and_serves_as_the_test(tmp_path: Path) -> None:
    put(tmp_path, classes(("a", "b", "c"), 20) | {f"rare/{k}.png": picture(9000 + k) for k in range(2)})
    made = read(tmp_path)
    assert made.train.labels.bincount().tolist() == [18, 18, 18, 1]
    assert made.validation.labels.bincount().tolist() == [2, 2, 2, 1]
    assert made.tests["test"] is made.validation
    assert made.notes == ("there is no test/: the validation serves as the test, so that its accuracy flatters",)
    prints = [image.numpy().tobytes() for split in (made.train, made.validation) for image in pixels(split)]
    assert len(set(prints)) == 62
    same(made, read(tmp_path, Request(size=(16, 16), seed=3)))


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_the_validation_may_have_several_names(tmp_path: Path, validation: str) -> None:
    files = {name.replace("val/", f"{validation}/"): data for name, data in SPLITS.items()}
    same(read(put(tmp_path / "a", files)), read(put(tmp_path / "b", SPLITS)))


def test_train_alone_is_as_good_as_the_classes_alone(tmp_path: Path) -> None:
    alone = put(tmp_path / "a", {f"train/{name}": data for name, data in ROSES.items()})
    same(read(alone), read(put(tmp_path / "b", ROSES)))


def test_with_train_and_test_the_validation_comes_from_train(tmp_path: Path) -> None:
    put(tmp_path, classes(("a", "b"), 10, "train/") | classes(("a", "b"), 3, "test/"))
    made = read(tmp_path)
    assert [len(made.train), len(made.validation), len(made.tests["test"])] == [18, 2, 6]
    assert made.notes == ()


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert read(put(tmp_path, classes(("bus", "car", "train"), 3))).labels == ("bus", "car", "train")


def test_folders_around_and_inside_classes_do_not_matter(tmp_path: Path) -> None:
    deep = {f"flowers/v2/{name.replace('rose/1', 'rose/old/1')}": data for name, data in ROSES.items()}
    assert pixels(read(put(tmp_path, deep)).train).shape == (18, 3, 16, 16)
    assert read(tmp_path).labels == ("rose", "tulip")


def test_hidden_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    junk = {"rose/.hidden.png": b"x", ".git/a.png": b"x", "__MACOSX/rose/1.png": b"x", "rose/notes.txt": b"x"}
    same(read(put(tmp_path / "a", ROSES | junk)), read(put(tmp_path / "b", ROSES)))
    (tmp_path / "t.tar").write_bytes(tar(ROSES | junk, gz=False))
    same(read(tmp_path / "t.tar"), read(tmp_path / "b"))


def test_what_is_unreadable_or_astray_is_left_out_with_a_note(tmp_path: Path) -> None:
    bad = {f"rose/bad{k}.jpg": data for k, data in enumerate((b"", b"not a picture", picture(1)[:300], b"<html>"))}
    put(tmp_path, ROSES | bad | {"cover.png": picture(7)})
    made = read(tmp_path)
    assert len(made.train) + len(made.validation) == 20
    assert made.notes[:2] == (
        "1 picture is left out, outside every class folder: cover.png",
        "4 pictures are left out, unreadable: rose/bad0.jpg, rose/bad1.jpg, rose/bad2.jpg, …",
    )


def test_a_test_without_classes_is_none(tmp_path: Path) -> None:
    made = read(put(tmp_path, SPLITS | {"test/1.png": picture(1)}))
    assert made.tests["test"] is made.validation
    assert made.notes[0] == "1 picture is left out, outside every class folder: test/1.png"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no class folder"),
        ({"1.png": picture(1)}, "no class folder"),
        (classes(("rose",), 3), r"rose/; two or more are needed"),
        (classes(("rose",), 3) | classes(("tulip",), 1), "single picture of the class 'tulip'"),
        (SPLITS | classes(("oak",), 1, "train/"), r"the validation split lacks pictures of oak/"),
        (SPLITS | classes(("oak",), 1, "val/"), r"validation split has oak/, which training lacks"),
        (SPLITS | classes(("rose",), 1, "test/"), r"test split lacks pictures of tulip/"),
        (SPLITS | classes(("oak",), 1), r"has train/, val/, but also oak/.*Move them out"),
        (SPLITS | classes(("rose", "tulip"), 1, "valid/"), "two mean the same"),
        (classes(("a", "b"), 2, "val/") | classes(("a", "b"), 2, "test/"), "no train/"),
        ({"train/1.png": picture(1), "val/1.png": picture(2)}, "no class folder"),
        (ROSES | {"oak/bad.png": b"not a picture"}, "no train picture of the class 'oak' can be read"),
        (ROSES | {"oak/notes.txt": b"x"}, r"oak/ holds no picture"),
        (classes(("a", "b"), 0) | {"a/1.jpg": b"x", "b/1.jpg": b"x"}, "no train picture of the class 'a' can be read"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_wrong_is_said(tmp_path: Path, files: dict[str, bytes], message: str, packed: bool) -> None:
    if packed:
        (tmp_path / "pictures.tar").write_bytes(_with_folders(files))
    path = tmp_path / "pictures.tar" if packed else put(tmp_path / "pictures", files)
    path.mkdir(exist_ok=True) if not packed else None
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def _with_folders(files: dict[str, bytes]) -> bytes:
    """A tar with entries for its folders, as `tar -cf` writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents}):
            entry = tarfile.TarInfo(f"./{folder}")
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_a_path_that_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"neither a folder nor a .tar"):
        read(tmp_path / "a.zip")
    with pytest.raises(DataError, match="no such folder or archive"):
        read(tmp_path / "nowhere")


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "store", ROSES)
    (tmp_path / "linked").mkdir()
    for name in ("rose", "tulip"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "rose" / "loop").symlink_to(tmp_path / "store" / "rose")
    same(read(tmp_path / "linked"), read(tmp_path / "store"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    put(tmp_path, ROSES)
    (tmp_path / "rose").chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be listed"):
            read(tmp_path)
    finally:
        (tmp_path / "rose").chmod(0o700)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned = {f"{name}/{k}.jpg": picture(k, (30, 60), "JPEG", exif=exif) for name in "ab" for k in range(2)}
    made = read(
        put(tmp_path, {f"train/{k}": v for k, v in turned.items()} | {f"val/{k}": v for k, v in turned.items()})
    )
    theirs = ImageOps.exif_transpose(Pillow.open(tmp_path / "train" / "a" / "0.jpg"))
    expected = Compose([Resize(18), CenterCrop(16), PILToTensor()])(theirs)
    assert torch.equal(pixels(made.train)[0], expected)


def test_a_large_jpeg_is_next_to_the_same_as_decoded_at_full_size(tmp_path: Path) -> None:
    large = {f"{name}/{k}.jpg": picture(k, (1200, 1600), "JPEG", quality=95) for name in "ab" for k in range(2)}
    made = read(put(tmp_path, {f"train/{k}": v for k, v in large.items()} | {f"val/{k}": v for k, v in large.items()}))
    full = Compose([Resize(18), CenterCrop(16), PILToTensor()])(Pillow.open(tmp_path / "train" / "a" / "0.jpg"))
    assert (pixels(made.train)[0].int() - full.int()).abs().max() <= 3


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    read(put(tmp_path / "a", ROSES), Request(size=(16, 16), drawn=lambda *at: seen.append(at)))
    assert seen == [(k, 20) for k in range(1, 21)]
    seen.clear()
    (tmp_path / "t.tar").write_bytes(tar(ROSES, gz=False))
    read(tmp_path / "t.tar", Request(size=(16, 16), drawn=lambda *at: seen.append(at)))
    assert seen == sorted(seen) and {total for _, total in seen} == {(tmp_path / "t.tar").stat().st_size}


class TestArchive:
    @pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
    @pytest.mark.parametrize("files", [ROSES, SPLITS], ids=["classes", "splits"])
    def test_it_is_the_same_as_the_folder(self, tmp_path: Path, suffix: str, files: dict[str, bytes]) -> None:
        path = tmp_path / f"pictures{suffix}"
        path.write_bytes(tar(dict(reversed(files.items())), gz=suffix != ".tar"))
        same(read(path), read(put(tmp_path / "pictures", files)))

    def test_names_that_lead_out_of_it_and_links_are_passed_over(self, tmp_path: Path) -> None:
        buffer = io.BytesIO(tar(ROSES, gz=False))
        secret = tmp_path / "secret.png"
        secret.write_bytes(picture(99))
        with tarfile.open(fileobj=buffer, mode="a") as archive:
            for name, kind in (("rose/link.png", tarfile.SYMTYPE), ("rose/hard.png", tarfile.LNKTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, str(secret)
                archive.addfile(entry)
            entry = tarfile.TarInfo("rose/pipe.png")
            entry.type = tarfile.FIFOTYPE
            archive.addfile(entry)
            for name in ("../rose/up.png", "/rose/root.png", "rose/../../oak/up.png"):
                entry = tarfile.TarInfo(name)
                entry.size = len(picture(1))
                archive.addfile(entry, io.BytesIO(picture(1)))
        path = tmp_path / "t.tar"
        path.write_bytes(buffer.getvalue())
        before = sorted(tmp_path.rglob("*"))
        same(read(path), read(put(tmp_path / "b", ROSES)))
        assert sorted(set(tmp_path.rglob("*")) - set((tmp_path / "b").rglob("*")) - {tmp_path / "b"}) == before

    def test_a_name_that_comes_again_replaces_the_first(self, tmp_path: Path) -> None:
        buffer = io.BytesIO(tar({"rose/0.png": picture(5)} | ROSES, gz=False))
        with tarfile.open(fileobj=buffer, mode="a") as archive:
            entry = tarfile.TarInfo("rose/0.png")
            entry.size = len(picture(123, (40, 48)))
            archive.addfile(entry, io.BytesIO(picture(123, (40, 48))))
        (tmp_path / "t.tar").write_bytes(buffer.getvalue())
        same(read(tmp_path / "t.tar"), read(put(tmp_path / "b", ROSES | {"rose/0.png": picture(123, (40, 48))})))

    @pytest.mark.parametrize("name", ["t.tar", "t.tar.gz"])
    def test_damage_is_named(self, tmp_path: Path, name: str) -> None:
        whole = tar(ROSES, gz=name.endswith("gz"))
        for content in (b"", b"no archive", whole[: len(whole) // 2 + 100]):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match=rf"{name}( cannot be read as a tar archive| has no class folder)"):
                read(tmp_path / name)

    def test_one_that_is_too_large_is_to_be_unpacked(self, tmp_path: Path) -> None:
        (tmp_path / "t.tar").write_bytes(tar(ROSES, gz=False))
        with pytest.raises(DataError, match=r"more than 5 pictures.*Unpack it"):
            read(tmp_path / "t.tar", Request(size=(16, 16), memory=5 * 16 * 16 * 3 + 1))


class TestOnDemand:
    LITTLE = Request(size=(16, 16), memory=1000)

    def test_they_are_the_same_pictures(self, tmp_path: Path) -> None:
        put(tmp_path, ROSES | {"rose/bad.png": b"not a picture", "cover.png": picture(1)})
        made = read(tmp_path, self.LITTLE)
        assert isinstance(made.train, Files) and made.train.shape == (3, 16, 16)
        same(made, read(tmp_path))

    def test_a_loader_reads_them_in_worker_processes(self, tmp_path: Path) -> None:
        made = read(put(tmp_path, ROSES), self.LITTLE)
        copy = pickle.loads(pickle.dumps(made.train))
        loader = torch.utils.data.DataLoader(copy, batch_size=4, num_workers=2)
        assert torch.equal(torch.cat(list(loader)), pixels(read(tmp_path).train))

    def test_one_that_is_damaged_further_on_is_named_when_it_is_read(self, tmp_path: Path) -> None:
        path = put(tmp_path, ROSES) / "rose" / "0.png"
        path.write_bytes(picture(1, (400, 400))[:2000])
        made = read(tmp_path, self.LITTLE)
        with pytest.raises(DataError, match=r"rose/0\.png.*Remove it, and begin again"):
            pixels(made.train), pixels(made.validation)
        assert isinstance(made.notes, tuple) and not any("unreadable" in note for note in made.notes)


@needs("photos")
def test_real_photos_are_as_torchvision_has_them(tmp_path: Path) -> None:
    photos = sorted((SHARED / "data" / "photos").glob("*.JPEG"))[:24]
    for index, photo in enumerate(photos):
        folder = tmp_path / ("even" if index % 2 == 0 else "odd")
        folder.mkdir(exist_ok=True)
        (folder / photo.name).symlink_to(photo)
    made = read(tmp_path, Request())
    geometry = Compose([Resize(256), CenterCrop(224), PILToTensor()])
    theirs = [(target, image) for image, target in ImageFolder(str(tmp_path), geometry)]
    ours = [
        (k, image) for s in (made.train, made.validation) for k, image in zip(s.labels.tolist(), pixels(s), strict=True)
    ]
    assert len(ours) == 24
    for label, image in ours:
        nearest = min((image.int() - other.int()).abs().float().mean().item() for k, other in theirs if k == label)
        assert nearest < 1.0  # 0 but for photos so large that they are decoded at a fraction


class TestLayout:
    def test_members_point_at_the_pictures_that_were_given(self) -> None:
        found = layout([("b", "2"), ("a", "1"), ("b", "1")], [], "here")
        assert found.labels == ("a", "b")
        assert found.members == {"train": ((1, 0), (0, 1), (2, 1))}

    def test_an_empty_class_folder_is_noticed_below_outer_folders_too(self) -> None:
        pictures = [("x", "train", name, "1") for name in "ab"] + [("x", "val", name, "1") for name in "ab"]
        assert layout(pictures, [("x",), ("x", "train")], "here").labels == ("a", "b")
        with pytest.raises(DataError, match=r"c/ holds no picture"):
            layout(pictures, [("x", "train", "c")], "here")


def test_an_unreadable_picture_in_memory_is_named() -> None:
    from cnnaudit.data.images import read_pixels

    for content in (b"", b"not a picture", picture(3)[:80]):
        with pytest.raises(ImageError, match=r"one\.png"):
            read_pixels(content, name="one.png", shorter=8)


def test_pixels_are_read_images_where_nothing_is_left_away(tmp_path: Path) -> None:
    from cnnaudit.data.images import read_pixels

    path = put(tmp_path, {"one.jpg": picture(3, (90, 70), "JPEG")}) / "one.jpg"
    whole = read_image(path).pixels
    np.testing.assert_array_equal(read_pixels(path, name="one", shorter=64), whole)
    np.testing.assert_array_equal(read_pixels(path.read_bytes(), name="one", shorter=64), whole)
    assert read_pixels(path, name="one", shorter=8).shape == (23, 18, 3)
