"""Random scenes for metric tests: four maps that agree enough for matches and differ enough for errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


THINGS, STUFF, VOID = (3, 4), (0, 1, 2), 255


def random_scene(
    seed: int, hw: tuple[int, int] = (24, 40), *, pseudo_classes: int = 5, crowd: bool = False
) -> dict[str, NDArray]:
    """Keyword arguments of `PanopticQuality.update`; classes 0-4 and void, block by block, with noisy predictions."""
    rng = np.random.default_rng(seed)
    block = 4

    def blocks(high: int) -> NDArray:
        return np.kron(rng.integers(0, high, (hw[0] // block, hw[1] // block)), np.ones((block, block), int))

    ids = np.array([*STUFF, *THINGS, VOID])
    true = blocks(len(ids))
    kept = rng.random(hw) < 0.8
    pred_names = np.append(rng.permutation(max(pseudo_classes, 5))[: len(ids) - 1], VOID)
    if pseudo_classes == 5:
        pred_names = ids
    true_instance = blocks(3)
    scene = {
        "pred_semantic": pred_names[np.where(kept, true, blocks(len(ids)))],
        "pred_instance": np.where(rng.random(hw) < 0.9, true_instance, blocks(3)),
        "true_semantic": ids[true],
        "true_instance": true_instance,
    }
    if crowd:
        scene["true_crowd"] = np.where(np.isin(scene["true_semantic"], THINGS), blocks(5) % 4 * (blocks(3) == 0), 0)
    return scene
