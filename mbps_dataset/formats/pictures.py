"""The images of an export that a trainer reads: linked where every reader sees in the file what was labelled.

Decisions (ours): a JPEG or PNG file that lies on this disk is linked by its absolute path; one that is held as bytes is
written as those bytes. What readers do not agree about is decoded once and written as PNG: turned by EXIF, 16-bit,
transparent, WebP. So labels and pixels belong together in every reader.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mbps_dataset.reading.image_files import decode_image, opened_image
from mbps_dataset.sources import Frame
from mbps_dataset.sources.files import FileFrame


_ALIKE = {"JPEG": ("RGB", "L"), "PNG": ("RGB", "L")}
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """One image file: `data` its bytes, `path` where it lies, if it is a file; `suffix` and `size_hw` of what is placed."""

    data: bytes
    path: Path | None
    suffix: str
    size_hw: tuple[int, int]

    def place(self, target: Path) -> None:
        """Link or write the image as `target`, whose folder is made."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.path is None:
            target.write_bytes(self.data)
        else:
            target.symlink_to(self.path.absolute())


def picture_of(image: Frame | bytes, image_id: str) -> Picture:
    """The picture of a frame, or of the bytes of an image file. Raises `InputError` if it cannot be read."""
    data = image if isinstance(image, bytes) else image.image_bytes()
    path = image.path if isinstance(image, FileFrame) else None
    with opened_image(data, image_id, ("PNG", "JPEG", "WEBP"), "not a PNG, JPEG or WebP image") as opened:
        kind, (width, height) = opened.format or "", opened.size
        plain = opened.mode in _ALIKE.get(kind, ()) and opened.getexif().get(_ORIENTATION, 1) == 1
        plain &= "transparency" not in opened.info
    if plain:
        return Picture(data, path, _SUFFIXES[kind], (height, width))
    pixels, written = decode_image(data, image_id), io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return Picture(written.getvalue(), None, ".png", (pixels.shape[0], pixels.shape[1]))
