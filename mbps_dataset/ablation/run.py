"""Running an ablation: all rows of the chosen tables, each variant measured once, every row checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mbps_dataset._version import __version__
from mbps_dataset.ablation.bench import Bench
from mbps_dataset.ablation.kept_scenes import KeptScenes
from mbps_dataset.ablation.results import Measurement, RowResult, row_result
from mbps_dataset.ablation.rows import Row, Table, Variant, plain_variant
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.labelling import require_eyes
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Source
from mbps_dataset.store import Store


_CONVENTIONS = {
    "report": "512 x 1024, no void rule, SQ and RQ pooled over segments",
    "coco": "panopticapi's void and crowd rules, means over classes",
    "cups": "torchmetrics' void rule, means over classes",
}
_ORDERS = {
    "report": "high scores first, components in what is left",
    "evaluator": "stuff first, instances as given, the rest void",
    "overwrite": "stuff first, each instance over those before it, the rest void",
}


_VOID = (
    "Pixels of thing classes that no instance holds are void (`fusion.unlabelled_things`)"
    "{}. Void: share of the labelled pixels."
)
_FORGIVEN = ", which the convention leaves out of the score: more things may raise PQ by leaving more void"


@dataclass(frozen=True)
class Ablation:
    """What was measured: `about` says on what and how, `head` the same in sentences, `tables` with their rows."""

    about: dict[str, Any]
    head: tuple[str, ...]
    tables: tuple[tuple[Table, tuple[RowResult, ...]], ...]


def run_ablation(
    recipe: Recipe,
    source: Source,
    split: str,
    store: Store,
    tables: Sequence[Table],
    *,
    limit: int | None = None,
    convention: str = "report",
    names_apart: bool = False,
    resamples: int = 0,
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = False,
) -> Ablation:
    """Measure `tables` on the first `limit` images of a split; `names_apart` and `resamples` as in `Bench`.

    Raises `InputError` if there is no ground truth, or no stereo video for a recipe that needs it, `WeightsError` for
    networks that are missing, `RecipeError` for a row that cannot be set, and `ImpossibleRowError` for a row whose PQ is not
    the mean of its parts.
    """
    require_eyes(recipe, source, (split,))
    kept = KeptScenes(source) if source.name == "scenes" else source
    bench = Bench(
        kept,
        split,
        store,
        convention,
        names_apart=names_apart,
        distances=next((table.distances for table in tables if table.distances), ()),
        resamples=resamples,
        limit=limit,
        device=device,
        workers=workers,
        progress=progress,
    )
    if not bench.has_true_depth():
        tables = [replace(table, rows=tuple(map(_without_true_depth, table.rows))) for table in tables]
    wanted = [variant for table in tables for row in table.rows for variant in row.variants(recipe)]
    variants = list(dict.fromkeys(wanted))
    bench.prepare([plain_variant(recipe), *variants])
    measured = bench.measure(variants)
    done = tuple((table, _results(table, recipe, measured)) for table in tables)
    about = _about(bench, recipe)
    published = any(row.published for table in tables for row in table.rows)
    head = _head(about, recipe, truth_rows=any(variant.uses_truth for variant in variants), published=published)
    return Ablation(about, head, done)


def _results(table: Table, recipe: Recipe, measured: Mapping[Variant, Measurement]) -> tuple[RowResult, ...]:
    """Every row of a table with its numbers, or the reason why it has none."""
    of_rows = [[measured[variant] for variant in row.variants(recipe)] for row in table.rows]
    return tuple(
        row_result(row, found, of_rows[0])
        if found
        else RowResult(
            row.name, row.settings, row.measurement_only, row.note, row.unavailable, published=row.published
        )
        for row, found in zip(table.rows, of_rows)
    )


def _without_true_depth(row: Row) -> Row:
    return replace(row, unavailable="not run: the source has no true depth") if row.true_depth else row


def _about(bench: Bench, recipe: Recipe) -> dict[str, Any]:
    subject = bench.subject(plain_variant(recipe))
    calibration = subject.run.calibration
    return {
        "package": __version__,
        "recipe": recipe.to_json(),
        "weights": subject.uncalibrated.contents,
        "source": bench.source.describe(),
        "split": bench.split,
        "images": len(bench.frames),
        "convention": bench.convention,
        "matching": _matching(bench, calibration),
        "fusion_order": recipe.fusion.order,
        "ground_truth_used": list(calibration.truth_used),
        "distances": _distances(bench),
        "resamples": bench.resamples,
    }


def _matching(bench: Bench, calibration: Calibration) -> str:
    if calibration.cluster_to_class is not None:
        return "none"
    once = "hungarian, once per set of class maps"
    return f"hungarian_split for PQ, once per row; {once} for mIoU" if bench.names_apart else once


_UNITS = {True: "metres of the ground truth", False: "the unit of the recipe's own depth"}


def _distances(bench: Bench) -> dict[str, Any] | None:
    """The ranges of mIoU and what they are measured in, None where there are none; no limit is None."""
    if not bench.distances:
        return None
    limits = [None if math.isinf(limit) else limit for limit in bench.distances]
    units = [_UNITS[known] for known in sorted(bench.true_depth_seen, reverse=True)]
    return {"unit": " or ".join(units), "limits": limits}


PAPER = (
    "“In the paper”: what CUPS (Hahn et al., CVPR 2025) prints for 500 images of Cityscapes val, with DepthG's classes and "
    "SMURF's flow; compare how rows differ, not their level."
)


def _head(about: dict[str, Any], recipe: Recipe, *, truth_rows: bool, published: bool) -> tuple[str, ...]:
    images, order, convention = about["images"], about["fusion_order"], about["convention"]
    named = (
        "classes named by the recipe"
        if about["matching"] == "none"
        else "unnamed clusters named by the Hungarian method, for scoring only: for PQ in every row, things and stuff apart, "
        "for mIoU once per set of class maps"
        if about["matching"].startswith("hungarian_split")
        else "unnamed clusters named once per set of class maps, by the Hungarian method, for scoring only"
    )
    sentences = [
        f"Recipe `{recipe.name}` on {images} images of `{about['source']['name']}`, split `{about['split']}`; its "
        "calibration was taken on the same images.",
        f"Percentages over the 19 Cityscapes classes, convention `{convention}` ({_CONVENTIONS[convention]}); {named}.",
        f"Fusion `{order}`: {_ORDERS[order]}."
        if recipe.fusion.unlabelled_things == "keep"
        else _VOID.format(_FORGIVEN if convention == "cups" else ""),
        "In every row PQ was checked to be the mean that PQ^St and PQ^Th imply.",
    ]
    if about["distances"]:
        sentences.append(f"Distances are in {about['distances']['unit']}; pixels without depth are in no range.")
    if resamples := about["resamples"]:
        sentences.append(
            f"In brackets: 95 % of the changes against the first row, of {resamples} draws of as many images among these, the "
            "same for both rows."
        )
    if published:
        sentences.append(PAPER)
    if truth_rows:
        sentences.append("† ground truth takes the place of a component: how far the others could go, not a result.")
    return tuple(sentences)
