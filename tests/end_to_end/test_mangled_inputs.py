"""Two hundred inputs that people really have, or that somebody made to do harm: each is a row or a listed failure.

Never a crash, a hang, or a file outside the output folder.
"""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.sources import FolderSource
from tests.tiny import tiny_label_set, tiny_settings


def photograph(size=(96, 64), mode="RGB", seed=0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, data: bytes, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def truncated(rng: random.Random) -> dict[str, bytes]:
    """Each format cut off at 12 places: cannot be labelled."""
    made = {}
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")):
        whole = encoded(photograph(), kind)
        for number in range(12):
            made[f"cut_{suffix}_{number}.{suffix}"] = whole[: rng.randrange(0, len(whole) - 12)]
    return made


def flipped(rng: random.Random) -> dict[str, bytes]:
    """Random bytes changed: may decode to something, or not."""
    made = {}
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")):
        for number in range(20):
            data = bytearray(encoded(photograph(seed=number), kind))
            for _ in range(rng.choice((1, 3, 30))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            made[f"flip_{suffix}_{number}.{suffix}"] = bytes(data)
    return made


def bombs() -> dict[str, bytes]:
    """Little files that claim or hold enormous pictures, profiles or texts."""
    zeros = zlib.compress(bytes(50_000_000), 9)
    made = {
        f"bomb_{width}x{height}.png": png(width, height, zeros)
        for width, height in (
            (30_000, 30_000),
            (8_100, 8_000),
            (2**31 - 1, 1),
            (65_535, 65_535),
            (0, 64),
            (100_000, 40),
        )
    }
    made["bomb_small_picture_much_data.png"] = png(96, 64, zeros)
    made["bomb_text.png"] = png(96, 64, zlib.compress(bytes(64 * 289)), png_chunk(b"zTXt", b"a\0\0" + zeros))
    made["bomb_profile.png"] = png(96, 64, zlib.compress(bytes(64 * 289)), png_chunk(b"iCCP", b"a\0\0" + zeros))
    made["bomb.jpg"] = encoded(photograph(), "JPEG").replace(
        struct.pack(">HH", 64, 96), struct.pack(">HH", 65_500, 65_500)
    )
    made["bomb_zip.png"] = b"PK\x03\x04" + zeros
    return made


def wrong_kinds() -> dict[str, bytes]:
    """Other files under the name of an image: cannot be labelled."""
    other = {kind: encoded(photograph(), kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO")}
    texts = {"text": b"not an image\n", "empty": b"", "html": b"<html>404</html>", "json": b"{}", "zeros": bytes(5000),
             "pickle": b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.", "gzip": b"\x1f\x8b" + bytes(50),
             "only_signature": b"\x89PNG\r\n\x1a\n", "only_marker": b"\xff\xd8\xff", "riff": b"RIFF\0\0\0\0WEBP"}  # fmt: skip
    return {f"kind_{name}.png": data for name, data in (other | texts).items()} | {
        f"kind_{name}.jpg": data for name, data in texts.items()
    }


def sizes() -> dict[str, bytes]:
    """Pictures too small, too long, or just right."""
    asked = [(1, 1), (31, 96), (96, 31), (32, 32), (200, 33), (33, 200), (192, 32), (300, 40), (64, 1000), (7, 7)]
    return {f"size_{width}x{height}.png": encoded(photograph((width, height)), "PNG") for width, height in asked}


def modes() -> dict[str, bytes]:
    """Every mode that the three formats can hold: all usable."""
    made = {}
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        values = np.arange(64 * 96).reshape(64, 96) * 10
        image = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else photograph(mode="RGB").convert(mode)
        made[f"mode_{mode.replace(';', '')}.png"] = encoded(image, "PNG")
    for mode in ("L", "RGB", "CMYK"):
        made[f"mode_{mode}.jpg"] = encoded(photograph(mode=mode), "JPEG")
    for mode in ("RGB", "RGBA"):
        made[f"mode_{mode}.webp"] = encoded(photograph(mode=mode), "WEBP")
    made["mode_transparent_palette.png"] = encoded(photograph().quantize(16), "PNG", transparency=3)
    made["mode_interlaced_animation.webp"] = encoded(
        photograph(), "WEBP", save_all=True, append_images=[photograph(seed=1)]
    )
    for orientation in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made[f"mode_turned_{orientation}.jpg"] = encoded(photograph(), "JPEG", exif=exif)
    exif_data = encoded(photograph(), "JPEG", exif=b"Exif\0\0" + bytes(range(200)))
    return made | {"mode_broken_exif.jpg": exif_data}


NAMES = (
    "a b", " leading", "trailing ", "tab\there", "line\nbreak", "ü", "日本語", "e\u0301", "🚗", "-rf", "--set", "~", "$HOME", "a;b",
    "`id`", "%s%n", "{0}", "a'b", 'a"b', "a\\b", "..a", "a..", "...", "con", "nul.txt", "a" * 240, "\u202egnp", "\x01", "*", "?", "[a]",
    "a,b", "a:b", "a|b", "a#b", "a.b.c", "a%2e%2e", "&amp;", "</script>", "😀" * 50,
)  # fmt: skip


def named() -> dict[str, bytes]:
    """Good pictures with names of all sorts, some below folders of such names: all usable."""
    made = {f"{name}.png": encoded(photograph(seed=number), "PNG") for number, name in enumerate(NAMES)}
    made |= {
        f"{name}/x.jpg": encoded(photograph(), "JPEG") for name in ("deep/er/and/deeper", "..hidden", "ü ü", "a.png")
    }
    return made | {"UPPER.PNG": encoded(photograph(), "PNG"), "both.png": encoded(photograph(), "PNG"),
                   "both.jpg": encoded(photograph(), "JPEG")}  # fmt: skip


def link_oddities(folder: Path, outside: Path) -> set[str]:
    """Links and special files; returns the ids that cannot be labelled."""
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "ring_a.png").symlink_to("ring_b.png")
    (folder / "ring_b.png").symlink_to("ring_a.png")
    (folder / "dangling.png").symlink_to("/nowhere/at/all.png")
    (folder / "to_itself").symlink_to(folder)
    (folder / "to_parent").symlink_to("..")
    outside.write_bytes(encoded(photograph(seed=99), "PNG"))
    (folder / "linked.png").symlink_to(outside)
    (folder / "dotdot.png").symlink_to(Path("../..") / outside.name)
    (folder / "a_folder.png").mkdir()
    return {"loop", "ring_a", "ring_b", "dangling"}


def tree(folder: Path) -> dict[str, int]:
    return {str(p): p.lstat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def slope(_: object, prepared: torch.Tensor, *, flip: str) -> np.ndarray:
    """Stands for the depth network, which would take most of the test's time: the image is decoded, depth is a slope."""
    height, width = prepared.shape[-2:]
    return np.linspace(40, 5, height, dtype=np.float32)[:, None].repeat(width, axis=1)


def test_two_hundred_mangled_inputs(tmp_path, monkeypatch):
    inputs, output = tmp_path / "in", tmp_path / "out"
    settings, photos = tiny_settings(inputs, 0), inputs / "photos"
    rng = random.Random(8)
    bad = truncated(rng) | wrong_kinds()
    good = modes() | named()
    either = flipped(rng) | bombs() | sizes()
    for name, data in (bad | good | either).items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(data)
    unusable = link_oddities(photos, tmp_path / "elsewhere.png")
    source = FolderSource(photos)
    ids = {frame.image_id: frame for frame in source.frames("train")}
    assert len(ids) >= 200
    settings = [each for each in settings if not each.startswith("depth.")]
    monkeypatch.setattr("mbps_dataset.stages.depth.predict", slope)
    before = tree(inputs), sorted(p.name for p in tmp_path.iterdir())

    label_set = tiny_label_set(inputs, output / "stages", settings)
    result = build(label_set, output, workers=1, progress=False)

    assert (tree(inputs), sorted([*before[1], "out"])) == (before[0], sorted(p.name for p in tmp_path.iterdir()))
    rows = {row.image_id: row for row in LabelSetFolder(output).rows("train")}
    failed = {failure.image_id: failure.reason for failure in result.failures}
    assert rows.keys() | failed.keys() == ids.keys() and not rows.keys() & failed.keys()
    paths = {name: frame.path.relative_to(photos).as_posix() for name, frame in ids.items()}
    for image_id, path in paths.items():
        assert path not in bad or image_id in failed, path
        assert path not in good or image_id in rows, (path, failed.get(image_id))
    assert unusable <= failed.keys() and {"linked", "dotdot"} <= rows.keys()
    for reason in failed.values():
        assert len(reason) < 600 and "Traceback" not in reason, reason
    for row in rows.values():
        assert row.semantic.shape == row.panoptic.shape == row.depth.shape == row.image.shape[:2]
    assert not os.path.exists("/tmp/owned")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root reads every file")
def test_files_that_may_not_be_read_are_listed(tmp_path):
    settings = tiny_settings(tmp_path, 2)
    (tmp_path / "photos/photo_000.png").chmod(0)
    result = build(
        tiny_label_set(tmp_path, tmp_path / "out/stages", settings), tmp_path / "out", workers=1, progress=False
    )
    assert result.rows == 1 and "Permission denied" in result.failures[0].reason


def test_a_read_that_is_refused_is_listed(tmp_path, monkeypatch):
    """The same for root, who is refused nothing: the refusal is made here."""
    settings = tiny_settings(tmp_path, 2)

    def refuse(path: Path, most_bytes: int) -> bytes:
        if path.name == "photo_000.png":
            raise PermissionError(13, "Permission denied")
        return read_regular(path, most_bytes)

    monkeypatch.setattr("mbps_dataset.sources.images.read_regular", refuse)
    result = build(
        tiny_label_set(tmp_path, tmp_path / "out/stages", settings), tmp_path / "out", workers=1, progress=False
    )
    assert result.rows == 1 and "Permission denied" in result.failures[0].reason
