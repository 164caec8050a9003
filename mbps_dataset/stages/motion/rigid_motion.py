"""Rigid motion: what moves by itself, from eight runs of clustering that must agree (SF2SE3 as used by CUPS stage 1).

Each run has its own random numbers (`draws`, from a seed or recorded), its masks are pooled (`ensemble`). Where nothing is
found the result says why: too few reliable pixels, what the runs said, or what the ensemble removed.

With `RigidMotionSettings.reference`, an image in which a single run finds no motion at all, not even the background's, is
empty: the published code raises there and swallows the exception. Otherwise such a run only finds nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.motion.draws import Draws, seeded_draws
from mbps_dataset.stages.motion.ensemble import MovingObjects, combine_runs
from mbps_dataset.stages.motion.rigid_run import RigidRun, cluster_rigid_motions, clustering_scene
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings
from mbps_dataset.stages.motion.scene_flow import SceneFlow


def rigid_motion(
    flow: SceneFlow,
    settings: RigidMotionSettings | None = None,
    *,
    seed: int = 0,
    draws: Sequence[Draws] | None = None,
) -> MovingObjects:
    """The moving objects of an image; the same `seed` gives the same objects.

    `flow` is the scene flow of the image, whose points of t + 1 must be the reference's where `settings.reference` is to
    give its numbers; `draws`, if given, holds one source of random numbers for each run, in place of the seed.

    Raises `ValueError` if there are other than `settings.runs` sources, or the image is too small for the grid.
    """
    chosen = settings or RigidMotionSettings()
    shape = flow.reliable.shape[0], flow.reliable.shape[1]
    if flow.reason is not None:
        return MovingObjects.none(shape, flow.reason)
    sources = [seeded_draws(seed, run) for run in range(chosen.runs)] if draws is None else list(draws)
    if len(sources) != chosen.runs:
        raise ValueError(f"Expected draws for {chosen.runs} runs, but got {len(sources)}.")
    scene = clustering_scene(flow, chosen)
    runs = [cluster_rigid_motions(scene, source, chosen) for source in sources]
    if chosen.reference:
        failed = next((number for number, run in enumerate(runs) if not len(run.bodies.soft)), None)
        if failed is not None:
            return MovingObjects.none(shape, f"run {failed + 1} of {len(runs)} failed: {runs[failed].reason}")
    return _combined(runs, flow, chosen)


def _combined(runs: Sequence[RigidRun], flow: SceneFlow, settings: RigidMotionSettings) -> MovingObjects:
    found = combine_runs(
        [Instances(run.masks, scores=run.scores) for run in runs],
        flow.points_t,
        agreement=settings.agreement,
        min_score=settings.least_score,
        connectivity=settings.connectivity,
        margin=settings.margin_columns,
        min_pixels=settings.least_object_px,
        min_area_m2=settings.least_area_m2,
        reference=settings.reference,
    )
    said = Counter(run.reason for run in runs if run.reason is not None)
    if found.reason is None or any(len(run.masks) for run in runs):
        return found
    return replace(found, reason=f"{found.reason}: {said.most_common(1)[0][0]}")
