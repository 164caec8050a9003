"""Instance maps as instances, one mask for each id above 0, and back.

A map cannot hold overlapping masks, and its ids may have gaps; `Instances` has neither limit, but no ids.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.types import Instances


def instances_of_map(instance_map: ArrayLike) -> tuple[Instances, NDArray[np.int64]]:
    """The masks of `instance_map` [H, W] by rising id, class unknown, and their ids, int64 [N].

    Raises `ValueError` if the map is not [H, W], not integer or holds an id below 0.

    >>> instances, ids = instances_of_map([[0, 7, 7], [2, 0, 7]])
    >>> ids.tolist(), instances.areas.tolist()
    ([2, 7], [1, 3])
    """
    numbers = np.asarray(instance_map)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu":
        raise ValueError(f"Expected an integer instance map (H, W), but got {numbers.dtype} of shape {numbers.shape}.")
    pixels = np.flatnonzero(numbers)
    owners = numbers.ravel()[pixels].astype(np.int64)
    if owners.size and owners.min() < 0:
        raise ValueError(f"Expected instance ids of at least 0, but got {owners.min()}.")
    order = np.argsort(owners, kind="stable")
    ids, starts = np.unique(owners[order], return_index=True)
    height, width = numbers.shape
    parts = np.split(pixels[order], starts[1:]) if len(ids) else []
    return Instances.from_pixels((height, width), parts), ids


def map_of_instances(instances: Instances) -> NDArray[np.int32]:
    """`instances` as a map int32 [H, W], 0 none, k on the k-th, counted from 1; where masks overlap the last one wins.

    >>> map_of_instances(Instances([[[0, 1, 1]], [[0, 0, 1]]])).tolist()
    [[0, 1, 2]]
    """
    numbers = np.zeros(instances.shape, dtype=np.int32)
    numbers.ravel()[instances.pixels()] = instances.owners() + 1
    return numbers
