"""The road from a frame to its row: every stage, in the order the data takes.

    codes ──► pseudo-classes ─┐         (of two resolutions, which depth may weigh)
    depth ────────────────────┼──► calibration (once) ──► row
    saliency ─────────────────┤
    objects by cuts ──────────┤
    flow ──► moving objects ──┘

The left-hand results are expensive, per image, and kept in the store. A new stage is one object in a file of its own,
which says for which recipes it runs; it is listed in `stage_row.MADE_FROM`.
"""

from __future__ import annotations

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.stage import Stage
from mbps_dataset.labelling.stage_row import MADE_FROM, ROW, made_from
from mbps_dataset.recipe import Recipe


STAGES: dict[str, Stage] = {stage.name: stage for stage in (*MADE_FROM, ROW)}
"""All stages by name."""

STAGE_VERSIONS = {name: stage.version for name, stage in STAGES.items()}
"""``{stage: version of its code}``, for ``labelset.json``."""


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages a recipe runs, in order; the row is the last."""
    return (*made_from(recipe), ROW)


def before_calibration(recipe: Recipe) -> tuple[Stage, ...]:
    """Those of `stages_of` that need no calibration."""
    return tuple(stage for stage in stages_of(recipe) if not stage.needs_calibration(recipe))


def stage_named(name: str) -> Stage:
    """A stage by its name. Raises `InputError` for a name that no stage has."""
    if name not in STAGES:
        raise InputError(f"There is no stage {name!r}; stages are {', '.join(STAGES)}.")
    return STAGES[name]
