"""How many things an image holds, and how many (pseudo-)classes are taken for the right kind: counted from overlap tables.

A thing is a (class, instance id) of an image with an id from 1; groups are none. A pseudo-class is right if it is declared a thing
or stuff as the class is that it overlaps most in the matching without that split (the report's "15 of 19").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from mbps_dataset.metrics.overlap import OverlapTable


def things_an_image(
    table: OverlapTable, pred_things: Collection[int], true_things: Collection[int]
) -> tuple[float, float]:
    """Mean number of things of an image, predicted and true; NaN of no image."""
    pred, true = table.pred_segments, table.true_segments[table.true_segments[:, 3] == 0]
    counts = (
        len(np.unique(rows[np.isin(rows[:, 1], list(things)) & (rows[:, 2] > 0), :3], axis=0))
        for rows, things in ((pred, pred_things), (true, true_things))
    )
    predicted, there = (count / table.images if table.images else float("nan") for count in counts)
    return predicted, there


def right_kinds(
    pseudo_things: Collection[int], pseudo_stuff: Collection[int], class_of: Mapping[int, int], things: Collection[int]
) -> tuple[int, int]:
    """(Pseudo-)classes that are things or stuff as the class is that `class_of` names, and those with such a class.

    >>> right_kinds([1, 2], [3], {1: 26, 2: 7, 3: 7}, [26])
    (2, 3)
    """
    known = [k for k in (*pseudo_things, *pseudo_stuff) if k in class_of]
    right = sum((k in set(pseudo_things)) == (class_of[k] in things) for k in known)
    return right, len(known)
