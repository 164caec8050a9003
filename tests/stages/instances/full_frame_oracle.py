"""The same rules written the obvious way: one full-frame mask per instance, one loop per rule.

Slow on purpose and short enough to be checked by eye. The package must give the same result; the benchmark measures
how much faster it does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


Mask = NDArray[np.bool_]
Found = tuple[list[Mask], list[int], list[float]]
"""Masks, class ids, scores."""


def depth_edges(depth: NDArray[np.floating], threshold: float, sigma: float) -> Mask:
    smooth = depth.astype(np.float64)
    if sigma > 0:
        smooth = ndimage.gaussian_filter(smooth, sigma=sigma)
    across, down = ndimage.sobel(smooth, axis=1), ndimage.sobel(smooth, axis=0)
    return np.sqrt(across**2 + down**2) > threshold


def split_by_depth(semantic, depth, things, *, grad_threshold=0.10, min_area=500, sigma=1.0, dilation=3) -> Found:
    edges = depth_edges(depth, grad_threshold, sigma)
    found: list[tuple[Mask, int, int]] = []
    for class_id in sorted(things):
        of_class = semantic == class_id
        if of_class.sum() < max(min_area, 1):
            continue
        labels, count = ndimage.label(of_class & ~edges)
        components = [labels == number for number in range(1, count + 1)]
        components = [mask for mask in components if mask.sum() >= min_area]
        components.sort(key=lambda mask: -mask.sum())
        assigned = np.zeros(semantic.shape, dtype=bool)
        for component in components:
            final = component
            if dilation > 0:
                grown = ndimage.binary_dilation(component, iterations=dilation)
                final = component | (grown & of_class & ~assigned)
            assigned |= final
            found.append((final, class_id, int(final.sum())))
    found.sort(key=lambda entry: -entry[2])
    largest = found[0][2] if found else 1
    return (
        [mask for mask, _, _ in found],
        [class_id for _, class_id, _ in found],
        [area / largest for _, _, area in found],
    )


def majority(semantic, mask, ignore=None) -> int:
    counts = np.bincount(semantic[mask])
    if ignore is not None and ignore < len(counts):
        counts[ignore] = 0
    return int(counts.argmax()) if counts.any() else -1


def merge_by_depth(found: Found, semantic, depth, things, *, max_depth_gap=0.05, min_area=50) -> Found:
    masks, _, scores = found
    classes = [majority(semantic, mask) for mask in masks]
    means = [float(depth[mask].astype(np.float64).mean()) for mask in masks]
    shown = np.full(semantic.shape, -1)
    for index, mask in enumerate(masks):
        if classes[index] in things:
            shown[mask] = index
    parent = list(range(len(masks)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for index, mask in enumerate(masks):
        if classes[index] not in things:
            continue
        border = ndimage.binary_dilation(mask) & ~mask
        for other in set(shown[border].tolist()) - {-1, index}:
            if classes[other] == classes[index] and abs(means[other] - means[index]) < max_depth_gap:
                low, high = sorted((root(index), root(other)))
                parent[high] = low
    joined: list[tuple[Mask, int, float]] = []
    for first in [index for index in range(len(masks)) if root(index) == index]:
        members = [index for index in range(len(masks)) if root(index) == first]
        union = np.zeros(semantic.shape, dtype=bool)
        for member in members:
            union |= masks[member]
        if len(members) == 1 or union.sum() >= min_area:
            joined.append((union, classes[first], max(scores[member] for member in members)))
    joined.sort(key=lambda entry: -entry[2])
    return [m for m, _, _ in joined], [c for _, c, _ in joined], [s for _, _, s in joined]


def fuse(
    found: Found, semantic, things, *, min_stuff_area=64, min_instance_area=10, order="report", void=255
) -> tuple[NDArray[np.int32], list[tuple[int, bool, float]]]:
    """Map with 1 + position in the list, and (class, is thing, score) per segment."""
    result = np.zeros(semantic.shape, dtype=np.int32)
    segments: list[tuple[int, bool, float]] = []

    def paint_instances() -> None:
        masks, _, scores = found
        ranking = sorted(range(len(masks)), key=lambda index: -scores[index])
        for index in range(len(masks)) if order == "evaluator" else ranking:
            mask = masks[index]
            class_id = majority(semantic, mask, void)
            if mask.sum() < min_instance_area or class_id not in things:
                continue
            if order != "overwrite":
                mask = mask & (result == 0)
                if mask.sum() < min_instance_area:
                    continue
            segments.append((class_id, True, scores[index]))
            result[mask] = len(segments)

    def paint_stuff() -> None:
        for class_id in np.unique(semantic).tolist():
            region = (semantic == class_id) & (result == 0)
            if class_id != void and class_id not in things and region.sum() >= max(min_stuff_area, 1):
                segments.append((class_id, False, 1.0))
                result[region] = len(segments)

    for step in (paint_instances, paint_stuff) if order == "report" else (paint_stuff, paint_instances):
        step()
    if order == "report":
        for class_id in sorted(things):
            labels, count = ndimage.label((semantic == class_id) & (result == 0))
            for number in range(1, count + 1):
                if (labels == number).sum() >= min_instance_area:
                    segments.append((class_id, True, 0.1))
                    result[labels == number] = len(segments)
    return result, segments
