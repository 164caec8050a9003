"""The rows of CUPS' Tables 5, 6 and 10, with the numbers that the paper prints for Cityscapes val beside them.

(Hahn et al., "Scene-Centric Unsupervised Panoptic Segmentation", CVPR 2025.) Decisions, ours:

* Table 5 adds one component a row, as the paper's does, all with SF2SE3 (`motion.method=rigid`). "Vanilla" is one run of
  it, classes of the whole image at half size, and pixels that keep their class, so that an object is one instance for each
  thing class in it. The paper's "low resolution" of Table 10a has the numbers of Table 5 without depth guidance;
* Tables 6 and 10 change one element of the recipe, whatever finds its moving objects;
* rows without a number in the paper: our own way of finding moving objects in the last row's place, the recipe as it is,
  the average of both resolutions by distance;
* a row that the recipe cannot have says why, and keeps the paper's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mbps_dataset.ablation.results import range_name
from mbps_dataset.ablation.rows import Row, Table
from mbps_dataset.errors import RecipeError
from mbps_dataset.recipe import Recipe


CUPS = "cups"
"""All tables of CUPS together, where tables are named."""

DISTANCES = (0.0, 10.0, 30.0, math.inf)
"""Limits of the paper's ranges of distance in metres."""

_QUALITY = ("pq", "paper_pq", "change_pq", "sq", "paper_sq", "rq", "paper_rq")
_SHARES = (0.04, 0.06, 0.08, 0.10, 0.12, 0.14)
_PQ_BY_PSI = (17.8, 18.1, 18.1, 18.1, 17.7, 16.7)
_WINDOWS = {
    "low": "Low resolution",
    "high": "High resolution",
    "average": "Mean",
    "depth": "Depth-guided",
}
"""Rows of Table 10 by `semantics.windows`."""
_QUALITY_BY_WINDOWS = {
    "low": (15.9, 47.0, 19.5),
    "high": (17.9, 46.8, 22.4),
    "average": (16.7, 42.7, 20.9),
    "depth": (18.1, 47.3, 22.6),
}
_MIOU_BY_WINDOWS = {
    "low": (30.7, 28.7, 23.3, 29.5),
    "high": (28.6, 29.6, 27.3, 30.9),
    "depth": (29.2, 29.7, 27.3, 31.1),
}
"""mIoU of the paper's three ranges, and of the whole."""


def wants_cups(names: Sequence[str]) -> bool:
    """Whether tables of CUPS are among the named ones."""
    return any(name == CUPS or name in CUPS_TABLES for name in names)


def _pseudo_labels(recipe: Recipe, distances: Sequence[float]) -> Table:
    stuff = "fusion.moving_stuff=keep"  # as CUPS, whatever the recipe says
    vanilla = (stuff, "fusion.align_objects=false", "motion.method=rigid", "motion.runs=1", "semantics.windows=low")
    aligned = (stuff, "fusion.align_objects=true", *vanilla[2:])
    ensemble = (*aligned[:3], "motion.runs=8", "semantics.windows=low")
    guided = (*ensemble[:4], "semantics.windows=depth")
    ours = (*aligned[:2], "motion.method=independent", "semantics.windows=depth")
    rows = (
        Row("Vanilla semantics + SF2SE3", vanilla, published=_quality(14.3, 35.5, 17.8)),
        Row("+ Instance-aligned semantics (1c)", aligned, published=_quality(14.9, 43.8, 18.2)),
        Row("+ SF2SE3 ensembling (1a)", ensemble, published=_quality(15.9, 47.0, 19.5)),
        Row("+ Depth-guided semantic inference (1b)", guided, published=_quality(18.1, 47.3, 22.6)),
        Row("Independent motion in place of SF2SE3 (ours)", ours),
        Row("This recipe"),
    )
    title = "Pseudo-label generation, one component more in each row"
    return Table("cups-5", title, (*_QUALITY, "void", "instances"), _with_moving_objects(recipe, rows))


def _threshold(recipe: Recipe, distances: Sequence[float]) -> Table:
    published: Mapping[float, float] = dict(zip(_SHARES, _PQ_BY_PSI))
    rows = tuple(
        Row(
            f"psi = {psi:g}" + (" (this recipe)" if psi == recipe.things.psi else ""),
            (f"things.psi={psi}",),
            published={"pq": published[psi]} if psi in published else {},
        )
        for psi in sorted({*_SHARES, recipe.things.psi})
    )
    columns = ("pq", "paper_pq", "change_pq", "pq_stuff", "pq_things", "void", "things", "split")
    return Table("cups-6", "Thing-stuff threshold", columns, _with_things_that_move(recipe, rows))


def _resolutions(recipe: Recipe, distances: Sequence[float]) -> Table:
    rows = tuple(
        Row(name, (f"semantics.windows={windows}",), published=_quality(*_QUALITY_BY_WINDOWS[windows]))
        for windows, name in _WINDOWS.items()
    )
    return Table("cups-10a", "Depth-guided semantics", _QUALITY, _settable(recipe, rows))


def _by_distance(recipe: Recipe, distances: Sequence[float]) -> Table:
    ours = [range_name(*limits) for limits in zip(distances, distances[1:])]
    papers = [range_name(*limits) for limits in zip(DISTANCES, DISTANCES[1:])]
    rows = tuple(
        Row(
            name,
            (f"semantics.windows={windows}",),
            published=dict(zip((*papers, "miou"), _MIOU_BY_WINDOWS.get(windows, ()))),
        )
        for windows, name in _WINDOWS.items()
    )
    columns: list[str] = []
    for value in (*ours, "miou"):
        columns += [value, f"paper_{value}"] if value in (*papers, "miou") else [value]
    columns.append("change_miou")
    title = "mIoU of the class maps by distance"
    return Table("cups-10b", title, tuple(columns), _settable(recipe, rows), tuple(distances))


def _quality(pq: float, sq: float, rq: float) -> dict[str, float]:
    return {"pq": pq, "sq": sq, "rq": rq}


def _with_moving_objects(recipe: Recipe, rows: Sequence[Row]) -> tuple[Row, ...]:
    if recipe.instances.method == "motion":
        return _settable(recipe, rows)
    why = f"not run: the instances of the recipe {recipe.name!r} are not what moves; take demo-motion or motion"
    return tuple(replace(row, unavailable=why) for row in rows)


def _with_things_that_move(recipe: Recipe, rows: Sequence[Row]) -> tuple[Row, ...]:
    if recipe.things.method == "motion":
        return _settable(recipe, rows)
    why = f"not run: things.method of the recipe {recipe.name!r} is {recipe.things.method!r}, which has no psi"
    return tuple(replace(row, unavailable=why) for row in rows)


def _settable(recipe: Recipe, rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, those that the recipe's other settings rule out with the reason."""
    return tuple(replace(row, unavailable=_why_not(recipe, row)) for row in rows)


def _why_not(recipe: Recipe, row: Row) -> str:
    try:
        row.variants(recipe)
    except RecipeError as error:
        return f"not run: {error}"
    return ""


CUPS_TABLES: Mapping[str, Callable[[Recipe, Sequence[float]], Table]] = MappingProxyType(
    {"cups-5": _pseudo_labels, "cups-6": _threshold, "cups-10a": _resolutions, "cups-10b": _by_distance}
)
"""Tables by name, each made for a recipe and the limits of ranges of distance in metres."""
