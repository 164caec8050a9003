"""Numbers that need the whole set: which classes are things, how clusters are named, k-means centroids.

They are taken once, kept as readable JSON beside the labels, and are part of the label set. Ground truth can enter
here and nowhere else before scoring: through naming (`hungarian`, `majority`, a file made from labels) and through the
thing split of Cityscapes. `Calibration.truth_used` lists what did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.recipe import Recipe


_ARRAYS = ("centroids", "token_mean", "token_projection")
"""Fields of a calibration that are arrays; lists in JSON."""


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
    label-free set. For codes that are tokens, `token_mean` [D] and `token_projection` [D, C] or None say how they are centred
    and whitened (see `mbps_dataset.stages.token_whitening`). `notes` say how far what was measured can be trusted.
    """

    classes: tuple[ClassStatistics, ...]
    cluster_to_class: tuple[int, ...] | None
    images: int
    truth_used: tuple[str, ...]
    centroids: NDArray[np.float64] | None = None
    token_mean: NDArray[np.float64] | None = None
    token_projection: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def things(self) -> tuple[int, ...]:
        """Ids of the thing classes, ascending."""
        return tuple(k for k, statistics in enumerate(self.classes) if statistics.isthing)

    @property
    def clusters_digest(self) -> str | None:
        """What names given to these clusters are bound to: a digest of their centres; None for those of a probe."""
        if self.centroids is None:
            return None
        return hashlib.sha256(np.round(self.centroids, 5).astype("<f4").tobytes()).hexdigest()[:16]

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
        for name in _ARRAYS:
            array = document.pop(name)
            if array is not None or name == "centroids":
                document[name] = None if array is None else array.tolist()
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        naming = document["cluster_to_class"]
        arrays = {name: document[name] for name in _ARRAYS if document.get(name) is not None}
        return cls(
            classes=tuple(ClassStatistics(**entry) for entry in document["classes"]),
            cluster_to_class=None if naming is None else tuple(naming),
            images=document["images"],
            truth_used=tuple(document["truth_used"]),
            notes=tuple(document.get("notes", ())),
            **{name: np.array(array, dtype=np.float64) for name, array in arrays.items()},
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
