"""One run of rigid-motion clustering: which bodies move how (SF2SE3 as used by CUPS stage 1).

At most six rounds of

1. proposals from grid points that no chosen object explains (`proposals`), a motion each (`kabsch`);
2. the motion that explains most anew (`selection`);
3. the separate bodies that share it (`split`), of which up to three are selected, place and motion together;
4. the pose of each by reprojection (`pose`), after which likelihood and assigned cells are taken anew;

then a last selection among all, of at most ten, the first of which is the background, and every pixel is given to one of
them (`assignment`). Objects that turn too much go (`rotation_test`), and regions are masks (`moving_regions`).

As measured on the reference code: a round without a cluster is used up; the second time that nothing is selected from the
proposals ends the rounds; soft inliers are those of the end of an object's own round. Every step is in `RigidRun.events`.

With `RigidMotionSettings.reference` all of that is as published. Otherwise (ours) the first motion is not split, since the
background is wherever its motion explains the image, and its pieces would be found as objects; poses are refined by flow
and disparity, robustly, and one that turns too much, as a plane seen from the front may, by its shift alone; and an object must move against the background by at least one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.motion.assignment import assign_pixels, joint, spatial_likelihood
from mbps_dataset.stages.motion.draws import Draws
from mbps_dataset.stages.motion.grid import WorkingGrid, working_grid
from mbps_dataset.stages.motion.kabsch import align_rigidly
from mbps_dataset.stages.motion.likelihood import (
    HARD_INLIER,
    Likelihood,
    Observations,
    motion_likelihood,
    residual_sigmas,
    residuals,
)
from mbps_dataset.stages.motion.moving_regions import moving_regions
from mbps_dataset.stages.motion.pose import projections_of, refine_pose
from mbps_dataset.stages.motion.proposals import PairRelations, pair_relations, propose_clusters
from mbps_dataset.stages.motion.rigid_settings import RigidMotionSettings
from mbps_dataset.stages.motion.rotation_test import half_rotation, turns_plausibly
from mbps_dataset.stages.motion.scene_flow import SceneFlow
from mbps_dataset.stages.motion.selection import Selection, select_motions
from mbps_dataset.stages.motion.split import Neighbours, neighbours, split_spatially


Event = tuple[object, ...]

LEAST_SPREAD_PX = 0.2


@dataclass(frozen=True)
class ClusteringScene:
    """What all runs over an image share: observations of all pixels and of the grid, and which grid points are near."""

    grid: WorkingGrid
    pixels: Observations
    points: Observations
    relations: PairRelations
    near: Neighbours


@dataclass(frozen=True)
class Bodies:
    """M motions with their places: `transforms` float32 [M, 4, 4], `assigned` bool [M, N], `soft` float32 [M, N]."""

    transforms: NDArray[np.float32]
    assigned: NDArray[np.bool_]
    soft: NDArray[np.float32]

    def at(self, chosen: tuple[int, ...]) -> Bodies:
        """Some of them, in that order."""
        indices = np.array(chosen, dtype=np.int64)
        return Bodies(self.transforms[indices], self.assigned[indices], self.soft[indices])

    def with_more(self, others: Bodies) -> Bodies:
        """These, then the others."""
        return Bodies(
            np.concatenate([self.transforms, others.transforms]),
            np.concatenate([self.assigned, others.assigned]),
            np.concatenate([self.soft, others.soft]),
        )


@dataclass(frozen=True)
class RigidRun:
    """Result of a run: K `bodies`, the first the background; `labels` int64 [H, W] in 0 … K − 1; `likelihood` of every
    pixel [K, H · W]; `masks` bool [M, H, W] and `scores` float32 [M]; `events` in order; `reason` why nothing was found."""

    bodies: Bodies
    labels: NDArray[np.int64]
    likelihood: Likelihood
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    events: tuple[Event, ...]
    reason: str | None = None


def observe(flow: SceneFlow, *, sigmas: tuple[float, ...] | None = None) -> Observations:
    """Every pixel of a scene flow as observations, [H · W] in raster order; `sigmas` in place of the flow's own, in pixels
    (flow x, flow y, disparity)."""
    height, width = flow.reliable.shape
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height))).reshape(2, -1)
    return Observations(
        flow.points_t.reshape(-1, 3).astype(np.float32),
        flow.points_t1.reshape(-1, 3).astype(np.float32),
        flow.flow.reshape(2, -1).astype(np.float32),
        pixels.astype(np.float32),
        flow.reliable.ravel(),
        np.array(sigmas or (*flow.sigma_flow, flow.sigma_disparity), dtype=np.float32),
        flow.intrinsics.astype(np.float32),
        flow.baseline,
    )


def clustering_scene(flow: SceneFlow, settings: RigidMotionSettings) -> ClusteringScene:
    """Observations and relations of an image. Raises `ValueError` if the image is too small for the grid."""
    shape = flow.reliable.shape
    grid = working_grid((shape[0], shape[1]), settings.grid_share)
    pixels = observe(flow)
    points = pixels.at(grid.sample(np.arange(len(pixels)).reshape(shape)))
    relations = pair_relations(points.points_t, points.points_t1, near_m=settings.near_m, rigid_m=settings.rigid_m)
    near = neighbours(points.points_t, sigma=settings.spatial_sigma, reference=settings.reference)
    return ClusteringScene(grid, pixels, points, relations, near)


def cluster_rigid_motions(scene: ClusteringScene, draws: Draws, settings: RigidMotionSettings) -> RigidRun:
    """One run over a scene with the random numbers of `draws`; see the module's head."""
    return _Run(scene, draws, settings).result()


