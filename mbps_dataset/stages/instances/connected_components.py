"""Connected components: every region of a thing class is an instance (the report's baseline, Tables 4 and 6).

As a method of its own, and as what fills the gaps another method leaves (the report's hybrid rows, A_min 10 / 500 /
1000 / 2000 / ∞). 4-connectivity, no growing.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mbps_dataset.stages.instances.class_vote import check_same_frame
from mbps_dataset.stages.instances.components import (
    Components,
    class_keys,
    eligible_classes,
    label_components,
    largest_first,
)
from mbps_dataset.stages.instances.inputs import semantic_map, thing_ids
from mbps_dataset.stages.instances.runs import Runs
from mbps_dataset.stages.instances.types import Instances


LEFTOVER_SCORE = 0.1
"""Score of a component that fills a gap (reference code)."""


def connected_components(
    semantic: ArrayLike, depth: ArrayLike | None, things: Iterable[int], *, min_area: float = 10
) -> Instances:
    """The 4-connected regions of each thing class with at least `min_area` pixels, by falling area.

    `semantic` [H, W] class ids; `depth` is not looked at, and there so that methods can be exchanged; `min_area` in
    pixels, ``math.inf`` for none at all. Scores are area / largest area. Equal areas stay in order of class, then of
    first pixel.
    """
    labels = semantic_map(semantic)
    runs = Runs.of(labels)
    classes = eligible_classes(runs, thing_ids(things), min_area)
    if not len(classes):
        return Instances.empty(labels.shape)
    return _large_components(label_components(class_keys(runs, classes)), classes, min_area)


def _large_components(components: Components, classes: NDArray[np.int64], min_area: float) -> Instances:
    kept = np.flatnonzero(components.areas >= min_area)
    kept = kept[np.argsort(components.keys[kept], kind="stable")]
    owner = np.full(len(components.areas), -1, dtype=np.int64)
    owner[kept] = np.arange(len(kept))
    run_owners = np.append(owner, -1)[components.of_run]
    taken = run_owners >= 0
    return largest_first(
        components.runs.begins.shape,
        components.runs.starts[taken],
        components.runs.lengths[taken],
        run_owners[taken],
        classes[components.keys[kept] - 1],
    )


def with_leftover_components(
    instances: Instances,
    semantic: ArrayLike,
    things: Iterable[int],
    *,
    min_area: float = 10,
    score: float = LEFTOVER_SCORE,
) -> Instances:
    """`instances`, and behind them the components of thing pixels that none of them covers, all with one `score`.

    Raises `ValueError` if the masks and `semantic` differ in size.
    """
    labels = semantic_map(semantic)
    check_same_frame(instances, labels)
    classes = thing_ids(things)
    keys = class_keys(Runs.of(labels), classes)
    keys.ravel()[instances.pixels()] = 0
    found = _large_components(label_components(keys), classes, min_area)
    return Instances.concatenate([instances, found.replace(scores=np.full(len(found), score))])
