from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.formats.pictures import picture_of
from mbps_dataset.sources.files import FileFrame


def noise(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "suffix"), [("JPEG", "RGB", ".jpg"), ("PNG", "RGB", ".png"), ("JPEG", "L", ".jpg")]
)
def test_what_every_reader_sees_alike_is_linked_or_kept_byte_for_byte(tmp_path, kind, mode, suffix) -> None:
    data = encoded(noise(mode), kind)
    (tmp_path / "street.any").write_bytes(data)
    linked = picture_of(FileFrame("street", tmp_path / "street.any"), "street")
    assert (linked.suffix, linked.size_hw) == (suffix, (40, 64))
    linked.place(tmp_path / "out/a.jpg")
    assert (tmp_path / "out/a.jpg").is_symlink() and (tmp_path / "out/a.jpg").readlink().is_absolute()
    picture_of(data, "street").place(tmp_path / "out/b.jpg")
    assert not (tmp_path / "out/b.jpg").is_symlink()
    assert (tmp_path / "out/a.jpg").read_bytes() == (tmp_path / "out/b.jpg").read_bytes() == data


def test_what_readers_do_not_agree_about_is_written_as_it_was_labelled(tmp_path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen = Image.fromarray((np.arange(40 * 64).reshape(40, 64) * 25).astype(np.uint16))
    for number, data in enumerate([
        encoded(noise(), "JPEG", exif=turned), encoded(sixteen, "PNG"), encoded(noise("RGBA"), "PNG"),
        encoded(noise(), "WEBP"), encoded(noise("P"), "PNG"), encoded(noise("CMYK"), "JPEG"),
    ]):  # fmt: skip
        path = tmp_path / f"{number}.file"
        path.write_bytes(data)
        frame = FileFrame("street", path)
        picture = picture_of(frame, "street")
        picture.place(tmp_path / f"out/{number}.png")
        placed = tmp_path / f"out/{number}.png"
        assert picture.suffix == ".png" and not placed.is_symlink()
        read = np.asarray(Image.open(placed))
        assert np.array_equal(read, frame.image()) and picture.size_hw == read.shape[:2]
    assert picture_of((tmp_path / "0.file").read_bytes(), "street").size_hw == (64, 40)


def test_what_is_no_image_is_named() -> None:
    with pytest.raises(InputError, match="street: not a PNG, JPEG or WebP image"):
        picture_of(b"GIF89a nothing", "street")
