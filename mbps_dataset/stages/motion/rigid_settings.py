"""The settings of rigid-motion clustering, with the published numbers (CUPS stage 1, SF2SE3) as defaults."""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.settings import Settings, setting
from mbps_dataset.stages.motion.hole_filling import Connectivity


@dataclass(frozen=True)
class RigidMotionSettings(Settings, prefix="rigid_motion."):
    """Proposals, selection, clean-up, runs and their ensemble. Raises `RecipeError` for a value out of range."""

    reference: bool = setting(False, "every quirk of the published code, to compare with its numbers")
    grid_share: float = setting(
        0.06, "rows and columns of the working grid, of the image's", at_least=0.005, at_most=1
    )
    iterations: int = setting(6, "at most so many rounds of proposals and selection", at_least=1, at_most=100)
    proposals: int = setting(100, "seeds drawn in a round", at_least=1, at_most=10000)
    proposal_points: int = setting(5, "at most so many grid points in a proposal", at_least=2, at_most=100)
    near_m: float = setting(5.0, "metres between points of one proposal, at most", at_least=0)
    rigid_m: float = setting(0.03, "metres by which a distance may change within a rigid body", at_least=0)
    least_gain: float = setting(0.0015, "share of the reliable points that a motion must explain anew", at_least=0)
    largest_overlap: float = setting(0.15, "soft IoU with an earlier object, at most", at_least=0, at_most=1)
    bodies_per_motion: int = setting(3, "at most so many separate bodies of one motion", at_least=1, at_most=100)
    objects: int = setting(10, "at most so many objects in a run, the background included", at_least=1, at_most=100)
    spatial_sigma: float = setting(0.05, "standard deviation of x / z and y / z within a body", at_least=1e-4)
    largest_half_angle: float = setting(
        0.02, "rad; half the rotation against the background, from which an object is left out", at_least=0
    )
    least_motion_px: float = setting(
        1.0, "pixels by which an object must move against the background; not with `reference`", at_least=0
    )
    least_region_px: int = setting(128, "pixels of a connected region, at least", at_least=1)
    corners_connect: bool = setting(True, "pixels that touch at a corner are one region (8-connectivity; off: 4)")
    runs: int = setting(8, "runs with other random numbers, whose agreement counts", at_least=1, at_most=100)
    agreement: float = setting(0.8, "share of the runs that must agree on a mask", at_least=0)
    least_score: float = setting(0.6, "score of a mask after suppression of its repeats", at_least=0, at_most=1)
    margin_columns: int = setting(32, "columns without objects at the left and right edge", at_least=0)
    least_object_px: int = setting(64, "pixels of an object, at least", at_least=1)
    least_area_m2: float = setting(0.65, "square metres of an object's surface, at least", at_least=0)

    @property
    def connectivity(self) -> Connectivity:
        """8 or 4."""
        return 8 if self.corners_connect else 4
