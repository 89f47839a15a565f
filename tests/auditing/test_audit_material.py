"""What is audited: which pictures, whose classes, which masks, and what is said of those that do not do."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from cnnaudit import Classifier, read_image
from cnnaudit.auditing import material
from cnnaudit.auditing.material import pictures_of
from cnnaudit.auditing.pictures import chosen
from cnnaudit.data.splits import Dataset, Files, Split
from cnnaudit.errors import DataError, OptionError

LABELS = ("grey wolf", "husky")


def classifier(labels: tuple[str, ...] | None = LABELS, size: tuple[int, int] = (8, 6)) -> Classifier:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    return Classifier(network, labels=labels, input_size=size, resize_size=9)


def write(folder: Path, *names: str, size: tuple[int, int] = (15, 12)) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def table(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_folder_a_class_gives_names_classes_and_the_pixels_that_the_network_is_given(tmp_path: Path) -> None:
    write(tmp_path, "husky/1.png", "grey wolf/2.png", "Grey-Wolf/10.png")
    asked = classifier()
    found, failures, notes = pictures_of(asked, tmp_path)
    assert set(found.names) == {"husky/1.png", "grey wolf/2.png", "Grey-Wolf/10.png"}
    assert [asked.labels[k] for k in found.truth.tolist()] == [
        "husky" if "husky" in name else "grey wolf" for name in found.names
    ]
    assert (failures, notes, found.columns, found.masks) == ((), (), {}, None)
    for place, path in enumerate(found.paths):
        assert path == tmp_path / found.names[place]
        assert torch.equal(found.read([place]), asked.prepare(read_image(path)))


class Elsewhere(torch.Tensor):
    """As if it were in another device's memory: only what was brought here is a plain tensor."""

    def cpu(self, *_: object, **__: object) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def test_pictures_and_classes_in_another_memory_are_brought_here() -> None:
    images, labels = torch.rand(4, 3, 8, 6).as_subclass(Elsewhere), torch.tensor([0, 1, 1, 0]).as_subclass(Elsewhere)
    found = pictures_of(classifier(), Split(images, labels))[0]
    assert type(found.truth) is torch.Tensor and found.truth.tolist() == [0, 1, 1, 0]
    assert type(found.read([1])) is torch.Tensor


def test_pictures_may_be_read_in_any_order_and_none_of_them(tmp_path: Path) -> None:
    write(tmp_path, "husky/1.png", "grey wolf/2.png", "husky/3.png")
    found = pictures_of(classifier(), tmp_path)[0]
    assert torch.equal(found.read([2, 0, 2]), torch.cat([found.read([2]), found.read([0]), found.read([2])]))
    assert found.read([]).shape == (0, 3, 8, 6)


def test_too_many_files_for_memory_are_read_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "husky/1.png", "grey wolf/2.png", "husky/3.png")
    held = pictures_of(classifier(), tmp_path)[0].read([0, 1, 2])
    monkeypatch.setattr(material, "_MEMORY", 0)
    lazy = pictures_of(classifier(), f"folder:{tmp_path}")[0]
    assert torch.equal(lazy.read([0, 1, 2]), held)
    assert lazy.read([]).shape == (0, 3, 8, 6)


def test_pictures_that_no_training_saw_are_audited_where_they_are_set_apart(tmp_path: Path) -> None:
    write(tmp_path, "train/husky/1.png", "train/grey wolf/2.png", "val/husky/3.png", "val/grey wolf/4.png")
    found = pictures_of(classifier(), tmp_path)[0]
    assert set(found.names) == {"val/husky/3.png", "val/grey wolf/4.png"}
    for each in (found, pictures_of(classifier(), tmp_path / "val")[0]):
        (train,) = each.others
        assert (each.split, train.split, train.truth.tolist()) == ("val", "train", [0, 1])
        assert train.names == ("train/grey wolf/2.png", "train/husky/1.png")
        assert train.read(1).shape == (3, 8, 6)
    assert pictures_of(classifier(), tmp_path / "val/husky")[0].others == ()


@pytest.mark.parametrize("listed", [False, True])
def test_an_unreadable_picture_is_a_row_of_its_own(tmp_path: Path, listed: bool) -> None:
    write(tmp_path, "husky/1.png", "grey wolf/2.png")
    (tmp_path / "husky/3.png").write_bytes(b"no picture")
    rows = (("husky/3.png", "husky", "x"), ("husky/1.png", "husky", "y"), ("grey wolf/2.png", "grey wolf", "z"))
    data = table(tmp_path / "all.csv", ("path", "label", "site"), *rows) if listed else tmp_path
    found, failures, notes = pictures_of(classifier(), data)
    assert len(found) == len(found.names) == len(found.paths) == 2
    assert notes == ()  # the failure says it
    assert [failure.name for failure in failures] == ["husky/3.png"]
    if listed:
        assert found.columns == {"site": ("y", "z")}


