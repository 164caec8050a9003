"""Where golden numbers lie: one rule for every test that reproduces them (their names hold the word "vector").

``MBPS_VECTORS`` names their folder, and then a file that is not there fails the test. Without it they are taken from
``../shared/vectors`` beside the checkout, and where that has none from the copies in ``tests/data``, which are the same
numbers, some of them on a coarser grid.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


COPIES = Path(__file__).parent / "data"
BESIDE_THE_CHECKOUT = Path(__file__).parents[2] / "shared" / "vectors"


def vector_path(name: str) -> Path:
    """A file or folder of golden numbers, as "cause_head_small.npz" or "pq/03_over40"."""
    stated = os.environ.get("MBPS_VECTORS")
    if stated:
        path = Path(stated).expanduser() / name
        if not path.exists():
            pytest.fail(f"{path} does not exist, and MBPS_VECTORS={stated} names the folder of golden numbers.")
        return path
    return next((folder / name for folder in (BESIDE_THE_CHECKOUT, COPIES) if (folder / name).exists()), COPIES / name)


def load_vectors(name: str) -> dict[str, NDArray]:
    """All arrays of a file of golden numbers; `name` has no suffix."""
    with np.load(vector_path(f"{name}.npz"), allow_pickle=False) as content:
        return {key: content[key] for key in content.files}


def on_grid(vectors: dict[str, NDArray], name: str, step: int) -> NDArray:
    """``vectors[name + "_sub" + step]``: every `step`-th pixel of a map, also where the file holds a finer grid."""
    held = next(f"{name}_sub{finer}" for finer in range(1, step + 1) if f"{name}_sub{finer}" in vectors)
    every = step // int(held.rpartition("_sub")[2])
    return vectors[held][..., ::every, ::every]
