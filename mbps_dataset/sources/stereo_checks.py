"""What is wrong with the images of a stereo video, said in a sentence, before flow and disparity are taken of them.

Both eyes' images are cut into tiles of a quarter of the height and a third of the width, and each tile is laid over its
counterpart by phase correlation, which needs no features: its peak tells by how much the tile is shifted, and the height of
the peak, in standard deviations of the correlation, whether the two show the same thing at all. Measured on ten KITTI
pairs, 36 rendered pairs and CamVid:

* tiles of rectified pairs are shifted up and down by at most 0.16 px in the median, and the middle 70 % of them within
  0.65 px (1.0 px in a scene with a plain truck before the camera); rolled by 0.2 degrees, the same pairs have 2.0 px and
  more. `VERTICAL_PX` and `VERTICAL_RANGE_PX` lie between;
* all tiles are shifted the way disparity goes; when the eyes are swapped, all the other way;
* the median peak is 18 and more between both eyes, 8.9 and more (rendered, a metre a frame; 15.9 CamVid, 40 KITTI) between
  a frame and the next, 4.9 to 5.7 between two scenes, 5.1 to 7.1 within a drive 2.7 s apart. `LEAST_PEAK` lies between.

Time that runs backwards cannot be seen: a street film played in reverse is as consistent as it is forwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.arrays import RGBImage
from mbps_dataset.sources.stereo_video import StereoVideo


VERTICAL_PX = 0.75
"""Median vertical shift between both eyes from which they are not rectified, in pixels."""
VERTICAL_RANGE_PX = 1.5
"""Range of vertical shifts, from the 15th to the 85th percentile of the tiles, from which they are not rectified."""
LEAST_PEAK = 7.0
"""Median height of the correlation's peak below which two images do not show the same, in standard deviations."""
SWAPPED_SHARE = 0.8
"""Share of the tiles shifted against the disparity from which the eyes are swapped."""
DARK = 16.0
"""A frame is black if 99 % of its grey values are below this, of 255."""
PLAIN = 2.0
"""A picture or tile whose grey values have less standard deviation than this shows nothing."""
LEAST_SIDE_PX = 128
"""Images with a shorter side are too small for tiles, and their content is not compared."""
LEAST_TILES = 4
"""Tiles with something in them that a comparison needs."""

_ROWS, _COLUMNS = 4, 3
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class TileShifts:
    """Where tiles of one image lie in the other: `down` and `right` pixels, float64 [N]; `peak`, how clearly, [N]."""

    down: NDArray[np.float64]
    right: NDArray[np.float64]
    peak: NDArray[np.float64]


def why_unusable(video: StereoVideo) -> str | None:
    """The first reason why motion cannot be taken from a stereo video, or None: each check of this file in turn."""
    images = {
        "the image": video.left,
        "the right eye": video.right,
        "the next frame": video.next_left,
        "the next frame's right eye": video.next_right,
    }
    for name, image in images.items():
        if reason := why_blank(image):
            return f"{name} {reason}"
    return (
        why_not_a_pair(video.left, video.right)
        or why_not_consecutive(video.left, video.next_left)
        or why_not_a_pair(video.next_left, video.next_right, moment=" at the next frame")
    )


def why_blank(image: RGBImage) -> str | None:
    """Why an image [H, W, 3] shows nothing: it is black, or of one colour; else None."""
    grey = image @ _GREY
    if np.percentile(grey, 99) < DARK:
        return f"is black (99 % of its pixels are darker than {DARK:.0f} of 255)"
    if grey.std() < PLAIN:
        return f"is all of one colour (standard deviation {grey.std():.1f} of 255)"
    return None


def why_not_a_pair(left: RGBImage, right: RGBImage, *, moment: str = "") -> str | None:
    """Why two images [H, W, 3] of one size are no rectified pair of left and right eye, else None.

    They are one and the same, do not show the same, are swapped, or not rectified (with the vertical offset).
    """
    if np.array_equal(left, right):
        return f"both eyes have the same image{moment}; give the right camera's"
    shifts = tile_shifts(left, right)
    if shifts is None:
        return None
    if (peak := float(np.median(shifts.peak))) < LEAST_PEAK:
        return f"both eyes do not show the same{moment} (correlation {peak:.1f}, and {LEAST_PEAK:g} is the least)"
    if (shifts.right > 0.5).mean() >= SWAPPED_SHARE:
        return f"left and right are swapped{moment} (disparity is negative, {np.median(-shifts.right):.0f} px)"
    middle, (low, high) = float(np.median(shifts.down)), np.percentile(shifts.down, (15, 85))
    if abs(middle) > VERTICAL_PX or high - low > VERTICAL_RANGE_PX:
        return (
            f"both eyes are not rectified{moment}: vertical offset {middle:+.1f} px, from {low:+.1f} to {high:+.1f} px over "
            "the image (positive where the right image lies lower); rectify them first"
        )
    return None


def why_not_consecutive(image: RGBImage, following: RGBImage) -> str | None:
    """Why `following` [H, W, 3] cannot be the frame after `image`: it is the same picture, or another scene; else None."""
    if np.array_equal(image, following):
        return "the next frame is the same picture again; give frames of different moments"
    shifts = tile_shifts(image, following)
    if shifts is not None and (peak := float(np.median(shifts.peak))) < LEAST_PEAK:
        return (
            f"the next frame does not continue this one (correlation {peak:.1f}, and {LEAST_PEAK:g} is the least): the "
            "scene was cut, or frames are missing"
        )
    return None


def tile_shifts(image: RGBImage, other: RGBImage) -> TileShifts | None:
    """Shift of each tile that shows something from `image` to `other`, [H, W, 3] of one size.

    None where nothing can be said: sides shorter than `LEAST_SIDE_PX`, or fewer than `LEAST_TILES` such tiles.
    """
    if min(image.shape[:2]) < LEAST_SIDE_PX:
        return None
    found = [_shift(a, b) for a, b in _tiles(image @ _GREY, other @ _GREY) if min(a.std(), b.std()) >= PLAIN]
    return TileShifts(*np.array(found).T) if len(found) >= LEAST_TILES else None


def _tiles(image: Grey, other: Grey) -> Iterator[tuple[Grey, Grey]]:
    height, width = image.shape
    rows, columns = height // _ROWS, width // _COLUMNS
    for top in range(0, height - rows + 1, rows // 2):
        for left in range(0, width - columns + 1, columns):
            tile = slice(top, top + rows), slice(left, left + columns)
            yield image[tile], other[tile]


def _shift(a: Grey, b: Grey) -> tuple[float, float, float]:
    """Pixels down and right from `a` to `b`, the first to a fraction, and the height of the correlation's peak."""
    height, width = a.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    spectrum = np.conj(np.fft.rfft2((a - a.mean()) * window)) * np.fft.rfft2((b - b.mean()) * window)
    size = np.abs(spectrum)
    frequency = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
    smooth = np.exp(-2 * np.pi**2 * frequency)  # a Gaussian of one pixel, so that the peak is no single pixel
    surface = np.fft.irfft2(spectrum / (size + 1e-3 * size.max()) * smooth, s=a.shape)
    reach = height // 3, width // 3
    near = np.roll(surface, reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    row, column = np.unravel_index(near.argmax(), near.shape)
    fraction = 0.0
    if 0 < row < len(near) - 1:
        above, peak, below = near[row - 1 : row + 2, column]
        fraction = 0.5 * (above - below) / (above - 2 * peak + below)
    return float(row - reach[0] + fraction), float(column - reach[1]), float(near.max() / surface.std())
