"""Image files as people really have them, within bounds: rotated, grey, 16-bit, CMYK, palette, with alpha, torn, huge.

The one decoder: of photographs when a set is built, of the `image` column when it is read, of label maps and depth PNGs.

Decisions (ours): EXIF rotation is applied (as `datasets.Image` does on decoding); transparent pixels are composited on
black; 16-bit is scaled by its type's full range, not by its content. Only Pillow's readers of PNG, JPEG and WebP are ever
used, whatever a file is called: others start programs (EPS starts Ghostscript). What a file declares is checked before
anything is decoded: pixels, bytes for its pixels, scans of a progressive JPEG, each of which goes over the whole picture;
so memory and time are bounded by the declared size, and that is bounded here. A truncated file is refused, never half-used.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.reading.names import shown


MIN_SIDE_PX = 32
MAX_ASPECT = 6.0
MAX_PIXELS = 16_000_000
"""Of a picture: a worker, 460 MB when it has loaded its libraries, takes 14 bytes a pixel on the way to the
row (measured), and stays under 700 MB beside what its networks need."""
MAX_WEBP_PIXELS = 10_000_000
"""Of a WebP file, whose decoder holds four copies of the picture."""
MAX_FILE_BYTES = 145_000_000
"""Of an image file: `MAX_PIXELS` of four 16-bit channels without compression."""
MAX_SCANS = 40
"""Of a progressive JPEG; encoders write about ten."""
HEAD_BYTES = 12
"""Enough to know the format."""
MAX_PARTS = 100_000
"""Chunks of a PNG, or markers of a JPEG: each costs time whatever it holds. Writers cut pixels into 8,192 bytes or more."""
BYTES_PER_PIXEL, SPARE_BYTES = 8, 10_000_000
"""Most bytes of a file: four 16-bit channels a pixel, and what profiles, thumbnails and texts may take beside them."""

MAP_MODES = ("L", "P", "I", "I;16", "I;16B", "1")
"""Pillow's modes of a map with one number a pixel."""

_PHOTOGRAPH = (("PNG", "JPEG", "WEBP"), "not a PNG, JPEG or WebP image")
_STRIP_ROWS = 256
_GREY_16_BIT = ("I;16", "I;16B", "I;16L", "I")
_SCAN, _END = 0xDA, 0xD9
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")

_TURNED: dict[int, Callable[[RGBImage], RGBImage]] = {  # EXIF orientation → how it is turned back
    2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: a.swapaxes(0, 1)[::-1, ::-1], 8: lambda a: np.rot90(a),
}  # fmt: skip
_ORIENTATION = 0x0112


def decode_image(data: bytes, name: str) -> RGBImage:
    """Decode the bytes of a PNG, JPEG or WebP file to uint8 [H, W, 3] RGB, upright: the picture that is labelled.

    Raises `InputError` ("name: what is wrong; what to do") for anything that cannot be labelled.
    """
    with opened_image(data, name, *_PHOTOGRAPH) as image:
        _check_shape(image.size, name)
        return _upright(image)


def to_rgb(picture: Image.Image | Mapping[str, Any], name: str = "image") -> RGBImage:
    """The picture of an `image` column as uint8 [H, W, 3] RGB, upright: just what was labelled.

    `picture` is what `datasets` gives, a Pillow image or ``{"bytes": …, "path": …}`` (``Image(decode=False)``). Unlike
    Pillow's ``convert("RGB")`` it scales 16-bit by its full range, and lays transparent pixels on black. Raises
    `InputError` if the bytes are no PNG, JPEG or WebP file, damaged, or too large.

    >>> to_rgb(Image.fromarray(np.array([[0, 257, 65535]], np.uint16)))[0, :, 0].tolist()
    [0, 1, 255]
    """
    if isinstance(picture, Image.Image):
        if picture.format not in (None, "PNG", "JPEG", "MPO", "WEBP"):  # loading it may start a program
            raise InputError(f"{name}: a {picture.format} picture is {_PHOTOGRAPH[1]}; convert it.")
        return _upright(picture)
    if not isinstance(picture, Mapping):
        raise InputError(
            f"{name}: expected a Pillow image or its bytes, but got {type(picture).__name__}; take the row without "
            "`with_format`."
        )
    data = picture.get("bytes") or _read(str(picture.get("path")), name)
    with opened_image(data, name, *_PHOTOGRAPH) as image:
        return _upright(image)