def test_labels_that_the_network_does_not_have_are_named(tmp_path: Path) -> None:
    write(tmp_path, "husky/1.png", "grey wolfe/2.png", "fox/3.png")
    with pytest.raises(DataError, match="'fox', 'grey wolfe' are no classes of"):
        pictures_of(classifier(), tmp_path)


def test_as_many_folders_of_other_names_are_not_taken_for_named_classes(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "dog/2.png")
    with pytest.raises(DataError, match="'cat', 'dog' are no classes"):
        pictures_of(classifier(), tmp_path)
    found, _, notes = pictures_of(classifier(labels=None), tmp_path)
    assert found.truth.tolist() == [0, 1]
    assert "cat, dog" in notes[0]


def test_folders_that_are_numbers_are_classes_of_a_network_whose_labels_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, "0/1.png", "3/2.png", "10/3.png")
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 20))
    found, _, notes = pictures_of(Classifier(network, input_size=(8, 6)), tmp_path)
    assert {name.split("/")[0]: k for name, k in zip(found.names, found.truth.tolist(), strict=True)} == {
        "0": 0,
        "3": 3,
        "10": 10,
    }
    assert "numbers of its classes" in notes[0]
    write(tmp_path, "20/1.png")
    with pytest.raises(DataError, match="are no classes"):
        pictures_of(Classifier(network, input_size=(8, 6)), tmp_path)


def test_a_table_says_what_the_csv_module_reads_from_it(tmp_path: Path) -> None:
    write(tmp_path, "a,b.png", "c.png", "d.png")
    path = table(
        tmp_path / "t.csv",
        ("Site", "PATH", "Label", "age"),
        ("north, east", "a,b.png", "Grey_Wolf", "3"),
        ("", "c.png", "1", 'said "old"'),
        ("two\nlines", str(tmp_path / "d.png"), "husky", ""),
    )
    found, failures, _ = pictures_of(classifier(), str(path))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert found.names == tuple(row["PATH"] for row in rows)
    assert found.columns == {name: tuple(row[name] for row in rows) for name in ("Site", "age")}
    assert found.truth.tolist() == [0, 1, 1]
    assert failures == ()


def test_a_table_may_be_set_apart_by_semicolons_and_begin_with_a_mark(tmp_path: Path) -> None:
    write(tmp_path, "c.png")
    (tmp_path / "t.csv").write_text("\ufefffile;class;x\n\nc.png;husky;1,5\n", encoding="utf-8")
    found = pictures_of(classifier(), tmp_path / "t.csv")[0]
    assert (found.names, found.truth.tolist(), found.columns) == (("c.png",), [1], {"x": ("1,5",)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no row below"),
        ("path,label\n", "no row below"),
        ("path,kind\nc.png,husky\n", "none of them is named 'label'"),
        ("where,label\nc.png,husky\n", "none of them is named 'path'"),
        ("path,label,Path\nc.png,husky,c.png\n", "two columns named 'path'"),
        ("path,label\nc.png,husky\nc.png\n", "line 3: 1 values"),
        ('path,label\nc.png,"hus\n', "line 2"),
        ("path,label\nc.png,husky\n\nc.png,fox\n", "line 4: 'fox' is no class"),
        ("path,label\nc.png,2\n", "line 2: '2' is no class"),
    ],
)
def test_a_malformed_table_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "c.png")
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        pictures_of(classifier(), tmp_path / "t.csv")


def test_a_table_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        pictures_of(classifier(), tmp_path / "none.csv")
    (tmp_path / "t.csv").write_bytes(b"path,label\n\xff\xfe,husky\n")
    with pytest.raises(DataError, match="UTF-8"):
        pictures_of(classifier(), tmp_path / "t.csv")


def part(labels: list[int], shape: tuple[int, ...] = (3, 8, 6)) -> Split:
    images = torch.randint(0, 256, (len(labels), *shape), generator=torch.Generator().manual_seed(0)).byte()
    return Split(images, torch.tensor(labels))


def dataset(labels: tuple[str, ...]) -> Dataset:
    test = part([0, 1, 1])
    return Dataset("toy", labels, test, test, {"test": test}, (0.5,) * 3, (0.2,) * 3, ())


