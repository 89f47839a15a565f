"""What is measured of pictures and files, against Pillow and scipy."""

import math
from pathlib import Path

import pytest
import torch
from made_up import clouds, framed, generator, saved
from PIL import Image as Pillow
from PIL import ImageStat
from scipy import ndimage

from cnnaudit.auditing.measures import cast, sharpness
from cnnaudit.auditing.moving import (
    blurred,
)
from cnnaudit.auditing.properties import measured


def test_brightness_and_contrast_are_pillows() -> None:
    pixels = clouds(4).mul(255).round().div(255)
    found = measured(pixels, ())
    for k, each in enumerate(pixels):
        grey = ImageStat.Stat(Pillow.fromarray(each.permute(1, 2, 0).mul(255).round().byte().numpy()).convert("L"))
        assert float(found["brightness"][k]) * 255 == pytest.approx(grey.mean[0], abs=0.6)  # Pillow rounds each pixel
        assert float(found["contrast"][k]) * 255 == pytest.approx(grey.stddev[0], abs=0.6)


def test_sharpness_is_the_laplacians_and_falls_with_blur() -> None:
    grey = clouds(1, channels=1)
    inner = ndimage.laplace(grey[0, 0].numpy())[1:-1, 1:-1]
    assert float(sharpness(grey)) == pytest.approx(math.log(inner.var()), rel=1e-4)
    assert bool((sharpness(blurred(clouds(5), 1.0)) < sharpness(clouds(5))).all())


def test_sharpness_of_a_part_is_of_the_laplacian_that_looks_at_nothing_else() -> None:
    grey = clouds(2, channels=1)
    where = torch.zeros(2, 32, 32, dtype=torch.bool)
    where[0, 4:20, 3:30], where[1] = True, True
    inner = ndimage.laplace(grey[0, 0].numpy())[5:19, 4:29]
    found = sharpness(grey, where)
    assert float(found[0]) == pytest.approx(math.log(inner.var()), rel=1e-4)
    assert float(found[1]) == pytest.approx(float(sharpness(grey)[1]), rel=1e-4)
    assert bool(sharpness(grey, torch.zeros(2, 32, 32, dtype=torch.bool)).isnan().all())


def test_a_cast_is_nothing_in_grey_and_names_the_channel_in_colour() -> None:
    assert cast(clouds(2, channels=1).expand(-1, 3, -1, -1)).abs().max() < 1e-6
    blue = torch.zeros(1, 3, 16, 16)
    blue[:, 2] = 0.5
    assert cast(blue)[0].tolist() == pytest.approx([-0.057, -0.057, 0.443], abs=1e-3)


def test_a_border_is_a_frame_of_one_colour_and_not_what_grows_at_the_sides() -> None:
    plain = clouds(20)
    grass = plain.clone()
    grass[:, :, -3:] = torch.rand(20, 3, 3, 32, generator=generator())
    cropped = framed(plain)
    cropped[:, :, :, :2], cropped[:, :, :, -2:] = plain[:, :, :, :2], plain[:, :, :, -2:]
    for rows, value in ((1, 1.0), (2, 0.0), (4, 1.0)):
        assert bool((measured(framed(plain, rows, value), ())["border"] > 0.1).all())
    assert bool((measured(cropped, ())["border"] > 0.1).all())
    assert bool((measured(torch.cat([plain, grass]), ())["border"] < 0.1).all())


def test_grey_pictures_have_no_colour_and_signals_no_sharpness() -> None:
    assert set(measured(clouds(2, channels=1), ())) == {"brightness", "contrast", "sharpness", "border"}
    signal = measured(torch.rand(2, 1, 1, 40), ())
    assert bool(signal["sharpness"].isnan().all()) and bool(signal["border"].isnan().all())
    assert bool(signal["brightness"].isfinite().all())


@pytest.mark.parametrize("quality", [5, 30, 75, 92])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int, tmp_path: Path) -> None:
    found = measured(clouds(1), saved(clouds(1), tmp_path, quality=quality))
    assert float(found["JPEG quality"]) == quality


def test_files_have_a_size_and_a_format(tmp_path: Path) -> None:
    paths = saved(clouds(1), tmp_path)
    lying = Pillow.new("RGB", (40, 20))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    lying.save(tmp_path / "turned.jpg", exif=exif)
    found = measured(clouds(3), (*paths, tmp_path / "turned.jpg", tmp_path / "missing.png"))
    assert found["height"].tolist()[:2] == [32, 40] and found["width"].tolist()[:2] == [32, 20]
    assert found["aspect ratio"].tolist()[:2] == [1, 0.5]
    assert float(found["bytes per pixel"][0]) == pytest.approx(math.log(paths[0].stat().st_size / 1024), rel=1e-5)
    assert bool(found["JPEG quality"].isnan()[[0, 2]].all()) and bool(found["height"].isnan()[2])
