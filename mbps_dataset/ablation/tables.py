"""The rows and columns of the report's tables 4 to 8, of instance merging (4.3.7) and of the hybrid fallback (4.3.4).

Rows follow the report, one element of the recipe changed in each. Decisions (ours):

* "CC only" of Table 4 keeps A_min, so that one element is changed and not two; Table 6 has connected components at the
  10 pixels of the reference evaluator;
* Table 5 prints the whole grid, of which the report prints seven cells;
* Table 6 and the hybrid rows use the class maps without CRF, as the report says of its own;
* SQ and RQ of Table 6 are pooled over segments under every convention, as the report's are, and say so: pooled numbers
  may lie below a PQ that is a mean over classes;
* rows the report has no number for: watershed, TokenCut, VoteCut, tiles, the depth-split rule, and rows with ground
  truth in place of class maps or depth. They tell whether semantics or depth limits the rest, and what the methods are
  worth where class maps are good enough to show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mbps_dataset.ablation.cups_tables import CUPS, CUPS_TABLES, DISTANCES, wants_cups
from mbps_dataset.ablation.rows import Detector, Row, Table, detector_rows
from mbps_dataset.errors import InputError
from mbps_dataset.recipe import Recipe


QUALITY = ("pq", "pq_stuff", "pq_things")
NO_CRF = "crf.enabled=false"
RANDOM_TRIALS = 10
SHARPER = (0.05, 0.02)
"""Thresholds below the report's grid: a deep scene squeezes near objects into little of the depth range."""
_TILES = ("cuts.tiles=2,4", "cuts.keep_aspect=true", "cuts.crf=false")