def test_a_part_in_memory_and_one_on_demand_are_the_same() -> None:
    split = part([1, 0, 1])
    held = pictures_of(classifier(), split)[0]
    asked = pictures_of(classifier(), Files(split.labels, split.shape, split.images.__getitem__))[0]
    assert torch.equal(held.read([2, 1]), split.images[[2, 1]] / 255)
    assert torch.equal(asked.read([2, 1]), held.read([2, 1]))
    assert held.names == asked.names == ("0", "1", "2")


def test_a_dataset_s_classes_are_the_network_s_by_name_or_by_number() -> None:
    learnt = replace(dataset(("husky", "grey wolf")), train=part([1, 0]))
    (train,) = pictures_of(classifier(), learnt)[0].others
    assert (train.names, train.truth.tolist()) == (("train 0", "train 1"), [0, 1])
    assert pictures_of(classifier(), dataset(("husky", "grey wolf")))[0].truth.tolist() == [1, 0, 0]
    assert pictures_of(classifier(), dataset(("0", "1")))[0].truth.tolist() == [0, 1, 1]
    assert pictures_of(classifier(labels=None), dataset(("a", "b")))[0].truth.tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="'dog' is no class"):
        pictures_of(classifier(), dataset(("husky", "dog")))
    with pytest.raises(DataError, match="classes that"):
        pictures_of(classifier(), part([0, 2]))


def test_what_is_no_set_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="8 x 8"):
        pictures_of(classifier(), part([0, 1], (3, 8, 8)))
    with pytest.raises(OptionError, match="Unpack"):
        pictures_of(classifier(), tmp_path / "x.tar.gz")
    with pytest.raises(OptionError, match="husky-wolf"):
        pictures_of(classifier(), "husky-wolfs")
    with pytest.raises(OptionError, match="int"):
        pictures_of(classifier(), 3)  # type: ignore[arg-type]


def test_masks_are_resized_and_cropped_as_the_pictures_are(tmp_path: Path) -> None:
    names = ("husky/1.png", "husky/2.png", "grey wolf/3.png")
    write(tmp_path / "photos", *names, size=(17, 13))  # odd sides: no pixel lies between two others
    rng = np.random.default_rng(5)
    truths = {name: rng.integers(0, 2, (17, 13)) for name in names}
    (tmp_path / "masks/husky").mkdir(parents=True)
    Image.fromarray((truths[names[0]] * 255).astype(np.uint8)).save(tmp_path / "masks/husky/1.png")
    Image.fromarray(truths[names[1]].astype(bool)).save(tmp_path / "masks/husky/2.tif")
    Image.fromarray(truths[names[2]].astype(np.uint8)).save(tmp_path / "masks/3.bmp")  # 0 and 1, and no folder
    found, failures, _ = pictures_of(classifier(), tmp_path / "photos", masks=tmp_path / "masks")
    assert failures == () and found.masks is not None
    for place, name in enumerate(found.names):
        mask = torch.from_numpy(truths[name]).byte().unsqueeze(0)
        side = [int(9 * 17 / 13), 9]
        expected = vision.center_crop(vision.resize(mask, side, InterpolationMode.NEAREST_EXACT), [8, 6])[0] > 0
        assert torch.equal(found.masks([place])[0], expected), name


def test_a_picture_without_a_mask_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path / "photos", "husky/1.png", "husky/2.png", "grey wolf/3.png")
    write(tmp_path / "masks", "1.png", "4.png")
    (tmp_path / "masks/3.png").write_bytes(b"no picture")
    found, failures, _ = pictures_of(classifier(), tmp_path / "photos", masks=str(tmp_path / "masks"))
    assert found.names == ("husky/1.png",)
    assert {failure.name for failure in failures} == {"husky/2.png", "grey wolf/3.png"}
    with pytest.raises(OptionError, match="no folder"):
        pictures_of(classifier(), tmp_path / "photos", masks=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="A mask has the picture's name"):
        pictures_of(classifier(), tmp_path / "photos", masks=tmp_path / "empty")
    write(tmp_path / "others", "7.png")
    with pytest.raises(OptionError, match="No picture"):
        pictures_of(classifier(), tmp_path / "photos", masks=tmp_path / "others")


def test_some_of_the_pictures_keep_all_that_is_known_of_them(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png", "c.png")
    rows = [("a.png", "husky", "1"), ("b.png", "grey wolf", "2"), ("c.png", "husky", "3")]
    whole = pictures_of(classifier(), table(tmp_path / "t.csv", ("path", "label", "x"), *rows))[0]
    some = chosen(whole, [2, 1])
    assert (some.names, some.columns, some.truth.tolist()) == (("c.png", "b.png"), {"x": ("3", "2")}, [1, 0])
    assert torch.equal(some.read([0, 1]), whole.read([2, 1]))
