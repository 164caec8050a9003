"""Which classes are things: how often their pixels are what the attention of a ViT falls on (report 2.4).

Decisions and where they come from (the reference code, unless said otherwise):

* attention is enlarged bilinearly to the label map's size, and its pixels above Otsu's threshold are salient;
* Otsu's method works on 256 bins between minimum and maximum; the threshold is the *centre* of the bin that maximises
  the variance between classes, the first of them if several do; the bin itself belongs to the background;
* a class's ratio is its salient pixels over all its pixels, summed over the set; its coverage is its pixels over the
  area of the images *that contain it*;
* a class covering more than `max_coverage` is stuff whatever its ratio (0 switches this rule off); of the others the
  `n_things` of highest ratio are things, ties to the lower id. The report says 6, its code's default is 8;
* a class that is nowhere in the set has no ratio and is never a thing (ours; it makes no difference to any label).

For comparison: random ones, and the older depth-split heuristic, in which a class is a thing if
cutting it along depth edges multiplies its connected components.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import Mask, SemanticMap


BINS = 256
"""Histogram bins of Otsu's method."""

VOIDS = {8: 255, 16: 65535}
"""Void per number of bits of a class map."""


def upsample(attention: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """float [h, w] → float32 [height, width], bilinear with `align_corners=False`."""
    import torch  # here, as scipy below: calibrations are read by commands that run no network
    from torch.nn import functional

    values = torch.as_tensor(attention).float()[None, None]
    return functional.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


def otsu_threshold(values: ArrayLike) -> float:
    """Otsu's threshold of finite values of any shape: the centre of a histogram bin.

    Maximises w₀ w₁ (m₀ − m₁)², with weights and means of the values up to and beyond a bin. Otsu, IEEE Trans. SMC 1979.
    Raises `ValueError` for no values or values that are not finite.

    >>> values = np.array([0.1, 0.1, 0.2, 0.8, 0.9])
    >>> (values > otsu_threshold(values)).tolist()
    [False, False, False, True, True]
    """
    values = np.asarray(values)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"Expected finite values for Otsu's threshold, but got {values.size} with NaN or infinity.")
    counts, edges = np.histogram(values, bins=BINS)
    centres = ((edges[:-1] + edges[1:]) / 2).astype(np.float64)
    below = np.cumsum(counts)
    above = values.size - below
    sums = np.cumsum(counts * centres)
    mean_below = sums / np.maximum(below, 1)
    mean_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below.astype(np.float64) * above * (mean_below - mean_above) ** 2
    return float(centres[np.argmax(between)])


def salient_mask(attention: NDArray[np.floating]) -> Mask:
    """bool [H, W]: attention strictly above its Otsu threshold."""
    return np.asarray(attention) > otsu_threshold(attention)


@dataclass(frozen=True)
class ClassCounts:
    """Sums over a set of images, per class; add two to join two sets. All arrays [K]."""

    salient_px: NDArray[np.int64]  # salient pixels of the class
    total_px: NDArray[np.int64]  # pixels of the class
    images_with_class: NDArray[np.int64]  # images that contain the class
    image_area_sum: NDArray[np.int64]  # pixels of those images, void included

    @classmethod
    def zeros(cls, classes: int) -> ClassCounts:
        """The counts of no image."""
        return cls(*(np.zeros(classes, dtype=np.int64) for _ in range(4)))

    def __add__(self, other: ClassCounts) -> ClassCounts:
        if len(self.total_px) != len(other.total_px):
            raise ValueError(f"Cannot add counts of {len(self.total_px)} and of {len(other.total_px)} classes.")
        return ClassCounts(*(mine + theirs for mine, theirs in zip(self._arrays(), other._arrays())))

    def ratios(self) -> NDArray[np.float64]:
        """Share of each class's pixels that is salient, float64 [K] in [0, 1]; NaN for a class without pixels."""
        return _divide(self.salient_px, self.total_px)

    def coverage(self) -> NDArray[np.float64]:
        """Share of the images that contain the class which it covers, float64 [K]; NaN for a class without pixels."""
        return _divide(self.total_px, self.image_area_sum)

    def _arrays(self) -> tuple[NDArray[np.int64], ...]:
        return self.salient_px, self.total_px, self.images_with_class, self.image_area_sum


def count_overlap(semantic: SemanticMap, saliency: NDArray[np.generic], classes: int = 19) -> ClassCounts:
    """Counts of one image: class map [H, W] (void ignored) and saliency mask [H, W].

    A floating `saliency` is taken for attention and thresholded by `salient_mask`. Raises `ValueError` for other sizes
    or for a class id that is neither below `classes` nor void.
    """
    semantic, mask = np.asarray(semantic), np.asarray(saliency)
    if semantic.shape != mask.shape:
        raise ValueError(
            f"Expected `semantic` and `saliency` to share (H, W), but got {semantic.shape} and {mask.shape}; "
            "upsample the attention to the class map's size."
        )
    mask = salient_mask(mask) if np.issubdtype(mask.dtype, np.floating) else mask.astype(bool)
    total = _pixels_per_class(semantic, classes)
    salient = _pixels_per_class(semantic[mask], classes)
    present = (total > 0).astype(np.int64)
    return ClassCounts(salient, total, present, present * semantic.size)


