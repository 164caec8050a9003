"""Image files as people really have them."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.images import DigestIndex, decode_image, read_bytes
from tests.examples import examples


RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_lossless_files_decode_exactly(file_format):
    data = encoded(Image.fromarray(RGB), file_format, lossless=True)
    assert np.array_equal(decode_image(data, "x"), RGB)


def test_grey_becomes_three_equal_channels():
    image = decode_image(encoded(Image.fromarray(RGB[..., 0])), "x")
    assert np.array_equal(image, np.repeat(RGB[..., :1], 3, axis=2))


def test_sixteen_bit_is_scaled_by_its_range():
    grey = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    image = decode_image(encoded(Image.fromarray(grey)), "x")
    assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255
    assert abs(int(image[20, 0, 0]) - grey[20, 0] / 257) <= 0.5


def test_transparency_is_composited_on_black():
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3] = 0
    image = decode_image(encoded(Image.fromarray(rgba)), "x")
    assert (image[:10] == 0).all() and np.array_equal(image[10:], RGB[10:])


def test_palette_and_cmyk_and_one_bit():
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(decode_image(encoded(palette), "x"), np.array(palette.convert("RGB")))
    assert decode_image(encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "x").shape == (40, 60, 3)
    assert set(np.unique(decode_image(encoded(Image.fromarray(RGB).convert("1")), "x"))) <= {0, 255}


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(RGB), "PNG", exif=exif)
    assert np.array_equal(decode_image(data, "x"), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.png: the file is empty"),
        (b"just text", "x.png: not a PNG, JPEG or WebP image"),
        (encoded(Image.fromarray(RGB), "GIF"), "x.png: not a PNG, JPEG or WebP image"),
        (encoded(Image.fromarray(RGB))[:900], "x.png: damaged after 900 bytes"),
        (encoded(Image.fromarray(RGB), "JPEG")[:700], "x.png: damaged after 700 bytes"),
        (encoded(Image.fromarray(RGB[:1, :1])), "x.png: 1x1 is too small"),
        (encoded(Image.new("L", (20_000, 20_000))), "x.png: more than 64,000,000 pixels"),
        (encoded(Image.new("L", (700, 100))), "x.png: 700x100 is longer than 6:1"),
    ],
)
def test_unusable_files_are_one_clear_line(data, message):
    with pytest.raises(InputError) as caught:
        decode_image(data, "x.png")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@examples(60)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_mangled_files_decode_or_say_why(file_format, data):
    content = bytearray(encoded(Image.fromarray(RGB), file_format))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(content), "x")
    except InputError:
        return
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_digest_follows_content_not_time(tmp_path):
    path, index = tmp_path / "a.png", DigestIndex()
    path.write_bytes(b"one")
    first = index.digest(path)
    os.utime(path, ns=(1, 1))
    assert index.digest(path) == first
    path.write_bytes(b"two!")
    assert index.digest(path) != first
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        index.digest(path)
    with pytest.raises(InputError, match="a: .*cannot be read"):
        read_bytes(path, "a")


def test_digests_are_remembered_by_another_process_until_the_file_changes(tmp_path):
    path, index = tmp_path / "a.png", DigestIndex()
    path.write_bytes(b"first")
    digest = index.digest(path)
    assert index.changed
    again = DigestIndex()
    again.learn(json.loads(json.dumps(index.to_json())))
    assert again.digest(path) == digest and not again.changed
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"other")  # the same size and, set back, the same modification time
    os.utime(path, ns=times)
    assert again.digest(path) != digest and again.changed
