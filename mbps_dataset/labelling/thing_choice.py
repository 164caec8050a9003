"""Which classes are things, over the whole set: what the recipe's rule looks at, and why each class is what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.errors import CalibrationError, RecipeError
from mbps_dataset.labelling.calibration import ClassStatistics
from mbps_dataset.labelling.stage import Run
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


def count_classes(
    run: Run, frames: Iterable[Frame]
) -> tuple[saliency.ClassCounts | None, saliency.SplitCounts | None]:
    """What the thing rule of the recipe looks at, over `frames`; nothing is counted for rules that look at nothing."""
    method, classes = run.recipe.things.method, len(run.calibration.classes)
    if method not in ("attention", "depth-split"):
        return None, None
    counts, splits = saliency.ClassCounts.zeros(classes), saliency.SplitCounts.zeros(classes)
    for visit in run.visits(frames):
        height, width = working_size(run.recipe, *visit.image.shape[:2])
        semantic = class_map(visit, height, width)
        if method == "attention":
            counts += saliency.count_overlap(semantic, salient(visit, height, width), classes)
            continue
        counts += saliency.count_overlap(semantic, np.zeros(semantic.shape, bool), classes)
        settings = run.recipe.instances
        shape = depth_shape(run.recipe, depth_map(visit, height, width))
        edges = gradient_magnitude(shape, settings.sigma) > settings.grad_threshold
        splits += saliency.count_splits(semantic, edges, classes, min_area=settings.min_area)
    return counts, splits if method == "depth-split" else None


def count_moving(run: Run, frames: Iterable[Frame]) -> MotionCounts | None:
    """Pixels of each class in moving objects and in all, over `frames`; None for rules that do not look at motion."""
    if run.recipe.things.method != "motion":
        return None
    classes = len(run.calibration.classes)
    counts = MotionCounts.zeros(classes)
    for visit in run.visits(frames):
        height, width = working_size(run.recipe, *visit.image.shape[:2])
        counts += counted_motion(visit, class_map(visit, height, width), classes)
    return counts


def things_by_motion(recipe: Recipe, names: Sequence[str], counts: MotionCounts) -> tuple[ClassStatistics, ...]:
    """Thing or stuff for every class by what share of its pixels lies in moving objects, with the reason (CUPS 3.3)."""
    settings = recipe.things
    split = split_by_motion(counts.inside, counts.pixels, psi=settings.psi, rule=settings.psi_of)
    ratios = moving_ratios(counts.inside, counts.pixels)
    return tuple(
        ClassStatistics(
            name=name,
            isthing=k in split.things,
            reason=_why_by_motion(k, split, counts, settings),
            ratio=float(ratios[k]) if counts.pixels[k] else None,
            coverage=None,
        )
        for k, name in enumerate(names)
    )


def _why_by_motion(k: int, split: MotionSplit, counts: MotionCounts, settings: ThingsSettings) -> str:
    if not counts.pixels[k]:
        return "in no image"
    if split.reason is not None:
        return f"no class is a thing: {split.reason}"
    what = "of the summed moving shares" if settings.psi_of == "share" else "of its pixels"
    place = "above" if k in split.things else "not above"
    return f"{split.values[k]:.1%} {what} in {counts.objects[k]} moving objects, {place} psi = {settings.psi:g}"


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
    settings = recipe.things
    coverage = None if counts is None else counts.coverage()
    ratios = splits.ratios() if splits is not None else None if counts is None else counts.ratios()
    if settings.method == "cityscapes" and not named:
        raise CalibrationError(
            "things.method 'cityscapes' needs named classes; set naming.method, or use 'attention'."
        )
    chosen = {int(k) for k in _things(settings, len(names), ratios, coverage)}
    truth_used = ["thing/stuff split: that of the Cityscapes classes"] if settings.method == "cityscapes" else []
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


def _things(
    settings: ThingsSettings, classes: int, ratios: NDArray[np.float64] | None, coverage: NDArray[np.float64] | None
) -> Iterable[int]:
    """Ids of the thing classes by the rule of the recipe. Raises `RecipeError` for a rule that does not exist."""
    if settings.method in ("attention", "depth-split"):
        if ratios is None or coverage is None:
            raise ValueError(f"Expected counts for things.method {settings.method!r}, but got none.")
        return saliency.rank_things(ratios, coverage, n_things=settings.n_things, max_coverage=settings.max_coverage)
    rules: dict[str, Callable[[], Iterable[int]]] = {
        "cityscapes": lambda: taxonomy.THINGS_19,
        "fixed": lambda: settings.ids,
        "random": lambda: saliency.random_things(classes, n_things=settings.n_things, seed=settings.seed),
        "all": lambda: range(classes),
        "none": lambda: (),
    }
    if settings.method not in rules:
        raise RecipeError(f"things.method {settings.method!r} does not exist; there is {', '.join(rules)}.")
    return rules[settings.method]()


def _reasons(
    settings: ThingsSettings,
    things: set[int],
    measured: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    classes: int,
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
