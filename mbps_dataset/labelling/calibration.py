"""Numbers that need the whole set: which classes are things, how clusters are named, k-means centroids.

They are taken once, kept as readable JSON beside the labels, and are part of the label set. Ground truth can enter
here and nowhere else before scoring: through naming (`hungarian`, `majority`, a file made from labels) and through the
thing split of Cityscapes. `Calibration.truth_used` lists what did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.recipe import Recipe


@dataclass(frozen=True)
class ClassStatistics:
    """Why a class became a thing or stuff.

    `ratio` is the salient share of its pixels (for "depth-split": components after over before cutting along depth
    edges); `coverage` the share of the images containing it that it covers. None where not measured. `reason` says it in
    words, with the numbers that decided.
    """

    name: str
    isthing: bool
    ratio: float | None
    coverage: float | None
    reason: str = ""


@dataclass(frozen=True)
class Calibration:
    """Result of calibrating a recipe on a source.

    `cluster_to_class` maps pseudo-class → class (255 = void), or is None when clusters stay unnamed; `classes` has one
    entry per class of the label set; `centroids` [k, C] unit rows for over-clustering; `truth_used` is empty for a
    label-free set.
    """

    classes: tuple[ClassStatistics, ...]
    cluster_to_class: tuple[int, ...] | None
    images: int
    truth_used: tuple[str, ...]
    centroids: NDArray[np.float64] | None = None

    @property
    def things(self) -> tuple[int, ...]:
        """Ids of the thing classes, ascending."""
        return tuple(k for k, statistics in enumerate(self.classes) if statistics.isthing)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(statistics.name for statistics in self.classes)

    @property
    def void(self) -> int:
        """Void of the class map: 255, or 65535 above 254 classes."""
        return 255 if len(self.classes) <= 254 else 65_535

    def palette(self) -> NDArray[np.uint8]:
        """Colours of the classes: Cityscapes' where they are named, else generated."""
        if self.cluster_to_class is not None:
            return taxonomy.class_palette(taxonomy.CLASSES_19)
        return taxonomy.pseudo_class_palette(len(self.classes))

    def lookup(self, clusters: int) -> NDArray[np.integer]:
        """Table pseudo-class → class id for class maps; void stays void."""
        dtype = np.uint8 if self.void == 255 else np.uint16
        if self.cluster_to_class is None:
            return np.arange(clusters, dtype=dtype)
        return np.array(self.cluster_to_class, dtype=dtype)

    def to_json(self) -> dict[str, Any]:
        document = asdict(self) | {"things": list(self.things)}
        document["centroids"] = None if self.centroids is None else self.centroids.tolist()
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        naming, centroids = document["cluster_to_class"], document["centroids"]
        return cls(
            classes=tuple(ClassStatistics(**entry) for entry in document["classes"]),
            cluster_to_class=None if naming is None else tuple(naming),
            images=document["images"],
            truth_used=tuple(document["truth_used"]),
            centroids=None if centroids is None else np.array(centroids, dtype=np.float64),
        )


def evenly_spaced(count: int, limit: int) -> list[int]:
    """At most `limit` indices spread over ``range(count)``, ends included; all of them if `limit` is 0.

    >>> evenly_spaced(10, 4)
    [0, 3, 6, 9]
    """
    if limit == 0 or count <= limit:
        return list(range(count))
    return sorted({round(k * (count - 1) / max(limit - 1, 1)) for k in range(limit)})


def class_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of a recipe's classes: the 19 of Cityscapes where clusters are named, else "pseudo-class k"."""
    if recipe.naming.method != "none":
        return taxonomy.NAMES_19
    return tuple(f"pseudo-class {k}" for k in range(recipe.clusters.count))
