"""Numbers that need the whole set: which classes are things, how clusters are named, k-means centroids.

They are taken once, kept as readable JSON beside the labels, and are part of the label set. Ground truth can enter
here and nowhere else before scoring: through naming (`hungarian`, `majority`, a file made from labels) and through the
thing split of Cityscapes. `Calibration.truth_used` lists what did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.recipe import Recipe
from mbps_dataset.stage_settings import ThingsSettings
from mbps_dataset.stages import saliency


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


def choose_things(
    recipe: Recipe,
    names: Sequence[str],
    counts: saliency.ClassCounts | None,
    splits: saliency.SplitCounts | None = None,
    *,
    named: bool,
) -> tuple[tuple[ClassStatistics, ...], list[str]]:
    """Thing or stuff for every class, with the numbers behind it, and what ground truth was used (report 2.4).

    `counts` are saliency counts over the set, needed for methods "attention" and "depth-split" (whose coverage they
    hold); `splits` are component counts, for "depth-split".
    """
    settings, truth_used = recipe.things, []
    ratios = coverage = None
    if counts is not None:
        ratios, coverage = counts.ratios(), counts.coverage()
    if splits is not None:
        ratios = splits.ratios()
    if settings.method in ("attention", "depth-split"):
        things = saliency.rank_things(ratios, coverage, n_things=settings.n_things, max_coverage=settings.max_coverage)
    elif settings.method == "cityscapes":
        if not named:
            raise ValueError("things.method 'cityscapes' needs named classes; set naming.method, or use 'attention'.")
        things, truth_used = taxonomy.THINGS_19, ["thing/stuff split: that of the Cityscapes classes"]
    elif settings.method == "fixed":
        things = settings.ids
    elif settings.method == "random":
        things = saliency.random_things(len(names), n_things=settings.n_things, seed=settings.seed)
    else:
        things = tuple(range(len(names))) if settings.method == "all" else ()
    chosen = {int(k) for k in things}
    measured = None if ratios is None or coverage is None else (ratios, coverage)
    reasons = _reasons(settings, chosen, measured, len(names))
    return tuple(
        ClassStatistics(
            name=name,
            isthing=k in chosen,
            reason=reasons[k],
            ratio=None if ratios is None or not np.isfinite(ratios[k]) else float(ratios[k]),
            coverage=None if coverage is None or not np.isfinite(coverage[k]) else float(coverage[k]),
        )
        for k, name in enumerate(names)
    ), truth_used


def _reasons(
    settings: ThingsSettings, things: set[int], measured: tuple[NDArray, NDArray] | None, classes: int
) -> list[str]:
    """Why each class is a thing or stuff, in words. `measured` are ratios and coverage, where the rule looks at them."""
    if settings.method not in ("attention", "depth-split") or measured is None:
        given = {
            "cityscapes": ("a thing in Cityscapes", "stuff in Cityscapes"),
            "fixed": ("listed in things.ids", "not listed in things.ids"),
            "random": (f"drawn with seed {settings.seed}", f"not drawn with seed {settings.seed}"),
        }.get(settings.method, ("baseline: every class is a thing", "baseline: no class is a thing"))
        return [given[0] if k in things else given[1] for k in range(classes)]
    ratios, coverage = measured
    decisions = saliency.decide_things(
        ratios, coverage, n_things=settings.n_things, max_coverage=settings.max_coverage
    )
    ranked = [k for k in np.argsort(-ratios, kind="stable") if decisions[k] in ("thing", "stuff: rank")]
    rank = {int(k): place for place, k in enumerate(ranked, start=1)}
    share = "salient share {:.3f}" if settings.method == "attention" else "cut into {:.2f} times as many parts"
    return [
        "in no image"
        if decision == "absent"
        else f"covers {coverage[k]:.1%} of the images it is in, more than {settings.max_coverage:.0%}"
        if decision == "stuff: coverage"
        else f"{share.format(ratios[k])}: rank {rank[k]}, and the first {settings.n_things} are things"
        for k, decision in enumerate(decisions)
    ]


def class_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of a recipe's classes: the 19 of Cityscapes where clusters are named, else "pseudo-class k"."""
    if recipe.naming.method != "none":
        return taxonomy.NAMES_19
    return tuple(f"pseudo-class {k}" for k in range(recipe.clusters.count))
