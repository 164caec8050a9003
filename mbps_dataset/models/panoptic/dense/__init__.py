"""A small dense panoptic network after Panoptic-DeepLab (Cheng et al., CVPR 2020), one file per part.

`layers` the trunk · `targets` what it is to say · `losses` · `decoding` maps to segments · `network` the whole · `config` every
size and threshold.
"""

from __future__ import annotations

from mbps_dataset.models.panoptic.dense.config import DenseConfig
from mbps_dataset.models.panoptic.dense.network import DensePanoptic


__all__ = ["DenseConfig", "DensePanoptic"]
