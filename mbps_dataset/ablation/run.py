"""Running an ablation: all rows of the chosen tables, each variant measured once, every row checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mbps_dataset._version import __version__
from mbps_dataset.ablation.bench import Bench
from mbps_dataset.ablation.kept_scenes import KeptScenes
from mbps_dataset.ablation.results import RowResult, row_result
from mbps_dataset.ablation.rows import Row, plain_variant
from mbps_dataset.ablation.tables import Table
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
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = False,
) -> Ablation:
    """Measure `tables` on the first `limit` images of a split.

    Raises `InputError` if there is no ground truth, `WeightsError` for networks that are missing, `RecipeError` for a
    row that cannot be set, and `ImpossibleRowError` for a row whose PQ is not the mean of its parts.
    """
    kept = KeptScenes(source) if source.name == "scenes" else source
    bench = Bench(kept, split, store, convention, limit=limit, device=device, workers=workers, progress=progress)
    if not bench.has_true_depth():
        tables = [replace(table, rows=tuple(map(_without_true_depth, table.rows))) for table in tables]
    wanted = [variant for table in tables for row in table.rows for variant in row.variants(recipe)]
    variants = list(dict.fromkeys(wanted))
    bench.prepare([plain_variant(recipe), *variants])
    measured = bench.measure(variants)

    def result(row: Row) -> RowResult:
        if row.unavailable:
            return RowResult(row.name, row.settings, row.measurement_only, row.note, row.unavailable)
        return row_result(row, [measured[variant] for variant in row.variants(recipe)])

    done = tuple((table, tuple(result(row) for row in table.rows)) for table in tables)
    about = _about(bench, recipe)
    return Ablation(about, _head(about, recipe, any(variant.uses_truth for variant in variants)), done)


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
        "matching": "none" if calibration.cluster_to_class is not None else "hungarian, once per set of class maps",
        "fusion_order": recipe.fusion.order,
        "ground_truth_used": list(calibration.truth_used),
    }


def _head(about: dict[str, Any], recipe: Recipe, truth_rows: bool) -> tuple[str, ...]:
    images, order, convention = about["images"], about["fusion_order"], about["convention"]
    named = (
        "classes named by the recipe"
        if about["matching"] == "none"
        else "unnamed clusters named once per set of class maps, by the Hungarian method, for scoring only"
    )
    sentences = [
        f"Recipe `{recipe.name}` on {images} images of `{about['source']['name']}`, split `{about['split']}`; its "
        "calibration was taken on the same images.",
        f"Percentages over the 19 Cityscapes classes, convention `{convention}` ({_CONVENTIONS[convention]}); {named}.",
        f"Fusion `{order}`: {_ORDERS[order]}.",
        "In every row PQ was checked to be the mean that PQ^St and PQ^Th imply.",
    ]
    if truth_rows:
        sentences.append("† ground truth takes the place of a component: how far the others could go, not a result.")
    return tuple(sentences)
