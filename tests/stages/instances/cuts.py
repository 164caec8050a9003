"""Objects found by cutting, with the classes below them: both halves of a method, as the pipeline joins them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mbps_dataset.stages.instances import Instances, agreed_objects, cut_objects, things_by_area, things_by_votes


def maskcut(semantic: np.ndarray, features: np.ndarray, things: Iterable[int], **settings: Any) -> Instances:
    return things_by_area(cut_objects(features, semantic.shape, **settings), semantic, things)


def tokencut(semantic: np.ndarray, features: np.ndarray, things: Iterable[int]) -> Instances:
    return maskcut(semantic, features, things, threshold=0.2, masks=1, corner_rule=False)


def votecut(semantic: np.ndarray, features: Sequence[np.ndarray], things: Iterable[int], **settings: Any) -> Instances:
    return things_by_votes(agreed_objects(features, semantic.shape, **settings), semantic, things)