def _read(path: str, name: str) -> bytes:
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{name}: {shown(path, 200)[1:-1]} cannot be read ({reason}); give the folder of the images again."
        ) from None


def image_hw(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of the upright picture in an image file, read from its header. Raises `InputError`."""
    with opened_image(data, name, *_PHOTOGRAPH) as image:
        turned = "exif" in image.info and image.getexif().get(_ORIENTATION, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def is_photograph(head: bytes) -> bool:
    """Whether a file that begins with these `HEAD_BYTES` is a PNG, JPEG or WebP file."""
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def decode_map(data: bytes, name: str) -> NDArray[np.integer]:
    """Decode an 8- or 16-bit single-channel PNG to its numbers [H, W], palette indices as they are. Raises `InputError`."""
    with opened_image(data, name, ("PNG",), "not a PNG file") as image:
        if image.mode not in MAP_MODES:
            raise InputError(f"{name}: a label map has one channel, but this is {image.mode}; give the id map.")
        return np.array(image, dtype=np.uint8 if image.mode == "1" else None)


@contextmanager
def opened_image(data: bytes, name: str, formats: tuple[str, ...], otherwise: str) -> Iterator[Image.Image]:
    """An image file opened by one of Pillow's `formats` after its declared size was checked; loaded when asked for.

    Whatever goes wrong until the context is left is an `InputError` of one line; `otherwise` says what a file of another
    format is.
    """
    if not data:
        raise InputError(f"{name}: the file is empty; copy it again.")
    _check_parts(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _check_declared(image, data, name)
                yield image
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: {otherwise}; convert it or take it out of the folder.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: more than {MAX_PIXELS:,} pixels; scale it down.") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: damaged after {len(data):,} bytes ({reason}); copy it again.") from None


def _check_declared(image: Image.Image, data: bytes, name: str) -> None:
    (width, height), kind = image.size, image.format or ""
    most = MAX_WEBP_PIXELS if kind == "WEBP" else MAX_PIXELS
    if width * height > most:
        raise InputError(
            f"{name}: {width}x{height} is more than {most:,} pixels{' of WebP' * (kind == 'WEBP')}; scale it down."
        )
    if len(data) > width * height * BYTES_PER_PIXEL + SPARE_BYTES:
        raise InputError(f"{name}: {len(data):,} bytes are too many for {width}x{height} pixels; save it again.")


def _check_parts(data: bytes, name: str) -> None:
    if data.startswith(b"\x89PNG"):
        parts, scans = sum(1 for _ in islice(_png_chunks(data), MAX_PARTS + 1)), 0
    else:
        markers = list(islice(_jpeg_markers(data), MAX_PARTS + 1)) if data.startswith(b"\xff\xd8") else []
        parts, scans = len(markers), markers.count(_SCAN)
    if scans > MAX_SCANS:
        raise InputError(f"{name}: a JPEG of {scans:,} scans, and {MAX_SCANS} is the most; save it again.")
    if parts > MAX_PARTS:
        raise InputError(f"{name}: more than {MAX_PARTS:,} parts; save it again.")


def _png_chunks(data: bytes) -> Iterator[int]:
    """Where each chunk before the last begins."""
    position = 8
    while position < len(data) and data[position + 4 : position + 8] != b"IEND":
        yield position
        position += 12 + int.from_bytes(data[position : position + 4], "big")


def _jpeg_markers(data: bytes) -> Iterator[int]:
    """Markers of the first picture in a JPEG file; those of a thumbnail in its headers are not among them."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == _END:
            return
        yield marker
        if marker not in (0x01, 0xD8):  # every other one says how long its segment is
            position += max(2, int.from_bytes(data[position : position + 2], "big"))


def _check_shape(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(f"{name}: {width}x{height} is too small; both sides must be at least {MIN_SIDE_PX} pixels.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{name}: {width}x{height} is longer than {MAX_ASPECT:g}:1; crop it.")


def _upright(image: Image.Image) -> RGBImage:
    """In strips, so that besides the picture itself little more than the result is in memory."""
    image.load()
    turned = _TURNED.get(image.getexif().get(_ORIENTATION, 1), lambda a: a)
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, image.height)
        rgb[top:bottom] = _strip_to_rgb(image.crop((0, top, image.width, bottom)))
    return np.ascontiguousarray(turned(rgb))


def _strip_to_rgb(image: Image.Image) -> RGBImage:
    if image.mode in _GREY_16_BIT:
        grey = np.asarray(image).astype(np.float64) / 257.0
        return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(background, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))
