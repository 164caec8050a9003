"""Which classes are things, over the whole set: what the recipe's rule looks at, and why each class is what it is.

A rule is an entry of `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.arrays import Mask
from mbps_dataset.labelling.calibration import ClassStatistics
from mbps_dataset.labelling.stage import Run, Visit
from mbps_dataset.labelling.stage_depth import depth_map, depth_shape
from mbps_dataset.labelling.stage_motion import counted_motion
from mbps_dataset.labelling.stage_pseudo_classes import class_map
from mbps_dataset.labelling.stage_row import working_size
from mbps_dataset.labelling.stage_saliency import salient
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame
from mbps_dataset.stage_settings import ThingsSettings
from mbps_dataset.stages import saliency
from mbps_dataset.stages.instances.depth_edges import gradient_magnitude
from mbps_dataset.stages.motion.thing_statistics import MotionCounts, MotionSplit, moving_ratios, split_by_motion
from mbps_dataset.stages.saliency_chance import Seen, chance_of_ranking


@dataclass(frozen=True)
class ThingCounts:
    """What rules look at, per class and summed over the images of a set; zeros where the recipe's rule does not look.

    `overlap` salient and all pixels, `parts` connected components before and after cutting along depth edges, `moving`
    pixels in moving objects; `seen` what each image shows, to hold its attention against chance.
    """

    overlap: saliency.ClassCounts
    parts: saliency.SplitCounts
    moving: MotionCounts
    seen: tuple[Seen, ...] = ()

    @classmethod
    def zeros(cls, classes: int) -> ThingCounts:
        """The counts of no image."""
        return cls(
            saliency.ClassCounts.zeros(classes), saliency.SplitCounts.zeros(classes), MotionCounts.zeros(classes)
        )


def count_for_things(run: Run, frames: Iterable[Frame]) -> ThingCounts:
    """What the thing rule of the recipe looks at, over `frames`; no image is opened for a rule that looks at none."""
    method, classes = run.recipe.things.method, len(run.calibration.classes)
    counts = ThingCounts.zeros(classes)
    overlap, parts, moving, seen = counts.overlap, counts.parts, counts.moving, list[Seen]()
    splits = method == "depth-split" or recipe_falls_back(run.recipe)
    for visit in run.visits(frames) if method in ("attention", "depth-split", "motion") else ():
        height, width = working_size(run.recipe, *visit.image.shape[:2])
        semantic = class_map(visit, height, width)
        if method == "motion":
            moving += counted_motion(visit, semantic, classes)
        elif method == "attention":
            mask = salient(visit, height, width)
            overlap += saliency.count_overlap(semantic, mask, classes)
            seen.append(Seen.of(semantic, mask))
        else:
            overlap += saliency.count_overlap(semantic, np.zeros(semantic.shape, bool), classes)  # for its coverage
        if splits:
            edges, least = _depth_edges(visit, height, width), run.recipe.instances.min_area
            parts += saliency.count_splits(semantic, edges, classes, min_area=least)
    return ThingCounts(overlap, parts, moving, tuple(seen))


def recipe_falls_back(recipe: Recipe) -> bool:
    """Whether depth may have to say what attention cannot."""
    return recipe.things.method == "attention" and recipe.things.otherwise == "depth-split"


def _depth_edges(visit: Visit, height: int, width: int) -> Mask:
    shape = depth_shape(visit.recipe, depth_map(visit, height, width))
    return gradient_magnitude(shape, visit.recipe.instances.sigma) > visit.recipe.instances.grad_threshold


@dataclass(frozen=True)
class _Choice:
    """Ids of the things and a reason per class, with the numbers [K] behind it, where any were measured."""

    things: Collection[int]
    reasons: Sequence[str]
    ratios: NDArray[np.float64] | None = None
    coverage: NDArray[np.float64] | None = None
    truth_used: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_MOST_RARE = 0.2
"""Share of the clusters that may be in at most two images without a word."""


@dataclass(frozen=True)
class ThingSplit:
    """Each class with the reason and the numbers behind it, what ground truth was used, and what there is to say of the rule."""

    classes: tuple[ClassStatistics, ...]
    truth_used: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose_things(recipe: Recipe, names: Sequence[str], counts: ThingCounts) -> ThingSplit:
    """Thing or stuff for every class of `names` by the recipe's rule (report 2.4; CUPS 3.3), from counts of these classes."""
    chosen = RULES[recipe.things.method](recipe.things, counts, len(names))
    classes = tuple(
        ClassStatistics(name, k in chosen.things, _known(chosen.ratios, k), _known(chosen.coverage, k), reason)
        for k, (name, reason) in enumerate(zip(names, chosen.reasons, strict=True))
    )
    unnamed = recipe.clusters.method == "kmeans" and recipe.naming.method == "none"
    return ThingSplit(classes, chosen.truth_used, (*chosen.notes, *(_on_rare_clusters(counts) if unnamed else ())))