def overlap_ratios(semantic: SemanticMap, saliency: NDArray[np.generic], classes: int = 19) -> NDArray[np.float64]:
    """Share of each class's pixels that is salient in one image: float64 [K], NaN where absent; see `count_overlap`."""
    return count_overlap(semantic, saliency, classes).ratios()


def rank_things(
    ratios: ArrayLike, coverage: ArrayLike, *, n_things: int = 6, max_coverage: float = 0.10
) -> tuple[int, ...]:
    """Ids of the classes that are things, ascending: at most `n_things`.

    `ratios`, `coverage` [K] as of `ClassCounts`; NaN for absent classes. `max_coverage` 0 switches its rule off.
    """
    decisions = decide_things(ratios, coverage, n_things=n_things, max_coverage=max_coverage)
    return tuple(class_id for class_id, decision in enumerate(decisions) if decision == "thing")


def decide_things(
    ratios: ArrayLike, coverage: ArrayLike, *, n_things: int = 6, max_coverage: float = 0.10
) -> tuple[str, ...]:
    """Why each class is what it is: "thing", "stuff: coverage", "stuff: rank" or "absent", one per class.

    Raises `ValueError` if `ratios` and `coverage` differ in length or a number is out of range.
    """
    ratios, coverage = np.asarray(ratios, dtype=np.float64), np.asarray(coverage, dtype=np.float64)
    if ratios.shape != coverage.shape or ratios.ndim != 1:
        raise ValueError(
            f"Expected one ratio and one coverage per class, but got shapes {ratios.shape} and {coverage.shape}."
        )
    if n_things < 0 or not 0 <= max_coverage <= 1:
        raise ValueError(f"Expected n_things >= 0 and max_coverage in [0, 1], but got {n_things} and {max_coverage}.")
    absent = np.isnan(ratios)
    too_large = (coverage > max_coverage) & (max_coverage > 0) & ~absent
    candidates = np.flatnonzero(~absent & ~too_large)
    best = set(candidates[np.argsort(-ratios[candidates], kind="stable")][:n_things].tolist())
    return tuple(
        "absent" if absent[k] else "stuff: coverage" if too_large[k] else "thing" if k in best else "stuff: rank"
        for k in range(len(ratios))
    )


def random_things(classes: int, *, n_things: int = 6, seed: int = 0) -> tuple[int, ...]:
    """Baseline: `n_things` of the classes drawn without replacement, ascending; one seed, one answer."""
    if not 0 <= n_things <= classes:
        raise ValueError(f"Expected n_things between 0 and {classes} (all classes), but got {n_things}.")
    drawn = np.random.default_rng(seed).choice(classes, size=n_things, replace=False)
    return tuple(sorted(int(class_id) for class_id in drawn))


@dataclass(frozen=True)
class SplitCounts:
    """Connected components of each class over a set, before and after cutting along depth edges. Arrays [K]."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @classmethod
    def zeros(cls, classes: int) -> SplitCounts:
        """The counts of no image."""
        return cls(np.zeros(classes, dtype=np.int64), np.zeros(classes, dtype=np.int64))

    def __add__(self, other: SplitCounts) -> SplitCounts:
        return SplitCounts(self.before + other.before, self.after + other.after)

    def ratios(self) -> NDArray[np.float64]:
        """Components after over before, float64 [K]; NaN for a class without components. Give it to `rank_things`."""
        return _divide(self.after, self.before)


def count_splits(semantic: SemanticMap, depth_edges: Mask, classes: int = 19, *, min_area: int = 0) -> SplitCounts:
    """Components (4-connected, of at least `min_area` pixels) of each class of one image, whole and without depth edges.

    `semantic` [H, W], void ignored; `depth_edges` bool [H, W], as the instance stage finds them.
    """
    semantic, edges = np.asarray(semantic), np.asarray(depth_edges, dtype=bool)
    if semantic.shape != edges.shape:
        raise ValueError(
            f"Expected `semantic` and `depth_edges` to share (H, W), but got {semantic.shape} and {edges.shape}."
        )
    present = np.flatnonzero(_pixels_per_class(semantic, classes))
    counts = SplitCounts.zeros(classes)
    for class_id in present:
        mask = semantic == class_id
        counts.before[class_id] = _count_components(mask, min_area)
        counts.after[class_id] = _count_components(mask & ~edges, min_area)
    return counts


def _count_components(mask: Mask, min_area: int) -> int:
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if min_area <= 1:
        return count
    return int((np.bincount(labels.ravel())[1:] >= min_area).sum())


def _pixels_per_class(semantic: SemanticMap, classes: int) -> NDArray[np.int64]:
    counts = np.bincount(semantic.ravel(), minlength=classes)
    void = VOIDS.get(8 * semantic.dtype.itemsize, VOIDS[8])
    beyond = [k for k in np.flatnonzero(counts[classes:]) + classes if k not in (void, VOIDS[8])]
    if beyond:
        raise ValueError(f"The class map holds class {beyond[0]}, but there are only {classes} classes (and void).")
    return counts[:classes].astype(np.int64)


def _divide(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.full(len(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)
