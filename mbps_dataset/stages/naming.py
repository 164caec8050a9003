"""Names for pseudo-classes: pure functions from counts to a table cluster -> class.

The counts are overlaps with ground truth, taken elsewhere; nothing here reads a label map. A table made here therefore
*used labels*, and the label set it is applied to says so. Decisions:

* **Hungarian**, as in the reference code: 27 clusters to the 27 classes one to one, largest total overlap, and only
  then 27 -> 19 by the pipeline's table (polegroup, caravan and trailer join pole, car and truck; five classes become
  void). Counts stay integers here; the reference adds them up in float32, which rounds beyond 2^24.
* **Majority**, as for its over-clusters: every cluster takes the class it overlaps most, ties to the lowest id, so
  several clusters share a name and rare classes may get none. A cluster that was never seen becomes void; the
  reference calls it class 0, road.
* **None**: clusters keep their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mbps_dataset.arrays import SemanticMap
from mbps_dataset.errors import CalibrationError
from mbps_dataset.taxonomy import CAUSE27_TO_TRAIN_ID, VOID


METHODS = ("none", "hungarian", "majority", "file")


@dataclass(frozen=True)
class Naming:
    """A table from clusters to classes, and how it came about.

    `method` is one of `METHODS`; `cluster_to_class` holds one class id or 255 (void) per cluster; `used_labels` says
    whether ground truth decided it ("file": unknown origin, so taken to have used labels).
    """

    method: str
    cluster_to_class: tuple[int, ...]
    used_labels: bool

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise CalibrationError(f"Naming method must be one of {METHODS}, but is {self.method!r}.")
        if any(not 0 <= class_id <= VOID for class_id in self.cluster_to_class) and self.method != "none":
            raise CalibrationError(f"Class ids must be between 0 and {VOID}, but got {self.cluster_to_class}.")

    def apply(self, clusters: SemanticMap) -> SemanticMap:
        """Replace cluster ids by class ids: integer [H, W] -> uint8 [H, W]; ids without an entry become void.

        With method "none" the map is returned as it is.
        """
        if self.method == "none":
            return clusters
        table = np.full(max(len(self.cluster_to_class), int(clusters.max(initial=0)) + 1), VOID, dtype=np.uint8)
        table[: len(self.cluster_to_class)] = self.cluster_to_class
        return table[clusters]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "method": self.method,
            "cluster_to_class": list(self.cluster_to_class),
            "used_labels": self.used_labels,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Naming:
        """The reverse of `to_dict`."""
        try:
            classes = tuple(int(class_id) for class_id in values["cluster_to_class"])
            return cls(str(values["method"]), classes, bool(values["used_labels"]))
        except (KeyError, TypeError) as error:
            raise CalibrationError(f"A naming needs method, cluster_to_class and used_labels; {error!r}.") from error


def unnamed(clusters: int) -> Naming:
    """Clusters keep their numbers; no labels were used."""
    return Naming("none", tuple(range(clusters)), used_labels=False)


def name_by_hungarian(counts: NDArray[np.integer]) -> Naming:
    """27 clusters to 27 classes one to one, then to 19: counts [27, 27] (cluster, class) in pixels -> train ids."""
    counts = _check_counts(counts)
    if counts.shape != (27, 27):
        raise CalibrationError(
            f"Hungarian naming needs counts of 27 clusters by 27 classes, but got {counts.shape}; "
            "name over-clusters by majority."
        )
    classes27 = hungarian_assignment(counts)
    return Naming("hungarian", tuple(int(c) for c in CAUSE27_TO_TRAIN_ID[classes27]), used_labels=True)


def name_by_majority(counts: NDArray[np.integer]) -> Naming:
    """Each cluster takes the class it overlaps most: counts [k, classes] in pixels or tokens -> class ids."""
    return Naming("majority", tuple(int(c) for c in majority_assignment(_check_counts(counts))), used_labels=True)


def name_from_table(cluster_to_class: NDArray[np.integer]) -> Naming:
    """A published table, such as the one beside published centroids; its origin is unknown, so it counts as labelled."""
    return Naming("file", tuple(int(c) for c in np.asarray(cluster_to_class).reshape(-1)), used_labels=True)


def hungarian_assignment(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """One-to-one assignment of largest total overlap: counts [clusters, classes] -> class per cluster [clusters].

    With more clusters than classes the clusters left over get 255.
    """
    rows, columns = linear_sum_assignment(_check_counts(counts), maximize=True)
    classes = np.full(len(counts), VOID, dtype=np.int64)
    classes[rows] = columns
    return classes


def majority_assignment(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Class of largest overlap per cluster, the lowest id in a tie, 255 for a cluster without overlap: -> [clusters]."""
    counts = _check_counts(counts)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), VOID).astype(np.int64)


def _check_counts(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise CalibrationError(
            f"Expected `counts` to be whole numbers of at least 0, [clusters, classes], but got {counts.dtype} "
            f"{counts.shape}."
        )
    return counts
