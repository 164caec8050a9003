"""DepthG: unsupervised semantics with a head on frozen DINO features (Sick et al., CVPR 2024, arXiv 2309.12378).

`head` codes from features, the head of STEGO (Hamilton et al., ICLR 2022) · `probe` clusters from codes · `segmenter` the
whole, with loading and saving · `convert` published files.
"""

from __future__ import annotations

from mbps_dataset.models.depthg.head import DepthGHead, feature_map
from mbps_dataset.models.depthg.probe import DepthGProbe
from mbps_dataset.models.depthg.segmenter import DepthGConfig, DepthGSegmenter


__all__ = ["DepthGConfig", "DepthGHead", "DepthGProbe", "DepthGSegmenter", "feature_map"]
