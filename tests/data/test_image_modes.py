"""Transparency, depth and colour spaces, each against the conversion's own formula."""

import struct

import numpy as np
import pytest
from image_files import (
    COLOUR,
    DEEP,
    GREY,
    HEIGHT,
    OPACITY,
    RNG,
    SCALED,
    WIDTH,
    over,
    png,
    read_bytes,
    saved,
    tiff,
)
from PIL import Image as Pillow
from PIL import ImageCms

from cnnaudit.errors import ImageError


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("background", "fill"),
    [("white", (255,) * 3), ("black", (0,) * 3), ("grey", (128,) * 3), ((9, 80, 200),) * 2],
)
def test_alpha_is_laid_on_the_background(tmp_path, suffix, background, fill):
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    rgba = Pillow.fromarray(np.dstack([COLOUR, OPACITY]))
    image = saved(tmp_path, rgba, suffix, background=background, **options)
    np.testing.assert_array_equal(image.pixels, over(COLOUR, OPACITY, fill))
    assert image.notes == (f"transparent areas laid on rgb{fill}",)


def test_grey_with_alpha_is_grey_only_on_grey(tmp_path):
    image = Pillow.fromarray(np.dstack([GREY, OPACITY]), "LA")
    expected = over(GREY[..., None], OPACITY, (128,) * 3)
    np.testing.assert_array_equal(saved(tmp_path, image, "png", background="grey").pixels, expected[..., :1])
    coloured = saved(tmp_path, image, "png", background=(1, 2, 3))
    np.testing.assert_array_equal(coloured.pixels, over(GREY[..., None], OPACITY, (1, 2, 3)))


def test_opaque_alpha_changes_and_says_nothing(tmp_path):
    image = saved(tmp_path, Pillow.fromarray(COLOUR).convert("RGBA"), "png")
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert image.notes == ()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png_grey_with_a_transparent_value(tmp_path, depth):
    levels = RNG.integers(0, 2**depth, (HEIGHT, WIDTH))
    key = int(levels[2, 3])
    data = png(levels, depth, 0, tRNS=struct.pack(">H", key))
    expected = np.where(levels == key, 0, np.rint(levels * 255 / (2**depth - 1)))
    np.testing.assert_array_equal(read_bytes(tmp_path, data, background="black").pixels[..., 0], expected)
    assert read_bytes(tmp_path, data).pixels[2, 3] == 255


@pytest.mark.parametrize("depth", [8, 16])
def test_png_colour_with_a_transparent_colour(tmp_path, depth):
    values = COLOUR.astype(np.uint16) * (257 if depth == 16 else 1)
    data = png(values, depth, 2, tRNS=struct.pack(">HHH", *values[1, 1].tolist()))
    expected = np.where((COLOUR[1, 1] == COLOUR).all(axis=2)[..., None], (1, 2, 3), COLOUR)
    np.testing.assert_array_equal(read_bytes(tmp_path, data, background=(1, 2, 3)).pixels, expected)


@pytest.mark.parametrize("opacities", [bytes([0]), bytes([255, 0]), bytes(range(HEIGHT * WIDTH))])
def test_png_palette_with_transparency(tmp_path, opacities):
    indices = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    data = png(indices, 8, 3, PLTE=COLOUR.tobytes(), tRNS=opacities)
    opacity = np.frombuffer(opacities.ljust(HEIGHT * WIDTH, b"\xff"), np.uint8).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_bytes(tmp_path, data).pixels, over(COLOUR, opacity, (255,) * 3))


def test_gif_with_a_transparent_colour(tmp_path):
    image = Pillow.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH))
    image.putpalette(COLOUR.tobytes())
    read = saved(tmp_path, image, "gif", background="black", transparency=8)
    expected = COLOUR.copy()
    expected[1, 1] = 0
    np.testing.assert_array_equal(read.pixels, expected)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    image = saved(tmp_path, Pillow.fromarray(DEEP), suffix)
    np.testing.assert_array_equal(image.pixels[..., 0], SCALED)
    assert image.notes == ("values from 0 to 65535 scaled to 8 bits",)


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_16_bit_png_colour_and_alpha(tmp_path, kind):
    channels = {2: 3, 4: 2, 6: 4}[kind]
    values = RNG.integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    image = read_bytes(tmp_path, png(values, 16, kind), background="black")
    expected = values[..., : channels - 1 if kind > 2 else 3] / 257
    if kind > 2:
        expected = expected * values[..., -1:] / 65535
    assert image.pixels.shape[2] == expected.shape[2]
    assert np.abs(image.pixels - expected).max() <= 1.5 + (kind > 2)
    assert "16-bit colour reduced to 8 bits" in image.notes


