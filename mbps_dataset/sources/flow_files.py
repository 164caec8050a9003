"""Flow and disparity that somebody else made, read from files.

Decisions: flow comes as float32 [2, H, W] in pixels (x, y), from the image to the next one; disparity as float32 [H, W] ≥ 0 in
pixels; each with a mask of what is known, and 0 where it is not. Nothing is resized or filled. The conventions are those
of their authors:

* flow "kitti": PNG of three 16-bit channels, u = (R − 2^15) / 64, v = (G − 2^15) / 64, known where B is not 0;
* flow "flo" (Middlebury): unknown above 10^9; flow "pfm": three channels, x, y and one that is not read;
* disparity "kitti": 16-bit PNG, p / 256, 0 is unknown;
* disparity "cityscapes": 16-bit PNG, (p − 1) / 256, 0 is unknown;
* disparity "pfm": one channel; infinite is unknown (Middlebury);
* "npy": flow [2, H, W] or [H, W, 2], disparity [H, W]; NaN and infinite are unknown, and so is negative disparity.

Disparity that is negative everywhere has the other sign, and is an error, since it would read as an empty map.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import opened_image
from mbps_dataset.sources.images import read_bytes
from mbps_dataset.sources.map_files import (
    read_16_bit_values,
    read_flo_values,
    read_npy_plane,
    read_npy_values,
    read_pfm_values,
)
from mbps_dataset.sources.membership import FilesOfImages, find_files


ENDINGS = ("_leftImg8bit_flow", "_leftImg8bit_disparity", "_leftImg8bit", "_flow", "_disparity")
"""What these files may carry after the image's id."""

LARGEST_FLOW = 1e9
"""Middlebury: a component above this says that the flow is unknown."""


class FlowMap(NamedTuple):
    """`flow` float32 [2, H, W] pixels (x, y), 0 where `known` bool [H, W] is False."""

    flow: NDArray[np.float32]
    known: NDArray[np.bool_]


class DisparityMap(NamedTuple):
    """`disparity` float32 [H, W] ≥ 0 pixels, 0 where `known` bool [H, W] is False; a known 0 is infinitely far."""

    disparity: NDArray[np.float32]
    known: NDArray[np.bool_]


Map = TypeVar("Map", FlowMap, DisparityMap)


class _FilesOfMaps(Generic[Map]):
    """Files under a folder, one per image."""

    kinds: Mapping[str, tuple[str, str, Callable[[Path], Map]]]  # kind → (suffix, what made them, reader)
    what: str

    def __init__(
        self, root: str | Path, kind: str, image_ids: Collection[str], *, supervision: str | None = None
    ) -> None:
        if kind not in self.kinds:
            raise InputError(f"Unknown kind of {self.what} files {kind!r}; known are {', '.join(self.kinds)}.")
        self.root, self.kind = Path(root), kind
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder of {self.what} files.")
        self._suffix, made, read = self.kinds[kind]
        self._read: Callable[[Path], Map] = read
        self.supervision = supervision or made
        self._files = FilesOfImages(image_ids, find_files(self.root, (self._suffix,)), ENDINGS)

    def path(self, image_id: str) -> Path:
        """The one file of an image. Raises `InputError` if there is none, or more than one fits."""
        found = self._files.path(image_id)
        if found is None:
            raise InputError(
                f"{image_id}: no {self.what} file under {self.root}; expected one named {image_id}{self._suffix}."
            )
        return found

    def read(self, image_id: str, *, size_hw: tuple[int, int] | None = None) -> Map:
        """The map of an image; `size_hw` is the image's (height, width), if it is to be checked. Raises `InputError`."""
        path = self.path(image_id)
        read = self._read(path)
        height, width = read.known.shape
        if size_hw is not None and (height, width) != tuple(size_hw):
            raise InputError(
                f"{path}: {width}x{height}, but the image {image_id} is {size_hw[1]}x{size_hw[0]}; give the {self.what} of "
                "that image."
            )
        return read


def read_kitti_flow(path: str | Path) -> FlowMap:
    """PNG of three 16-bit channels. Raises `InputError`."""
    red, green, known = np.moveaxis(read_16_bit_rgb(path), -1, 0)
    flow = (np.stack([red, green]).astype(np.float32) - 2**15) / 64
    return _flow_map(flow, known > 0, path)


def read_flo(path: str | Path) -> FlowMap:
    """Middlebury's ``.flo``. Raises `InputError`."""
    flow = np.moveaxis(read_flo_values(path), -1, 0)
    return _flow_map(flow, np.ones(flow.shape[1:], bool), path)


def read_pfm_flow(path: str | Path) -> FlowMap:
    """PFM of three channels, the third not read. Raises `InputError`."""
    flow = np.moveaxis(read_pfm_values(path, channels=3)[..., :2], -1, 0)
    return _flow_map(flow, np.ones(flow.shape[1:], bool), path)


