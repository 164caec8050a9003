"""The whole shape of an object of which only pieces are known to move (ours).

Flow is reliable where there is texture, and disparity where both eyes see the same; of a smooth car that is its outline, its
wheels and little else. Things are solid, so an object takes, of the pixels that nothing else holds and that are not known to
stand still,

1. those in its convex hull whose depth is in its own range, as far as they touch it;
2. those with pixels of it above and below and on both sides, whatever their depth; where the object touches the left or right
   border of the image, the border is a side of it.

Both leave out the background that an object uncovers: it lies beside it, at another depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from mbps_dataset.arrays import Mask
from mbps_dataset.stages.motion.surface_area import on_one_line


def solid_shape(held: Mask, depth: NDArray[np.float32], free: Mask, *, disparity_step: float) -> Mask:
    """`held` [H, W] and what of `free` [H, W] belongs to it, bool [H, W]; see the module's head.

    `depth` [H, W] m, 0 where unknown; the object's range of depth is that of the middle 96 % of `held`, and
    `disparity_step` of itself to both sides. `held` is returned as it is where its pixels are all on one line.
    """
    pixels = np.argwhere(held)
    if len(pixels) < 3 or on_one_line(pixels):
        return held
    nearest, farthest = np.percentile(depth[held], (2, 98))
    like = (depth >= nearest * (1 - disparity_step)) & (depth <= farthest * (1 + disparity_step))
    inside = held | (free & like & convex_hull(pixels, (held.shape[0], held.shape[1])))
    solid = ndimage.binary_propagation(held, structure=np.ones((3, 3)), mask=inside)
    return solid | (free & _between_rows(solid) & _between_columns(solid))


def convex_hull(pixels: NDArray[np.integer], shape: tuple[int, int]) -> Mask:
    """The convex hull of `pixels` [N, 2] (row, column), not all on one line, as a mask of `shape` (H, W)."""
    corners = pixels[ConvexHull(pixels).vertices]
    picture = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(picture).polygon([(int(column), int(row)) for row, column in corners], fill=1)
    return np.array(picture)


def _between_rows(mask: Mask) -> Mask:
    """Where `mask` [H, W] is above and below."""
    above = np.logical_or.accumulate(mask, axis=0)
    return above & np.logical_or.accumulate(mask[::-1], axis=0)[::-1]


def _between_columns(mask: Mask) -> Mask:
    """Where `mask` [H, W] is on both sides, the image's border counting as one where it touches that."""
    sides = mask.copy()
    sides[:, 0] |= mask[:, 0].any()
    sides[:, -1] |= mask[:, -1].any()
    left = np.logical_or.accumulate(sides, axis=1)
    return left & np.logical_or.accumulate(sides[:, ::-1], axis=1)[:, ::-1]
