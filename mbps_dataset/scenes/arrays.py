"""Short names for the arrays inside the renderer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


Values = NDArray[np.float32]
"""float32, one value per pixel or per part."""

Places = NDArray[np.intp]
"""Positions of pixels in a flat array, or the part that each pixel shows."""

Mask = NDArray[np.bool_]

Points = NDArray[np.float64]
"""float64 [..., 3], metres."""
