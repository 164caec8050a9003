"""Connected components of class maps: the labelling all methods share, and the simplest instance method itself.

The labelling works on horizontal runs of equal class: runs that touch vertically are joined in a graph, whose components
are those of the image. One pass serves all classes and its cost hardly depends on how many components there are (ours).
4-connectivity and the numbering (raster order of each component's first pixel) are those of the reference code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as graph_components


@dataclass(frozen=True)
class Components:
    """4-connected regions of equal key, numbered by their first pixel in raster order.

    Per run, background included: `run_starts` flat index of its first pixel, `run_lengths` pixels, `run_components`
    component index or −1 for background. Per component: `keys`, `areas` in pixels, both int64 [C].
    """

    shape: tuple[int, int]
    run_starts: NDArray[np.int64]
    run_lengths: NDArray[np.int64]
    run_components: NDArray[np.int64]
    keys: NDArray[np.int64]
    areas: NDArray[np.int64]

    def paint(self, values: NDArray[np.generic], background: int) -> NDArray[np.generic]:
        """A map [H, W] with `values` [C] at each component's pixels and `background` elsewhere."""
        table = np.append(values, np.array([background], dtype=values.dtype))
        return np.repeat(table[self.run_components], self.run_lengths).reshape(self.shape)


def label_components(keys: NDArray[np.integer]) -> Components:
    """4-connected regions of equal non-zero value of `keys` [H, W]; 0 is background."""
    begins = np.ones(keys.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    run_keys = keys.ravel()[starts].astype(np.int64)
    lengths = np.diff(starts, append=keys.size)
    foreground = np.flatnonzero(run_keys)
    labels = _join_runs(keys, begins, starts[foreground])
    count = int(labels.max()) + 1 if len(labels) else 0
    run_components = np.full(len(starts), -1, dtype=np.int64)
    run_components[foreground] = labels
    component_keys = np.zeros(count, dtype=np.int64)
    component_keys[labels] = run_keys[foreground]
    areas = np.bincount(labels, weights=lengths[foreground], minlength=count).astype(np.int64)
    return Components(keys.shape, starts, lengths, run_components, component_keys, areas)


def _join_runs(keys: NDArray[np.integer], begins: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Component index of each foreground run. Two runs touch where the later of their two beginnings lies."""
    touching = (keys[1:] == keys[:-1]) & (keys[1:] != 0) & (begins[1:] | begins[:-1])
    upper = np.flatnonzero(touching)
    lower = upper + keys.shape[1]
    first = np.searchsorted(starts, upper, side="right") - 1
    second = np.searchsorted(starts, lower, side="right") - 1
    edges = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(len(starts), len(starts)))
    count, labels = graph_components(edges, directed=False)
    return _number_by_first_run(labels, count)


def _number_by_first_run(labels: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    first_run = np.empty(count, dtype=np.int64)
    first_run[labels[::-1]] = np.arange(len(labels))[::-1]
    number = np.empty(count, dtype=np.int64)
    number[np.argsort(first_run)] = np.arange(count)
    return number[labels]
