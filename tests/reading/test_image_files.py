"""Image files as people really have them, within bounds."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.reading import image_files
from mbps_dataset.reading.image_files import HEAD_BYTES, decode_image, decode_map, is_photograph, to_rgb
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
        (encoded(Image.new("L", (20_000, 20_000))), "x.png: more than 16,000,000 pixels"),
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


def test_sixteen_bit_survives_strips_and_every_row(monkeypatch):
    grey = RNG.integers(0, 65536, (600, 40), dtype=np.uint16)
    expected = np.clip(np.round(grey / 257.0), 0, 255).astype(np.uint8)
    assert np.array_equal(decode_image(encoded(Image.fromarray(grey[:200])), "x")[..., 1], expected[:200])
    monkeypatch.setattr(image_files, "_STRIP_ROWS", 7)
    assert np.array_equal(decode_image(encoded(Image.fromarray(grey[:200])), "x")[..., 1], expected[:200])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_as_pillow_turns_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(RGB), "PNG", exif=exif)
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode_image(data, "x"), np.asarray(upright))
    assert np.array_equal(to_rgb(Image.open(io.BytesIO(data))), np.asarray(upright))


def pictures() -> dict[str, bytes]:
    grey = Image.fromarray(np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16))
    rgba = Image.fromarray(np.dstack([RGB, np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))]))
    palette = Image.fromarray(RGB).quantize(16)
    return {"16-bit grey": encoded(grey), "alpha": encoded(rgba), "palette": encoded(palette),
            "transparent palette": encoded(palette, transparency=3), "grey and alpha": encoded(rgba.convert("LA")),
            "one bit": encoded(Image.fromarray(RGB).convert("1")), "CMYK": encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
            "transparent grey": encoded(Image.fromarray(RGB[..., 0]), transparency=int(RGB[0, 0, 0]))}  # fmt: skip


@pytest.mark.parametrize("kind", pictures())
def test_a_column_in_either_form_is_the_picture_that_was_labelled(kind):
    data = pictures()[kind]
    labelled = decode_image(data, "x")
    assert np.array_equal(to_rgb({"bytes": data, "path": None}), labelled)
    assert np.array_equal(to_rgb(Image.open(io.BytesIO(data))), labelled)


def test_a_column_may_point_at_a_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    assert np.array_equal(to_rgb({"bytes": None, "path": str(path)}), RGB)
    with pytest.raises(InputError, match="x: .*gone.png cannot be read .*; give the folder of the images again"):
        to_rgb({"bytes": None, "path": str(tmp_path / "gone.png")}, "x")


def test_a_column_of_another_form_is_refused():
    with pytest.raises(InputError, match="x: expected a Pillow image or its bytes, but got ndarray; .*with_format"):
        to_rgb(RGB, "x")


def test_maps_keep_their_numbers():
    ids = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    assert np.array_equal(decode_map(encoded(Image.fromarray(ids)), "x"), ids)
    palette = Image.fromarray((ids % 256).astype(np.uint8))
    palette.putpalette(list(range(256)) * 3)
    assert np.array_equal(decode_map(encoded(palette), "x"), ids % 256)
    one_bit = decode_map(encoded(Image.fromarray(ids % 2 == 1)), "x")
    assert one_bit.dtype == np.uint8 and np.array_equal(one_bit, ids % 2 == 1)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF\n"
OTHERS = {kind: encoded(Image.fromarray(RGB), kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO", "PCX")} | {
    "EPS": EPS
}


@pytest.mark.parametrize("kind", OTHERS)
def test_only_three_readers_are_ever_used(kind, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    for read in (decode_image, lambda data, name: to_rgb({"bytes": data, "path": None}, name)):
        with pytest.raises(InputError, match="x: not a PNG, JPEG or WebP image; convert it or take it out"):
            read(OTHERS[kind], "x")
    with pytest.raises(InputError, match="x: not a PNG file; convert it"):
        decode_map(OTHERS[kind], "x")


def test_a_map_is_a_png_of_one_channel():
    with pytest.raises(InputError, match="x: not a PNG file"):
        decode_map(encoded(Image.fromarray(RGB[..., 0]), "JPEG"), "x")
    with pytest.raises(InputError, match="x: a label map has one channel, but this is RGB; give the id map"):
        decode_map(encoded(Image.fromarray(RGB)), "x")


def test_declared_pixels_are_bounded_also_for_webp_and_maps(monkeypatch):
    monkeypatch.setattr(image_files, "MAX_WEBP_PIXELS", 2000)
    with pytest.raises(InputError, match="x: 60x40 is more than 2,000 pixels of WebP; scale it down"):
        decode_image(encoded(Image.fromarray(RGB), "WEBP"), "x")
    assert decode_image(encoded(Image.fromarray(RGB)), "x").shape == RGB.shape
    monkeypatch.setattr(image_files, "MAX_PIXELS", 2000)
    for read in (decode_image, decode_map, lambda data, name: to_rgb({"bytes": data}, name)):
        with pytest.raises(InputError, match="x: 60x40 is more than 2,000 pixels; scale it down"):
            read(encoded(Image.fromarray(RGB[..., 0])), "x")


def test_bytes_are_bounded_by_the_declared_pixels():
    data = encoded(Image.fromarray(RGB))
    with pytest.raises(InputError, match="x: 10,0.* bytes are too many for 60x40 pixels; save it again"):
        decode_image(data + bytes(10_020_000 - len(data)), "x")
    assert decode_image(data + bytes(1_000_000), "x").shape == RGB.shape


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan, one refinement of a component, is repeated until there are `scans`."""
    whole = encoded(Image.fromarray(RGB), "JPEG", progressive=True)
    last, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    return whole[:end] + whole[last:end] * (scans - whole.count(b"\xff\xda")) + whole[end:]


