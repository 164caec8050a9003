"""Reading image files that people really have: rotated, grey, 16-bit, CMYK, palette, with alpha, truncated, huge.

Decisions: EXIF rotation is applied (as `datasets.Image` does on decoding); alpha is dropped after compositing on black
only if the image is partly transparent; 16-bit is scaled by its type's full range, not by its content; images beyond
`MAX_PIXELS` are refused before decoding, which also stops decompression bombs; a truncated file is refused, never
half-used.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.store import file_digest


MIN_SIDE_PX = 32
MAX_PIXELS = 64_000_000
MAX_ASPECT = 6.0
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def decode_image(data: bytes, name: str) -> RGBImage:
    """Decode the bytes of a PNG, JPEG or WebP file to uint8 [H, W, 3] RGB, upright.

    Raises `InputError` ("name: what is wrong; what to do") for anything that cannot be labelled.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
                _check_size(opened.size, name)
                upright = ImageOps.exif_transpose(opened)
                upright.load()
                array = _to_rgb(upright)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a PNG, JPEG or WebP image; convert it or take it out of the folder.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels; scale it down.") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: damaged after {len(data):,} bytes ({reason}); copy it again.") from None
    return array


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: {width}x{height} is more than {MAX_PIXELS:,} pixels; scale it down.")
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(f"{name}: {width}x{height} is too small; both sides must be at least {MIN_SIDE_PX} pixels.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{name}: {width}x{height} is longer than {MAX_ASPECT:g}:1; crop it.")


def _to_rgb(image: Image.Image) -> RGBImage:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        grey = np.asarray(image).astype(np.float64) / 257.0
        return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.array(Image.alpha_composite(background, rgba).convert("RGB"))
    return np.array(image.convert("RGB"))


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file; `InputError` naming the image if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, name, error) from None


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise _unreadable(path, path.name, error) from None


def _unreadable(path: Path, name: str, error: OSError) -> InputError:
    return InputError(f"{name}: {path} cannot be read ({error.strerror}); check the file and its permissions.")


class DigestIndex:
    """SHA-256 of files, remembered so that each file is read once.

    A label set's identity must follow the content of its input, and hashing a Cityscapes tree takes most of a minute;
    with the remembered digests a second look costs one ``stat`` per file. A file is known again by size, modification
    time, change time and inode: nobody can set a change time, so a copy that keeps times is still read anew.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self.changed = False

    def digest(self, path: Path) -> str:
        """Hex SHA-256 of the file's content. Raises `InputError` if it cannot be read."""
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, path.name, error) from None
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._known.get(str(path))
        if known is None or known[0] != stamp:
            known = (stamp, _digest(path))
            self._known[str(path)] = known
            self.changed = True
        return known[1]

    def to_json(self) -> dict[str, Any]:
        """What is remembered, JSON-ready."""
        return {path: [list(stamp), digest] for path, (stamp, digest) in self._known.items()}

    def learn(self, document: Mapping[str, Any]) -> None:
        """Remember what `to_json` gave in another process."""
        for path, (stamp, digest) in document.items():
            self._known.setdefault(path, (tuple(stamp), digest))


DIGESTS = DigestIndex()
"""One index per process; content-addressed, so sharing it can only save time."""