def _on_rare_clusters(counts: ThingCounts) -> tuple[str, ...]:
    """A note if many clusters stand for one image rather than for a class; nothing where no rule has counted them."""
    images, pixels = counts.overlap.images_with_class, counts.overlap.total_px
    rare = (images > 0) & (images <= 2)
    if rare.sum() <= _MOST_RARE * len(images):
        return ()
    return (
        f"clusters: {rare.sum()} of {len(images)}, with {pixels[rare].sum() / pixels.sum():.0%} of the pixels, are in at most two "
        "images, and stand for these rather than for a class: lower clusters.count, or add images",
    )


def _known(values: NDArray[np.float64] | None, k: int) -> float | None:
    return None if values is None or not np.isfinite(values[k]) else float(values[k])


def _by_attention(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    ratios, coverage = counts.overlap.ratios(), counts.overlap.coverage()
    ranked = _ranked(settings, ratios, coverage, "salient share {:.3f}")
    decisions = saliency.decide_things(ratios, coverage, n_things=0, max_coverage=settings.max_coverage)
    test = chance_of_ranking(counts.seen, [k for k, decision in enumerate(decisions) if decision == "stuff: rank"])
    if test.tells or settings.otherwise == "attention":
        return replace(ranked, notes=(f"things: {test}",))
    fallen_back = _by_depth_split if settings.otherwise == "depth-split" else _none
    return replace(fallen_back(settings, counts, classes), notes=(f"things: {test}; {_INSTEAD[settings.otherwise]}",))


_INSTEAD = {
    "depth-split": "they are told by depth, which cuts them into parts",
    "none": "no class is a thing",
}
"""What is done, by `things.otherwise`, where attention ranks classes no better than chance."""


def _by_depth_split(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    return _ranked(settings, counts.parts.ratios(), counts.overlap.coverage(), "cut into {:.2f} times as many parts")


def _ranked(
    settings: ThingsSettings, ratios: NDArray[np.float64], coverage: NDArray[np.float64], measured: str
) -> _Choice:
    """The classes of the largest ratios, those that cover much left out; `measured` says a ratio in words."""
    decisions = saliency.decide_things(
        ratios, coverage, n_things=settings.n_things, max_coverage=settings.max_coverage
    )
    ranked = [k for k in np.argsort(-ratios, kind="stable") if decisions[k] in ("thing", "stuff: rank")]
    rank = {int(k): place for place, k in enumerate(ranked, start=1)}
    reasons = [
        "in no image"
        if decision == "absent"
        else f"covers {coverage[k]:.1%} of the images it is in, more than {settings.max_coverage:.0%}"
        if decision == "stuff: coverage"
        else f"{measured.format(ratios[k])}: rank {rank[k]}, and the first {settings.n_things} are things"
        for k, decision in enumerate(decisions)
    ]
    return _Choice({k for k, decision in enumerate(decisions) if decision == "thing"}, reasons, ratios, coverage)


def _by_motion(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    moving = counts.moving
    split = split_by_motion(moving.inside, moving.pixels, psi=settings.psi, rule=settings.psi_of)
    reasons = [_why_by_motion(k, split, moving, settings) for k in range(classes)]
    ratios = np.where(moving.pixels > 0, moving_ratios(moving.inside, moving.pixels), np.nan)
    return _Choice(split.things, reasons, ratios)


def _why_by_motion(k: int, split: MotionSplit, counts: MotionCounts, settings: ThingsSettings) -> str:
    if not counts.pixels[k]:
        return "in no image"
    if split.reason is not None:
        return f"no class is a thing: {split.reason}"
    what = "of the summed moving shares" if settings.psi_of == "share" else "of its pixels"
    place = "above" if k in split.things else "not above"
    return f"{split.values[k]:.1%} {what} in {counts.objects[k]} moving objects, {place} psi = {settings.psi:g}"


def _by_cityscapes(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    """Of named classes; `labelling.fit` refuses a recipe that leaves them unnamed."""
    chosen = _listed(taxonomy.THINGS_19, classes, "a thing in Cityscapes", "stuff in Cityscapes")
    return replace(chosen, truth_used=("thing/stuff split: that of the Cityscapes classes",))


def _fixed(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    return _listed(settings.ids, classes, "listed in things.ids", "not listed in things.ids")


def _random(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    drawn = saliency.random_things(classes, n_things=settings.n_things, seed=settings.seed)
    return _listed(drawn, classes, f"drawn with seed {settings.seed}", f"not drawn with seed {settings.seed}")


def _all(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    return _Choice(range(classes), ["baseline: every class is a thing"] * classes)


def _none(settings: ThingsSettings, counts: ThingCounts, classes: int) -> _Choice:
    return _Choice((), ["baseline: no class is a thing"] * classes)


def _listed(things: Collection[int], classes: int, thing: str, stuff: str) -> _Choice:
    return _Choice(things, [thing if k in things else stuff for k in range(classes)])


RULES: Mapping[str, Callable[[ThingsSettings, ThingCounts, int], _Choice]] = MappingProxyType(
    {
        "attention": _by_attention,
        "depth-split": _by_depth_split,
        "motion": _by_motion,
        "cityscapes": _by_cityscapes,
        "all": _all,
        "none": _none,
        "random": _random,
        "fixed": _fixed,
    }
)
"""How things are told from stuff, by `things.method`."""