def refine_robustly(transform: NDArray[np.float32], seen: Observations, *, turns: bool = True) -> NDArray[np.float32]:
    """The pose near `transform` by flow and disparity, float32 [4, 4]; without `turns` its rotation is kept.

    A hard inlier may be a neighbour that is off by four pixels. So residuals are judged by their own spread
    (`residual_sigmas`, at least 0.2 px), with Tukey's biweight at four of these, twice.
    """
    for _ in range(2 if len(seen) else 0):
        projections = projections_of(replace(seen, sigmas=residual_sigmas(transform, seen, LEAST_SPREAD_PX)))
        transform = refine_pose(projections, transform, robust=4.0, turns=turns).transform.astype(np.float32)
    return transform


def with_rotation_of(
    background: NDArray[np.float32], transform: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The motion that turns like `background` and takes the middle of `points` [N, 3] where `transform` takes it."""
    middle = points.mean(axis=0)
    out = background.copy()
    out[:3, 3] = transform[:3, :3] @ middle + transform[:3, 3] - background[:3, :3] @ middle
    return out


@dataclass
class _Run:
    scene: ClusteringScene
    draws: Draws
    settings: RigidMotionSettings
    events: list[Event] = field(default_factory=list)

    def result(self) -> RigidRun:
        bodies, reason = self._rounds()
        if len(bodies.soft):
            bodies = bodies.at(self._select(bodies.soft, self.settings.objects, "joint").indices)
            reason = None if len(bodies.soft) else "none of the motions found explains enough of the image"
        if reason is not None:
            return self._nothing(bodies, reason)
        self.events.append(("final", len(bodies.soft)))
        return self._regions(bodies)

    def _rounds(self) -> tuple[Bodies, str | None]:
        """The bodies of all rounds, and why there are none."""
        count = len(self.scene.points)
        bodies = Bodies(
            np.zeros((0, 4, 4), dtype=np.float32),
            np.zeros((0, count), dtype=bool),
            np.zeros((0, count), dtype=np.float32),
        )
        failed, clusters_found = 0, 0
        for _ in range(self.settings.iterations):
            explained = np.asarray((bodies.soft > np.float32(HARD_INLIER)).any(axis=0))
            transforms = self._proposed_motions(~explained & self.scene.points.reliable)
            clusters_found += len(transforms)
            if not len(transforms):
                continue
            motion = self._motion(transforms)
            best = self._select(motion.soft, 1, "motion", bodies.soft).indices
            failed += not best
            if failed == 2:
                break
            if best:
                bodies = bodies.with_more(
                    self._separate_bodies(transforms[best[0]], motion.soft[best[0]], explained, bodies)
                )
        if clusters_found:
            return bodies, None if len(bodies.soft) else "no proposed motion explains enough of the image"
        return bodies, "no points of the grid move as one rigid body"

    def _proposed_motions(self, open_points: NDArray[np.bool_]) -> NDArray[np.float32]:
        clusters = propose_clusters(
            self.scene.relations,
            open_points,
            self.draws,
            count=self.settings.proposals,
            max_points=self.settings.proposal_points,
            reference=self.settings.reference,
        )
        self.events.append(("clusters", len(clusters)))
        return align_rigidly(self.scene.points.points_t, self.scene.points.points_t1, clusters)

    def _separate_bodies(
        self, transform: NDArray[np.float32], soft: NDArray[np.float32], explained: NDArray[np.bool_], earlier: Bodies
    ) -> Bodies:
        """Steps 3 and 4 of a round: the selected bodies of one motion, each with its own refined pose."""
        points, settings = self.scene.points, self.settings
        if settings.reference or len(earlier.soft):
            parts = split_spatially(soft, self.scene.near, points.reliable, explained, reference=settings.reference)
        else:
            parts = ((soft > np.float32(HARD_INLIER)) & points.reliable)[None]
        self.events.append(("split", len(parts)))
        transforms = np.repeat(transform[None], len(parts), axis=0)
        likelihood = self._joint(transforms, parts)
        chosen = self._select(likelihood.soft, settings.bodies_per_motion, "joint", earlier.soft).indices
        bodies = Bodies(transforms, parts, likelihood.soft).at(chosen)
        if not chosen:
            return bodies
        hard = likelihood.hard[list(chosen)]
        refined = np.stack([self._refined(t, inliers, earlier) for t, inliers in zip(bodies.transforms, hard)])
        self.events.append(("refine", len(chosen), hard.sum(axis=1).tolist()))
        likelihood = self._joint(refined, bodies.assigned)
        return Bodies(refined, likelihood.hard & points.reliable, likelihood.soft)

    def _refined(
        self, transform: NDArray[np.float32], inliers: NDArray[np.bool_], earlier: Bodies
    ) -> NDArray[np.float32]:
        seen = self.scene.points.at(inliers & self.scene.points.reliable)
        if self.settings.reference:
            projections = projections_of(seen, with_disparity=False)
            return refine_pose(projections, transform, reference=True).transform.astype(np.float32)
        refined = refine_robustly(transform, seen)
        if len(earlier.soft) and len(seen):
            background = earlier.transforms[0]
            if not turns_plausibly(background, refined, largest=self.settings.largest_half_angle):
                return refine_robustly(with_rotation_of(background, refined, seen.points_t), seen, turns=False)
        return refined

    def _regions(self, bodies: Bodies) -> RigidRun:
        settings, grid = self.settings, self.scene.grid
        intrinsics = self.scene.pixels.intrinsics
        spatial = spatial_likelihood(
            bodies.assigned, grid, intrinsics, sigma=settings.spatial_sigma, reference=settings.reference
        )
        motion = motion_likelihood(bodies.transforms, self.scene.pixels, reference=settings.reference)
        likelihood = joint(motion, spatial)
        labels = assign_pixels(likelihood, self.scene.pixels.reliable).reshape(grid.image_shape)
        present = np.unique(labels)[1:] if settings.reference else np.setdiff1d(labels, [0])
        turned = half_rotation(bodies.transforms[0], bodies.transforms, reference=settings.reference)
        self.events.extend(("similarity", float(turned[number])) for number in present)
        kept = turns_plausibly(
            bodies.transforms[0],
            bodies.transforms,
            largest=settings.largest_half_angle,
            reference=settings.reference,
        )
        if not settings.reference:
            kept &= self._moves(bodies, labels.ravel())
        masks, scores = moving_regions(
            labels,
            likelihood.log.reshape(-1, *grid.image_shape),
            kept,
            least_px=settings.least_region_px,
            connectivity=settings.connectivity,
            reference=settings.reference,
        )
        reason = None if len(masks) else "nothing moves against the background"
        return RigidRun(bodies, labels, likelihood, masks, scores, tuple(self.events), reason)

    def _moves(self, bodies: Bodies, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which bodies move against the background by `least_motion_px` over their pixels, root mean square; bool [K]."""
        moves = np.zeros(len(bodies.soft), dtype=bool)
        for number in range(1, len(moves)):
            observed = self.scene.pixels.at(labels == number)
            if len(observed):
                own, background = (residuals(bodies.transforms[k], observed)[0][:2] for k in (number, 0))
                apart = np.square(own - background).sum(axis=0).mean() ** 0.5
                moves[number] = apart >= self.settings.least_motion_px
        return moves

    def _nothing(self, bodies: Bodies, reason: str) -> RigidRun:
        shape = self.scene.grid.image_shape
        none = np.zeros((0, shape[0] * shape[1]), dtype=np.float32)
        masks, scores = np.zeros((0, *shape), dtype=bool), np.zeros(0, dtype=np.float32)
        labels = np.zeros(shape, dtype=np.int64)
        return RigidRun(bodies, labels, Likelihood(none, none), masks, scores, tuple(self.events), reason)

    def _motion(self, transforms: NDArray[np.float32]) -> Likelihood:
        return motion_likelihood(transforms, self.scene.points, reference=self.settings.reference)

    def _joint(self, transforms: NDArray[np.float32], assigned: NDArray[np.bool_]) -> Likelihood:
        spatial = spatial_likelihood(
            assigned,
            self.scene.grid,
            self.scene.points.intrinsics,
            on_grid=True,
            sigma=self.settings.spatial_sigma,
            reference=self.settings.reference,
        )
        return joint(self._motion(transforms), spatial)

    def _select(
        self, soft: NDArray[np.float32], count: int, model: str, previous: NDArray[np.float32] | None = None
    ) -> Selection:
        selection = select_motions(
            soft,
            self.scene.points.reliable,
            max_count=count,
            previous=previous,
            least_gain=self.settings.least_gain,
            largest_overlap=self.settings.largest_overlap,
        )
        self.events.extend(("select", index, len(soft), model) for index in selection.indices)
        if len(selection.gains) > len(selection.indices):
            self.events.append(("select", None, len(soft), model))
        return selection