def test_scans_of_a_progressive_jpeg_are_bounded():
    usual = encoded(Image.fromarray(RGB), "JPEG", progressive=True)
    assert 6 <= usual.count(b"\xff\xda") <= 12 and decode_image(usual, "x").shape == RGB.shape
    assert decode_image(progressive(40), "x").shape == RGB.shape
    for scans, said in ((41, "41"), (3000, "3,000")):
        with pytest.raises(InputError, match=f"x: a JPEG of {said} scans, and 40 is the most; save it again"):
            decode_image(progressive(scans), "x")


def test_scans_of_a_thumbnail_and_of_further_pictures_do_not_count():
    whole = encoded(Image.fromarray(RGB), "JPEG")
    thumbnail = progressive(100)[:60_000]
    header = whole[:2] + b"\xff\xe5" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert decode_image(header + whole[2:] + progressive(100), "x").shape == RGB.shape


@pytest.mark.parametrize("kind", ["PNG before pixels", "PNG after pixels", "JPEG"])
def test_parts_of_a_file_are_bounded(kind):
    """Each is a Python call in the reader: ten megabytes of them take half a minute."""
    whole = encoded(Image.fromarray(RGB), kind.split()[0])
    many = 100_001 * (b"\xff\xfe\0\2" if kind == "JPEG" else b"\0\0\0\0teSt" + struct.pack(">I", zlib.crc32(b"teSt")))
    cut = {"PNG before pixels": 33, "PNG after pixels": len(whole) - 12, "JPEG": 2}[kind]
    with pytest.raises(InputError, match="x: more than 100,000 parts; save it again"):
        decode_image(whole[:cut] + many + whole[cut:], "x")


PEAK = """
import sys
from pathlib import Path
import numpy
from mbps_dataset.reading.image_files import decode_image

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

data = Path(sys.argv[1]).read_bytes()
before = kilobytes("VmRSS")
shape = decode_image(data, "x").shape
print((kilobytes("VmHWM") - before) * 1024 / (shape[0] * shape[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["grey 16", "RGBA", "turned JPEG", "progressive JPEG", "WebP"])
def test_decoding_takes_memory_in_proportion_to_the_declared_pixels(tmp_path, kind):
    """At most 14 bytes a pixel (22 of WebP): 240 MB for the largest picture that is taken."""
    side = 1500
    picture = Image.fromarray(np.tile(RGB, (38, 25, 1))[:side, :side])
    exif = Image.Exif()
    exif[0x0112] = 6
    data = {
        "grey 16": lambda: encoded(Image.fromarray(np.full((side, side), 40_000, np.uint16)), compress_level=1),
        "RGBA": lambda: encoded(picture.convert("RGBA"), compress_level=1),
        "turned JPEG": lambda: encoded(picture, "JPEG", exif=exif),
        "progressive JPEG": lambda: encoded(picture, "JPEG", progressive=True, subsampling=0),
        "WebP": lambda: encoded(picture, "WEBP", method=0),
    }[kind]()
    path = tmp_path / "picture"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    assert 3 <= float(done.stdout) <= (22 if kind == "WebP" else 14)
    assert image_files.MAX_PIXELS * 14 <= 240e6 and image_files.MAX_WEBP_PIXELS * 22 <= 240e6


def test_a_small_file_of_an_enormous_picture_is_refused_undecoded(monkeypatch):
    rows = zlib.compress(bytes(8000 * 16_001), 9)
    header = struct.pack(">IIBBBBB", 8000, 8000, 16, 0, 0, 0, 0)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match="x: 8000x8000 is more than 16,000,000 pixels; scale it down"):
        decode_image(data, "x")


def test_a_picture_of_another_format_is_not_loaded(monkeypatch):
    picture = Image.open(io.BytesIO(EPS))
    monkeypatch.setattr(type(picture), "load", lambda *_, **__: pytest.fail("Ghostscript"))
    with pytest.raises(InputError, match="x: a EPS picture is not a PNG, JPEG or WebP image; convert it"):
        to_rgb(picture, "x")


def test_photographs_are_known_by_their_first_bytes():
    for kind in ("PNG", "JPEG", "WEBP"):
        assert is_photograph(encoded(Image.fromarray(RGB), kind)[:HEAD_BYTES])
    assert not any(is_photograph(data[:HEAD_BYTES]) for data in (*OTHERS.values(), b"", b"RIFF1234WAVE"))
