"""Which classes are things: those that move by themselves, by what share of their pixels lies in moving objects.

Over a whole set, after the semantics are aligned to the objects: r_k = inside_k / (all_k + 10⁻⁶). Sorted by falling
ratio, the things are the classes above ψ = 0.08. Two readings, by name:

* ``share`` (CUPS' code, default): r_k / Σ r must exceed ψ. The limit then depends on the number of classes: of 27 the
  average share is 0.037;
* ``ratio`` (how section 3.3 of the paper reads): r_k itself must exceed ψ.

Decision made here: where no class is above ψ, or every one, there is no split; all classes are stuff, with a reason.
CUPS' code fails there with an `IndexError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.arrays import InstanceMap, SemanticMap
from mbps_dataset.stages.instances.class_vote import check_same_frame
from mbps_dataset.stages.instances.inputs import semantic_map, void_id
from mbps_dataset.stages.motion.instance_maps import instances_of_map


SplitRule = Literal["share", "ratio"]

PSI = 0.08


@dataclass(frozen=True)
class MotionCounts:
    """Counts of a set, int64 [K] each: pixels of a class in moving objects (`inside`), objects of it, all its
    pixels."""

    inside: NDArray[np.int64]
    objects: NDArray[np.int64]
    pixels: NDArray[np.int64]

    @classmethod
    def zeros(cls, classes: int) -> MotionCounts:
        """The counts of no image."""
        return cls(*(np.zeros(classes, dtype=np.int64) for _ in range(3)))

    def __add__(self, other: MotionCounts) -> MotionCounts:
        return MotionCounts(self.inside + other.inside, self.objects + other.objects, self.pixels + other.pixels)


@dataclass(frozen=True)
class MotionSplit:
    """`things` and `stuff` class ids, each by falling ratio; `values` float64 [K] that were held against ψ.

    `reason` why nothing is a thing, else None. `stuff` then holds every class.
    """

    things: tuple[int, ...]
    stuff: tuple[int, ...]
    values: NDArray[np.float64]
    reason: str | None = None


def count_motion(
    semantic: SemanticMap, instance_map: InstanceMap, classes: int, *, void: int | None = None
) -> MotionCounts:
    """The counts of one image: `semantic` [H, W] aligned to `instance_map` [H, W]; void pixels are not counted.

    An object counts for the class of its first pixel, which is that of all where the semantics are aligned. Raises
    `ValueError` if the sizes differ or the map holds a class of `classes` or above.
    """
    labels = semantic_map(semantic)
    instances, _ = instances_of_map(instance_map)
    check_same_frame(instances, labels)
    blank = void_id(labels, void)
    pixels = instances.pixels()
    areas = instances.areas
    firsts = pixels[np.cumsum(areas) - areas] if len(instances) else pixels
    flat = labels.ravel()
    return MotionCounts(*(_histogram(flat[chosen], classes, blank) for chosen in (pixels, firsts, slice(None))))


def moving_ratios(inside: ArrayLike, pixels: ArrayLike) -> NDArray[np.float64]:
    """r_k = inside_k / (pixels_k + 10⁻⁶), float64 [K] in [0, 1]."""
    return np.asarray(inside, dtype=np.float64) / (np.asarray(pixels, dtype=np.float64) + 1e-6)


def split_by_motion(
    inside: ArrayLike, pixels: ArrayLike, *, psi: float = PSI, rule: SplitRule = "share"
) -> MotionSplit:
    """Things and stuff from pixels of each class in moving objects and in all, [K] each.

    A class is a thing if its value under `rule` is above `psi` in [0, 1]; equal ratios stay in order of id. Raises
    `ValueError` if the lengths differ, `psi` is out of range or `rule` unknown.

    >>> split = split_by_motion([0, 90, 1, 0], [1000, 100, 1000, 500])
    >>> split.things, split.stuff
    ((1,), (2, 0, 3))
    """
    ratios = moving_ratios(inside, pixels)
    if ratios.ndim != 1 or np.shape(inside) != np.shape(pixels):
        raise ValueError(
            f"Expected `inside` and `pixels` of one length, but got shapes {np.shape(inside)} and {np.shape(pixels)}."
        )
    if not 0 <= psi <= 1:
        raise ValueError(f"Expected `psi` in [0, 1], but got {psi}.")
    if rule not in ("share", "ratio"):
        raise ValueError(f"Unknown rule {rule!r}; choose share or ratio.")
    total = ratios.sum()
    values = ratios / total if rule == "share" and total > 0 else ratios
    order = np.argsort(-ratios, kind="stable")
    above = values[order] > psi
    reason = _why_no_split(int(np.count_nonzero(above)), len(order), psi, rule) if total > 0 else "nothing moves"
    if reason is not None:
        above = np.zeros(len(order), dtype=bool)
    return MotionSplit(tuple(order[above].tolist()), tuple(order[~above].tolist()), values, reason)


def class_distribution(pixels: ArrayLike, split: MotionSplit) -> NDArray[np.float64]:
    """Share of all pixels that each training class has: the stuff classes in their order, then all things; sums to 1.

    `pixels` [K]. CUPS' code weights its classes by these numbers over K.
    """
    counts = np.asarray(pixels, dtype=np.float64)
    grouped = np.append(counts[list(split.stuff)], counts[list(split.things)].sum())
    return grouped / max(counts.sum(), 1)


def _why_no_split(above: int, classes: int, psi: float, rule: SplitRule) -> str | None:
    if 0 < above < classes:
        return None
    what = "share of the summed ratios" if rule == "share" else "ratio"
    return f"{'no class has' if not above else f'all {classes} classes have'} a {what} above psi = {psi:g}"


def _histogram(values: NDArray[np.integer], classes: int, void: int) -> NDArray[np.int64]:
    counts = np.bincount(values, minlength=classes)
    beyond = [k for k in np.flatnonzero(counts[classes:]) + classes if k != void]
    if beyond:
        raise ValueError(f"The class map holds class {beyond[0]}, but there are only {classes} classes (and void).")
    return counts[:classes].astype(np.int64)
