"""PQ and mIoU by distance: how a method does near the camera and far from it.

Decision (ours): a range is a set of *pixels*, those whose depth lies in it; all others count as true void, which every
convention with a void rule already knows how to ignore. So a street that runs from 3 m to 100 m is scored in each
range on its own part, and a car counts where its pixels are. Pseudo-classes are matched once, on the whole set, and
that assignment serves every range; otherwise "far" would be scored with another naming than "near".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import as_label_map
from mbps_dataset.metrics.panoptic_quality import PanopticQuality
from mbps_dataset.metrics.result import PanopticResult


class PanopticQualityByDistance:
    """`PanopticQuality` of the whole image and of each range of distance.

    Args:
        edges: ascending limits in the unit of `depth`, e.g. ``(0, 15, 30, 60)`` for three ranges; a pixel belongs to
            [edge, next edge), and the last edge may be infinite: ``(0, 10, 30, math.inf)`` are the ranges of CUPS' Table 10b.
            Pixels without depth (<= 0, NaN, infinite) are in no range.
        settings: arguments of `PanopticQuality`. The convention "report" knows no void and is refused.
    """

    def __init__(self, edges: Sequence[float], **settings: Any) -> None:
        edges = tuple(float(edge) for edge in edges)
        if len(edges) < 2 or any(not low < high for low, high in zip(edges, edges[1:])):
            raise ValueError(f"Expected `edges` to be two or more ascending distances, but got {edges}.")
        if settings.get("convention") == "report":
            raise ValueError("Convention 'report' has no rule for void, so it cannot leave out pixels; use 'coco'.")
        self.ranges = tuple(zip(edges, edges[1:]))
        self.whole = PanopticQuality(**settings)
        self._parts = [PanopticQuality(**settings) for _ in self.ranges]

    def update(
        self, pred_semantic: Any, pred_instance: Any | None, true_semantic: Any, true_instance: Any | None,
        depth: Any, **options: Any,
    ) -> None:  # fmt: skip
        """Add one image; `depth` float [H, W], the rest as in `PanopticQuality.update`."""
        image = f"image {options.get('image_id')!r}"
        depth = np.asarray(depth.detach().cpu() if hasattr(depth, "detach") else depth)
        true = as_label_map(true_semantic, "true_semantic", image)
        if depth.shape != true.shape:
            raise InputError(
                f"{image}: expected `depth` and `true_semantic` to share (H, W), but got {depth.shape} and "
                f"{true.shape}; resize one of them."
            )
        self.whole.update(pred_semantic, pred_instance, true, true_instance, **options)
        true = true.astype(np.int64)
        for (near, far), part in zip(self.ranges, self._parts):
            inside = (depth >= near) & (depth < far) & (depth > 0)
            only = np.where(inside, true, part.settings.void)
            part.update(pred_semantic, pred_instance, only, true_instance, **options)

    def compute(self, **options: Any) -> dict[tuple[float, float] | None, PanopticResult]:
        """Result of the whole under None, and of every (near, far); `options` as in `PanopticQuality.compute`."""
        results: dict[tuple[float, float] | None, PanopticResult] = {None: self.whole.compute(**options)}
        named = results[None]
        options = options | {"assignment": named.assignment, "semantic_assignment": named.semantic_assignment}
        return results | {limits: part.compute(**options) for limits, part in zip(self.ranges, self._parts)}
