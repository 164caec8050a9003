"""The camera of a rectified stereo pair, and what becomes of it when its image is resized or cropped.

Decisions: pixel centres lie at integer coordinates, so that a resize by s takes a coordinate x to (x + ½) s − ½, and a
crop takes it to x − left. CUPS' code multiplies the principal point by s and forgets the crop, which puts it wrong by the
whole margin on KITTI; the depth of its scene flow needs only the focal length, so its labels suffer through lateral
positions alone. The right eye has the same intrinsics and stands `baseline_m` to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError


@dataclass(frozen=True)
class Camera:
    """Pinhole camera of the left eye: focal lengths and principal point in pixels of an image of `image_hw`.

    `baseline_m` is the distance of the two eyes in metres. Raises `InputError` if a number is not finite, or a focal
    length, the baseline or a side is not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    baseline_m: float
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in ("fx", "fy", "cx", "cy", "baseline_m")}
        if wrong := [name for name, value in numbers.items() if not math.isfinite(value)]:
            raise InputError(f"A camera's {wrong[0]} must be a finite number, but is {numbers[wrong[0]]}.")
        positive = {name: numbers[name] for name in ("fx", "fy", "baseline_m")}
        if wrong := [name for name, value in positive.items() if value <= 0]:
            raise InputError(f"A camera's {wrong[0]} must be positive, but is {positive[wrong[0]]:g}.")
        if min(self.image_hw) < 1:
            raise InputError(f"A camera's image must have pixels, but its size is {self.image_hw}.")

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """The matrix K with pixel = K (X / Z, Y / Z, 1): [3, 3] float64 in pixels, X right, Y down, Z forward."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, hw: tuple[int, int]) -> Camera:
        """The camera of the image resized to `hw` (height, width) as a whole.

        >>> Camera(100.0, 100.0, 49.5, 24.5, 0.5, (50, 100)).resized((25, 50)).intrinsics.tolist()
        [[50.0, 0.0, 24.5], [0.0, 50.0, 12.0], [0.0, 0.0, 1.0]]
        """
        height, width = hw
        down, across = height / self.image_hw[0], width / self.image_hw[1]
        return Camera(
            self.fx * across,
            self.fy * down,
            (self.cx + 0.5) * across - 0.5,
            (self.cy + 0.5) * down - 0.5,
            self.baseline_m,
            (height, width),
        )

    def cropped(self, top: int, left: int, hw: tuple[int, int]) -> Camera:
        """The camera of the rows from `top` and columns from `left`, `hw` of them; negative where the crop adds a margin.

        >>> Camera(100.0, 100.0, 49.5, 24.5, 0.5, (50, 100)).cropped(10, 20, (30, 60)).intrinsics[:2, 2].tolist()
        [29.5, 14.5]
        """
        return Camera(self.fx, self.fy, self.cx - left, self.cy - top, self.baseline_m, (hw[0], hw[1]))
