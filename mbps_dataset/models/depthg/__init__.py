"""DepthG: unsupervised semantics with a head on frozen DINO features (Sick et al., CVPR 2024, arXiv 2309.12378).

`head` codes from features, the head of STEGO (Hamilton et al., ICLR 2022) · `probe` clusters from codes.
"""

from __future__ import annotations

from mbps_dataset.models.depthg.head import DepthGHead, feature_map
from mbps_dataset.models.depthg.probe import DepthGProbe


__all__ = ["DepthGHead", "DepthGProbe", "feature_map"]