@pytest.mark.parametrize(
    ("order", "photometric", "expected"), [("<", 1, SCALED), (">", 1, SCALED), ("<", 0, 255 - SCALED)]
)
def test_16_bit_tiff_in_either_byte_order_and_polarity(tmp_path, order, photometric, expected):
    data = tiff(DEEP.astype(order + "u2"), order, 16, photometric)
    np.testing.assert_array_equal(read_bytes(tmp_path, data, "tif").pixels[..., 0], expected)


def test_12_bit_tiff_uses_its_whole_range(tmp_path):
    values = RNG.integers(0, 4096, (HEIGHT, 8))
    first, second = values[:, 0::2], values[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8)
    data = bytearray(tiff(packed.reshape(HEIGHT, 12), "<", 12, 1))
    data[18:20] = struct.pack("<H", 8)  # the width in pixels, not in bytes
    pixels = read_bytes(tmp_path, bytes(data), "tif").pixels[..., 0]
    np.testing.assert_array_equal(pixels, np.rint(values * 255 / 4095))


def test_16_bit_tiff_colour(tmp_path):
    values = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    for order in "<>":
        image = read_bytes(tmp_path, tiff(values.astype(order + "u2"), order, 16, 2), "tif")
        assert np.abs(image.pixels - values / 257).max() <= 1
        assert image.notes == ("16-bit colour reduced to 8 bits",)


def test_float_tiff_is_scaled_from_0_to_1_or_refused(tmp_path):
    values = RNG.random((HEIGHT, WIDTH), dtype=np.float32)
    image = saved(tmp_path, Pillow.fromarray(values), "tiff")
    np.testing.assert_array_equal(image.pixels[..., 0], np.rint(values * 255))
    assert image.notes == ("float values multiplied by 255",)
    for wrong in (2.0, -0.1, np.nan, np.inf):
        with pytest.raises(ImageError, match=r"picture\.tiff: .*expected 0 to 1; rescale"):
            saved(tmp_path, Pillow.fromarray(np.where(values > 0.5, np.float32(wrong), values)), "tiff")


def test_32_bit_integers_hold_16_bits_or_are_refused(tmp_path):
    image = saved(tmp_path, Pillow.fromarray(DEEP.astype(np.int32)), "tiff")
    np.testing.assert_array_equal(image.pixels[..., 0], SCALED)
    for wrong in (-1, 65536):
        with pytest.raises(ImageError, match="expected 0 to 65535"):
            saved(tmp_path, Pillow.fromarray(np.full((2, 2), wrong, np.int32)), "tiff")


def test_cmyk_tiff_and_adobe_jpeg(tmp_path):
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[:] = 40, 160, 90, 60
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    for suffix, tolerance, options in (("tiff", 1, {}), ("jpg", 4, {"quality": 95})):
        image = saved(tmp_path, Pillow.fromarray(inks, "CMYK"), suffix, **options)
        assert np.abs(image.pixels - expected).max() <= tolerance
        assert image.notes == ("CMYK converted to RGB without the file's colour profile",)


def test_ycbcr_tiff_follows_bt601(tmp_path):
    y, cb, cr = (COLOUR[..., i].astype(float) for i in range(3))
    expected = [
        y + 1.402 * (cr - 128),
        y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
        y + 1.772 * (cb - 128),
    ]
    image = read_bytes(tmp_path, tiff(COLOUR, "<", 8, 6), "tif")
    assert np.abs(image.pixels - np.stack(expected, axis=2).clip(0, 255)).max() <= 2


def test_lab_tiff_round_trip(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    muted = (COLOUR // 2 + 64).astype(np.uint8)
    converted = ImageCms.applyTransform(Pillow.fromarray(muted), ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
    image = saved(tmp_path, converted, "tiff")
    assert np.abs(image.pixels.astype(int) - muted).max() <= 4
