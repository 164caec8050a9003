"""Depth that someone else made, read from files: numpy arrays, PNGs of several conventions, PFM.

Decisions: everything is returned as depth (larger is farther) in float32, 0 where unknown; nothing is resized,
normalised or filled here. The conventions are those of their authors:

* "npy": a 2-D array of numbers; NaN, infinite and negative values become 0;
* "png": 16 bits, depth = value · scale, 0 is unknown (as in this package's own `depth` column);
* "cityscapes": stereo disparity PNG, disparity = (value − 1) / 256 and 0 is unknown; depth = baseline · fx / disparity
  from the camera file beside it;
* "kitti": 16-bit PNG, depth = value / 256 metres, 0 is unknown;
* "pfm": one channel, rows from the bottom up, byte order by the sign of its scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import DepthMap
from mbps_dataset.errors import InputError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources.files import MAX_CAMERA_BYTES
from mbps_dataset.sources.map_files import read_16_bit_values, read_npy_plane, read_pfm_values
from mbps_dataset.sources.membership import FilesOfImages, file_id, find_files


KINDS: Mapping[str, tuple[str, str]] = {  # kind → (suffix of its files, what made them as far as the kind tells)
    "npy": (".npy", "unknown: depth files given by the user"),
    "png": (".png", "unknown: depth files given by the user"),
    "cityscapes": ("_disparity.png", "stereo matching (Cityscapes disparity); no labels"),
    "kitti": (".png", "LiDAR (KITTI depth)"),
    "pfm": (".pfm", "unknown: depth files given by the user"),
}

_ENDINGS = ("_leftImg8bit_depth", "_leftImg8bit_disparity", "_leftImg8bit", "_depth", "_disparity")
"""What depth files carry after the image's id."""


@dataclass(frozen=True)
class DepthFiles:
    """Depth files under `root`, found by image id (see `mbps_dataset.sources.membership`).

    `kind` one of `KINDS`; `scale` units per step, for "png" only; `camera_root` for "cityscapes": where the camera
    files lie (default: a folder "camera" beside `root`). `supervision` says what made the files. `image_ids` are those of
    all images, so that a file which fits two of them by its bare name is noticed. Raises `InputError`.
    """

    root: Path
    kind: str
    scale: float = 1.0
    camera_root: Path | None = None
    supervision: str = ""
    image_ids: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"Unknown kind of depth files {self.kind!r}; known are {', '.join(KINDS)}.")
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "supervision", self.supervision or KINDS[self.kind][1])
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder of depth files.")

    def path(self, image_id: str) -> Path:
        """The one file of an image. Raises `InputError` if there is none or more than one."""
        files = self._files if image_id in self.image_ids else self._match(frozenset({image_id}))
        found = files.path(image_id)
        if found is None:
            raise InputError(
                f"{image_id}: no depth file under {self.root}; expected one named {image_id}{KINDS[self.kind][0]}."
            )
        return found

    def read(self, image_id: str) -> DepthMap:
        """Depth float32 [H, W] of an image, 0 where unknown. Raises `InputError`."""
        path = self.path(image_id)
        if self.kind == "cityscapes":
            return read_cityscapes_disparity(path, self._camera_path(path))
        if self.kind == "kitti":
            return read_png(path, scale=1 / 256)
        if self.kind == "png":
            return read_png(path, scale=self.scale)
        return read_pfm(path) if self.kind == "pfm" else read_npy(path)

    @cached_property
    def _files(self) -> FilesOfImages:
        return self._match(self.image_ids)

    def _match(self, image_ids: frozenset[str]) -> FilesOfImages:
        return FilesOfImages(image_ids, find_files(self.root, [KINDS[self.kind][0]]), _ENDINGS)

    def _camera_path(self, path: Path) -> Path:
        folder = self.camera_root or self.root.parent / "camera"
        return folder / path.parent.relative_to(self.root) / f"{file_id(path.name, _ENDINGS)}_camera.json"


def read_npy(path: str | Path) -> NDArray[np.float32]:
    """A 2-D numeric array, also as [1, H, W]; float32 [H, W]. Raises `InputError`."""
    return _known(read_npy_plane(path, "depth"))


def read_png(path: str | Path, *, scale: float) -> NDArray[np.float32]:
    """Single-channel 16-bit PNG → value · scale, 0 unknown; float32 [H, W]. Raises `InputError`."""
    return (read_16_bit_values(path, "depth") * scale).astype(np.float32)


def read_cityscapes_disparity(path: str | Path, camera_path: str | Path) -> NDArray[np.float32]:
    """Disparity PNG and camera JSON → depth in metres, baseline · fx / disparity, 0 where unknown or infinitely far."""
    camera_path = Path(camera_path)
    try:
        camera = read_json(camera_path, most_bytes=MAX_CAMERA_BYTES)
        scale = float(camera["extrinsic"]["baseline"]) * float(camera["intrinsic"]["fx"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{camera_path}: needed for the depth of {path}, but cannot be read ({error!r}).") from None
    if not 0 < scale < math.inf:
        raise InputError(f"{camera_path}: baseline and fx must be positive, but their product is {scale}.")
    disparity = (read_16_bit_values(path, "depth") - 1) / 256
    depth = np.divide(scale, disparity, out=np.zeros_like(disparity), where=disparity > 0)
    return depth.astype(np.float32)


def read_pfm(path: str | Path) -> NDArray[np.float32]:
    """Portable float map of one channel ("Pf") → float32 [H, W], first row on top. Raises `InputError`."""
    return _known(read_pfm_values(path, channels=1))


def _known(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