def read_npy_flow(path: str | Path) -> FlowMap:
    """An array [2, H, W] or [H, W, 2]; one that may be read either way is refused. Raises `InputError`."""
    flow = read_npy_values(path, channels=2)
    first, last = (flow.ndim == 3 and flow.shape[axis] == 2 for axis in (0, -1))
    if first == last:
        raise InputError(f"{path}: expected flow as [2, H, W] or [H, W, 2], but got {list(flow.shape)}.")
    flow = flow if first else np.moveaxis(flow, -1, 0)
    return _flow_map(flow, np.ones(flow.shape[1:], bool), path)


def read_kitti_disparity(path: str | Path) -> DisparityMap:
    """16-bit PNG, p / 256. Raises `InputError`."""
    values = read_16_bit_values(path, "disparity")
    return _disparity_map(values / 256, values > 0, path)


def read_cityscapes_disparity_map(path: str | Path) -> DisparityMap:
    """16-bit PNG, (p − 1) / 256. Raises `InputError`."""
    values = read_16_bit_values(path, "disparity")
    return _disparity_map((values - 1) / 256, values > 0, path)


def read_pfm_disparity(path: str | Path) -> DisparityMap:
    """PFM of one channel. Raises `InputError`."""
    disparity = read_pfm_values(path, channels=1)
    return _disparity_map(disparity, np.ones(disparity.shape, bool), path)


def read_npy_disparity(path: str | Path) -> DisparityMap:
    """An array [H, W], also as [1, H, W]. Raises `InputError`."""
    disparity = read_npy_plane(path, "disparity")
    return _disparity_map(disparity, np.ones(disparity.shape, bool), path)


def read_16_bit_rgb(path: str | Path) -> NDArray[np.uint16]:
    """A PNG of three 16-bit channels → uint16 [H, W, 3]. Raises `InputError`.

    Pillow gives the upper byte of such files. Unpacked as if they were little-endian they give the lower one, so the file is
    decoded twice.
    """
    data = read_bytes(Path(path), str(path))
    upper, lower = (_bytes_of_rgb(data, str(path), order) for order in ("RGB;16B", "RGB;16L"))
    return np.left_shift(upper, 8, dtype=np.uint16) | lower


def _bytes_of_rgb(data: bytes, name: str, order: str) -> NDArray[np.uint8]:
    with opened_image(data, name, ("PNG",), "not a PNG file") as image:
        tiles = getattr(image, "tile", [])
        if image.mode != "RGB" or [tile[3] for tile in tiles] != ["RGB;16B"]:
            raise InputError(
                f"{name}: a KITTI flow file is a PNG of three 16-bit channels, but this is {_described(image)}; it may be a "
                "picture of flow."
            )
        setattr(image, "tile", [(*tile[:3], order) for tile in tiles])  # noqa: B010 - files alone have tiles
        return np.array(image)


def _described(image: Image.Image) -> str:
    return "8-bit RGB" if image.mode == "RGB" else image.mode


def _flow_map(flow: NDArray[np.floating], known: NDArray[np.bool_], path: str | Path) -> FlowMap:
    known = known & (np.abs(flow) <= LARGEST_FLOW).all(axis=0)  # not where NaN
    if not known.any():
        raise InputError(f"{path}: no pixel has a known flow; take the file away or make it again.")
    return FlowMap(np.where(known, flow, 0).astype(np.float32), known)


def _disparity_map(disparity: NDArray[np.floating], known: NDArray[np.bool_], path: str | Path) -> DisparityMap:
    finite = known & np.isfinite(disparity)
    known = finite & (disparity >= 0)
    if not known.any():
        reason = "all known disparities are negative; give x left − x right" if finite.any() else "no pixel is known"
        raise InputError(f"{path}: {reason}, or take the file away.")
    return DisparityMap(np.where(known, disparity, 0).astype(np.float32), known)


_GIVEN = "unknown: files given by the user"


class FlowFiles(_FilesOfMaps[FlowMap]):
    """Flow files under `root` for the images `image_ids`; `kind` one of `FlowFiles.kinds`.

    A file has the id of the image that the flow starts from, perhaps with one of `ENDINGS`; see `sources.membership`.
    `supervision` says what made the files. Flow the other way lies in a folder of its own.
    """

    what = "flow"
    kinds = {
        "kitti": (".png", _GIVEN, read_kitti_flow),
        "flo": (".flo", _GIVEN, read_flo),
        "pfm": (".pfm", _GIVEN, read_pfm_flow),
        "npy": (".npy", _GIVEN, read_npy_flow),
    }


class DisparityFiles(_FilesOfMaps[DisparityMap]):
    """Disparity files under `root` for the images `image_ids`; `kind` one of `DisparityFiles.kinds`. As `FlowFiles`."""

    what = "disparity"
    kinds = {
        "kitti": (".png", _GIVEN, read_kitti_disparity),
        "cityscapes": (".png", "stereo matching (Cityscapes disparity); no labels", read_cityscapes_disparity_map),
        "pfm": (".pfm", _GIVEN, read_pfm_disparity),
        "npy": (".npy", _GIVEN, read_npy_disparity),
    }
