"""Names for the arrays that travel between stages.

They are aliases, not classes: any function here takes plain numpy arrays. The suffixes used for variables throughout
the package are ``_ids`` (Cityscapes label ids), ``_train_ids``, ``_hw`` (height, width), ``_px`` (area in pixels),
``_m`` (metres), ``_01`` (normalised to [0, 1]) and ``_path``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


RGBImage = NDArray[np.uint8]
"""[H, W, 3] uint8, channels red, green, blue."""

SemanticMap = NDArray[np.integer]
"""[H, W] integer class or pseudo-class per pixel; void is 255 (65535 in 16-bit maps)."""

DepthMap = NDArray[np.floating]
"""[H, W] float depth (not inverse depth); larger is farther; 0 or NaN where unknown."""

InstanceMap = NDArray[np.integer]
"""[H, W] integer; 0 = no instance, k = k-th instance of the image."""

Mask = NDArray[np.bool_]
"""[H, W] bool."""