def _components(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    rows = [
        Row("Full pipeline"),
        Row("− CRF", (NO_CRF,)),
        Row("− Depth splitting (CC only)", ("instances.method=connected-components",)),
        Row("− Boundary dilation", ("instances.dilation=0",)),
        Row("− Stuff-things classifier (GT split)", true_split=True),
        Row("− Min-area filter (A_min = 0)", ("instances.min_area=0",)),
        _cut(recipe, "Replace depth inst. w/ MaskCut", ("instances.method=maskcut",)),
        *detector_rows(detectors, expected=("CuVLER", "CutLER"), label="Replace depth inst. w/ {}"),
        Row("True depth", true_depth=True),
        Row("True class maps and split", true_semantics=True),
        Row("True class maps, split and depth", true_semantics=True, true_depth=True),
    ]
    return Table("4", "Component contribution", (*QUALITY, "delta_pq"), tuple(rows))


def _tau(tau: float) -> tuple[str, ...]:
    return (f"instances.grad_threshold={tau}",)


def _on_true_maps(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    rows = [
        Row("Full pipeline", true_semantics=True),
        Row("− Depth splitting (CC only)", ("instances.method=connected-components",), true_semantics=True),
        Row("− Boundary dilation", ("instances.dilation=0",), true_semantics=True),
        Row("− Min-area filter (A_min = 0)", ("instances.min_area=0",), true_semantics=True),
        replace(_cut(recipe, "Replace depth inst. w/ MaskCut", ("instances.method=maskcut",)), true_semantics=True),
        *(replace(row, true_semantics=True) for row in detector_rows(detectors, label="Replace depth inst. w/ {}")),
        *(Row(f"tau = {tau}", _tau(tau), true_semantics=True) for tau in SHARPER),
        Row("True depth", true_semantics=True, true_depth=True),
        *(Row(f"True depth, tau = {tau}", _tau(tau), true_semantics=True, true_depth=True) for tau in SHARPER),
        Row("True depth − boundary dilation", ("instances.dilation=0",), true_semantics=True, true_depth=True),
        Row("True depth − min-area filter", ("instances.min_area=0",), true_semantics=True, true_depth=True),
    ]
    title = "Component contribution on true class maps and split"
    return Table("true-maps", title, (*QUALITY, "delta_pq", "instances", "car", "person"), tuple(rows))


def _grid(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    own = (recipe.instances.grad_threshold, recipe.instances.min_area)
    cells = sorted({(tau, area) for tau in (0.05, 0.08, 0.10, 0.15) for area in (100, 200, 500, 1000)} | {own})
    rows = tuple(
        Row(
            f"{tau:.2f} / {area}" + (" (this recipe)" if (tau, area) == own else ""),
            (f"instances.grad_threshold={tau}", f"instances.min_area={area}"),
        )
        for tau, area in cells
    )
    return Table("5", "Gradient threshold tau / smallest area A_min", (*QUALITY, "car", "person"), rows)


def _methods(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    def by(method: str, *settings: str) -> tuple[str, ...]:
        return (NO_CRF, f"instances.method={method}", *settings)

    listed = detector_rows(detectors, expected=("CuVLER", "CutLER"))
    rows = [
        Row("Depth gradient", by("depth-gradient")),
        Row("Watershed on the depth gradient", by("watershed")),
        Row("Connected components (CC)", by("connected-components", "instances.min_area=10")),
        Row("CC, A_min of the recipe", by("connected-components")),
        _cut(recipe, "MaskCut (N = 3)", by("maskcut")),
        _cut(
            recipe, "MaskCut on 2 x 4 tiles", by("maskcut", *_TILES), note="no published setting; without refinement"
        ),
        _cut(recipe, "TokenCut (N = 1)", by("tokencut")),
        _cut(recipe, "VoteCut", by("votecut")),
        *(Row(row.name, (NO_CRF, *row.settings), unavailable=row.unavailable) for row in listed),
        _hybrid(recipe, detectors, "Hybrid ({} + CC fallback)", 10),
    ]
    return Table(
        "6", "Instance methods, class maps without CRF", (*QUALITY, "sq_pooled", "rq_pooled", "instances"), tuple(rows)
    )


def _splits(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    trials = tuple((f"things.seed={seed}",) for seed in range(RANDOM_TRIALS))
    own = {"attention": "CLS attention"}.get(recipe.things.method, f"{recipe.things.method} (this recipe)")
    rows = (
        Row(own),
        Row("Oracle GT split", true_split=True),
        Row("All-thing", ("things.method=all",)),
        Row("All-stuff", ("things.method=none",)),
        Row("Random (n = 8)", ("things.method=random", "things.n_things=8"), trials, note=f"mean of {len(trials)}"),
        Row("Depth-split rule", ("things.method=depth-split",)),
    )
    return Table("7", "Stuff-things classification", (*QUALITY, "split", "things"), rows)


def _crf(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    def with_kernel(spatial: int, colour: int) -> tuple[str, ...]:
        return ("crf.enabled=true", f"crf.bilateral_sxy={spatial}", f"crf.bilateral_srgb={colour}")

    rows = (
        Row("No CRF", (NO_CRF,)),
        *(Row(f"sigma_xy = {s}, sigma_rgb = {c}", with_kernel(s, c)) for s, c in ((67, 3), (50, 5), (100, 3))),
    )
    return Table("8", "CRF parameters", ("miou", "delta_miou", *QUALITY), rows)


def _merging(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    rows = (
        Row("Merging off", ("instances.merge=false",)),
        Row("Merging on (delta < 0.05)", ("instances.merge=true", "instances.max_depth_gap=0.05")),
    )
    return Table("merging", "Instance merging by depth", (*QUALITY, "delta_pq", "instances"), rows)


_FALLBACK_AREA = "instances.fallback_min_area"


def _masks_for_hybrid(detectors: Sequence[Detector]) -> tuple[str, tuple[str, ...]]:
    """The method that the fallback stands behind: the first detector given, MaskCut without one."""
    if detectors:
        return detectors[0].name, detectors[0].settings()
    return "MaskCut", ("instances.method=maskcut",)


def _hybrid(recipe: Recipe, detectors: Sequence[Detector], name: str, area: int | None) -> Row:
    """Masks with components of at least `area` pixels behind them, None for none."""
    method, settings = _masks_for_hybrid(detectors)
    behind = () if area is None else ("instances.fallback=connected-components", f"{_FALLBACK_AREA}={area}")
    row = Row(name.format(method), (NO_CRF, *settings, *behind))
    return row if detectors else _cut(recipe, row.name, row.settings)


def _cut(recipe: Recipe, name: str, settings: tuple[str, ...], note: str = "") -> Row:
    """A row of a method that needs networks of its own, unavailable where the recipe has none."""
    missing = "" if recipe.cuts.weights else "not run: give networks, --set cuts.weights=facebook/dino-vitb8"
    return Row(name, settings, note=note, unavailable=missing)


def _fallback(recipe: Recipe, detectors: Sequence[Detector]) -> Table:
    areas = (10, 500, 1000, 2000, None)
    rows = [_hybrid(recipe, detectors, "∞ (no CC)" if area is None else str(area), area) for area in areas]
    title = f"{_masks_for_hybrid(detectors)[0]} with connected components of at least A_min behind, no CRF"
    return Table("hybrid", title, (*QUALITY, "car_fp", "person_fp"), tuple(rows))


TABLES: dict[str, Callable[[Recipe, Sequence[Detector]], Table]] = {
    "4": _components,
    "5": _grid,
    "6": _methods,
    "7": _splits,
    "8": _crf,
    "true-maps": _on_true_maps,
    "merging": _merging,
    "hybrid": _fallback,
}
"""Tables by name, each made for a recipe and the detections that are at hand."""


def choose_tables(
    names: Sequence[str],
    recipe: Recipe,
    detectors: Sequence[Detector] = (),
    distances: Sequence[float] = DISTANCES,
) -> list[Table]:
    """The named tables, all of the report's for no name; `distances` are the limits of ranges in CUPS' Table 10b.

    Raises `InputError` naming those that exist, and for tables of the report and of CUPS together.
    """
    for name in names:
        if name not in (*TABLES, CUPS, *CUPS_TABLES):
            raise InputError(f"Unknown table {name!r}; known are {', '.join((*TABLES, CUPS, *CUPS_TABLES))}.")
    if wants_cups(names):
        if reports := [name for name in names if name in TABLES]:
            raise InputError(
                f"Table {reports[0]} is the report's, which scores by other rules than CUPS does; run the tables of CUPS by "
                "themselves."
            )
        return [make(recipe, distances) for name, make in CUPS_TABLES.items() if name in names or CUPS in names]
    return [make(recipe, detectors) for name, make in TABLES.items() if name in names or not names]
