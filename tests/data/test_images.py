"""What is decoded equals what was encoded: colours, orientations, frames, and arrays in memory."""

import hashlib
import io

import numpy as np
import pytest
from image_files import (
    COLOUR,
    DEEP,
    GREY,
    HEIGHT,
    OPACITY,
    SCALED,
    WIDTH,
    over,
    saved,
)
from PIL import Image as Pillow

from cnnaudit.data.images import from_array
from cnnaudit.errors import ImageError, OptionError

LOSSLESS = [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True, "exact": True})]


@pytest.mark.parametrize(("suffix", "options"), LOSSLESS)
def test_colour_comes_back_exactly(tmp_path, suffix, options):
    image = saved(tmp_path, Pillow.fromarray(COLOUR), suffix, **options)
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert (image.name, image.path) == (f"picture.{suffix}", tmp_path / f"picture.{suffix}")
    assert image.sha256 == hashlib.sha256(image.path.read_bytes()).hexdigest()
    assert image.pixels.flags.writeable and image.pixels.flags.c_contiguous
    assert image.notes == ()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_grey_stays_one_channel(tmp_path, suffix):
    image = saved(tmp_path, Pillow.fromarray(GREY), suffix)
    np.testing.assert_array_equal(image.pixels, GREY[..., None])


def test_jpeg_is_close(tmp_path):
    ramp = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    for pixels in (ramp, np.stack([ramp, ramp[::-1], 255 - ramp], axis=2)):
        image = saved(tmp_path, Pillow.fromarray(pixels), "jpg", quality=95, subsampling=0)
        assert image.pixels.shape == (64, 96, 1 if pixels.ndim == 2 else 3)
        assert np.abs(image.pixels.squeeze().astype(int) - pixels).max() <= 6


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_one_bit_is_black_and_white(tmp_path, suffix):
    image = saved(tmp_path, Pillow.fromarray(GREY > 127), suffix)
    np.testing.assert_array_equal(image.pixels[..., 0], np.where(GREY > 127, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tiff"])
def test_palette_is_looked_up(tmp_path, suffix):
    indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    image = Pillow.fromarray(indices)
    image.putpalette(COLOUR.tobytes())
    np.testing.assert_array_equal(saved(tmp_path, image, suffix).pixels, COLOUR)


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores: EXIF says on which side of the picture the 0th row and column lie."""
    row_at, column_at = {
        1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
        5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom",
    }[orientation].split()  # fmt: skip
    if orientation >= 5:
        upright = upright.swapaxes(0, 1)
    upright = upright[::-1] if row_at in ("bottom", "right") else upright
    return upright[:, ::-1] if column_at in ("right", "bottom") else upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_every_exif_orientation_comes_out_upright(tmp_path, suffix, orientation):
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :32], upright[:16, 32:], upright[16:, :32] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    camera = Pillow.fromarray(np.ascontiguousarray(stored(upright, orientation)))
    image = saved(tmp_path, camera, suffix, exif=exif, **options)
    assert image.size == (32, 64)
    assert np.abs(image.pixels.astype(int) - upright).max() <= (8 if suffix == "jpg" else 0)
    assert image.notes == ()


def test_orientation_of_16_bit_and_transparent_pictures(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "tiff"):
        image = saved(tmp_path, Pillow.fromarray(np.ascontiguousarray(stored(DEEP, 6))), suffix, exif=exif)
        np.testing.assert_array_equal(image.pixels[..., 0], SCALED)
    rgba = np.dstack([COLOUR, OPACITY])
    image = saved(tmp_path, Pillow.fromarray(np.ascontiguousarray(stored(rgba, 6))), "png", exif=exif)
    np.testing.assert_array_equal(image.pixels, over(COLOUR, OPACITY, (255,) * 3))


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_first_frame_is_read_and_noted(tmp_path, suffix):
    frames = [Pillow.new("RGB", (6, 4), (shade, 0, 0)) for shade in (40, 120, 200)]
    options = {"lossless": True} if suffix == "webp" else {}
    image = saved(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:], **options)
    assert image.notes == ("first of 3 frames",)
    np.testing.assert_array_equal(image.pixels, np.asarray(frames[0]))


@pytest.mark.parametrize("background", ["whit", (1, 2), (0, 0, 256), (0.5, 0, 0), "", None])
def test_a_malformed_background_is_refused(tmp_path, background):
    with pytest.raises(OptionError, match="background is"):
        saved(tmp_path, Pillow.fromarray(COLOUR), "png", background=background)


def test_from_array_takes_each_type_and_copies():
    for array, expected in (
        (COLOUR, COLOUR),
        (GREY, GREY[..., None]),
        (GREY[..., None], GREY[..., None]),
        (DEEP, SCALED[..., None]),
        (DEEP.astype(">u2"), SCALED[..., None]),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (Pillow.fromarray(COLOUR), COLOUR),
        (Pillow.fromarray(DEEP), SCALED[..., None]),
    ):
        image = from_array(array, name="made up")
        np.testing.assert_array_equal(image.pixels, expected)
        assert image.name == "made up" and image.path is None
        assert image.sha256 == hashlib.sha256(expected.tobytes()).hexdigest()
    image.pixels[:] = 0
    original = COLOUR.copy()
    from_array(original).pixels[:] = 0
    np.testing.assert_array_equal(original, COLOUR)


def test_from_array_converts_pillow_modes():
    hsv = from_array(Pillow.fromarray(COLOUR).convert("HSV"))
    assert np.abs(hsv.pixels.astype(int) - COLOUR).max() <= 8
    assert from_array(Pillow.new("1", (3, 2), 1)).pixels.tolist() == [[[255]] * 3] * 2
    cut = io.BytesIO()
    Pillow.fromarray(COLOUR).save(cut, "PNG")
    with pytest.raises(ImageError, match="half"):
        from_array(Pillow.open(io.BytesIO(cut.getvalue()[:80])), name="half")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2), bool),
        np.zeros((2, 2), complex),
        np.full((2, 2), 1.01),
        np.full((2, 2), np.nan),
        Pillow.new("L", (0, 4)),
        [[0, 1]],
        "husky.jpg",
    ],
)
def test_from_array_refuses_what_has_no_meaning(array):
    with pytest.raises(ImageError, match=r"image: .*expected"):
        from_array(array)
