"""Names for pseudo-classes: pure functions from counts to a table cluster -> class.

The counts are overlaps with ground truth, taken elsewhere; nothing here reads a label map. A table made here therefore
*used labels*, and the label set it is applied to says so. Decisions:

* **Hungarian**, as in the reference code: 27 clusters to the 27 classes one to one, largest total overlap, and only
  then 27 -> 19 by the pipeline's table (polegroup, caravan and trailer join pole, car and truck; five classes become
  void). Counts stay integers here; the reference adds them up in float32, which rounds beyond 2^24.
* **Majority**, as for its over-clusters: every cluster takes the class it overlaps most, ties to the lowest id, so
  several clusters share a name and rare classes may get none. A cluster that was never seen becomes void; the
  reference calls it class 0, road.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mbps_dataset.errors import CalibrationError
from mbps_dataset.taxonomy import CAUSE27_TO_TRAIN_ID, VOID


def name_by_hungarian(counts: NDArray[np.integer]) -> tuple[int, ...]:
    """27 clusters to 27 classes one to one, then to 19: counts [27, 27] (cluster, class) in pixels -> train ids.

    Raises `CalibrationError` for counts of another shape.
    """
    counts = _check_counts(counts)
    if counts.shape != (27, 27):
        raise CalibrationError(
            f"Hungarian naming needs counts of 27 clusters by 27 classes, but got {counts.shape}; "
            "name over-clusters by majority."
        )
    classes27 = hungarian_assignment(counts)
    return tuple(int(c) for c in CAUSE27_TO_TRAIN_ID[classes27])


def name_by_majority(counts: NDArray[np.integer]) -> tuple[int, ...]:
    """Each cluster takes the class it overlaps most: counts [k, classes] in pixels or tokens -> class ids."""
    return tuple(int(c) for c in majority_assignment(counts))


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
