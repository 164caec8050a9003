"""One image under all variants: what several of them need is made once and forgotten with the image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.ablation.rows import Variant
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels, cityscapes_labels
from mbps_dataset.labelling.stage import Run, Visit
from mbps_dataset.labelling.stage_cuts import objects as found_objects
from mbps_dataset.labelling.stage_depth import DEPTH, depth_map
from mbps_dataset.labelling.stage_motion import MOTION
from mbps_dataset.labelling.stage_pseudo_classes import class_map
from mbps_dataset.labelling.stage_row import panoptic_of, with_aligned_objects, working_size
from mbps_dataset.metrics import OverlapTable, overlap_table
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame, Truth
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.store import digest_of


if TYPE_CHECKING:
    from mbps_dataset.ablation.bench import Bench

REPORT_HW = (512, 1024)
"""Height and width at which the convention "report" scores."""

Value = TypeVar("Value")


class View:
    """An image of a bench: `true` labels at the size of the score, `digest` of all that is read for it.

    Raises `InputError` if its ground truth cannot be read.
    """

    def __init__(self, bench: Bench, frame: Frame) -> None:
        truth = frame.truth()
        if truth is None:
            raise InputError(f"{frame.image_id}: its ground truth has gone.")
        self.bench, self.frame, self.truth = bench, frame, truth
        self.image_hw = truth.label_ids.shape
        self.true = _at_size(_labels(truth, frame.image_id), bench.convention)
        content = hashlib.sha256(truth.label_ids.tobytes() + truth.instance_ids.tobytes())
        depth = "" if truth.depth_m is None else hashlib.sha256(truth.depth_m.tobytes()).hexdigest()
        self.digest = digest_of(bench.input_digest(frame), content.hexdigest(), depth)
        self._made: dict[str, Any] = {}

    def panoptic(self, variant: Variant) -> Panoptic:
        """The segments of a variant, at the working size of its instances."""
        run, recipe = self.bench.subject(variant).uncalibrated, variant.recipe
        working_hw = working_size(recipe, *self.image_hw)
        moving, things = (
            run.key(MOTION) if recipe.instances.method == "motion" else None,
            self.bench.calibration(variant).things,
        )
        semantic = self._once(
            digest_of("aligned", self.bench.semantics_key(variant), moving, recipe.fusion.align_objects,
                      things if recipe.fusion.moving_stuff == "thing" else None),
            lambda: with_aligned_objects(self.visit(run), self.classes(variant), things),
        )  # fmt: skip
        semantic = resize_nearest(semantic, *working_hw)
        objects = self._once(
            digest_of("objects", asdict(recipe.detections), sorted(run.contents.items()), working_hw,
                      recipe.instances.method, asdict(recipe.cuts), moving),
            lambda: found_objects(self.visit(run), *working_hw),
        )  # fmt: skip
        return panoptic_of(recipe, semantic, self.depth(variant, *working_hw), things, objects)

    def classes(self, variant: Variant) -> np.ndarray:
        """Class ids at image size: the variant's own, or the true ones."""
        if variant.true_semantics:
            return taxonomy.LABEL_ID_TO_TRAIN_ID[self.truth.label_ids]
        subject = self.bench.subject(variant)
        return self._once(
            self.bench.semantics_key(variant), lambda: class_map(self.visit(subject.run), *self.image_hw)
        )

    def depth(self, variant: Variant, height: int, width: int) -> np.ndarray:
        """Depth [height, width]: the variant's own, or the true one."""
        if variant.true_depth:
            if self.truth.depth_m is None:
                raise InputError(f"{self.frame.image_id}: its ground truth holds no depth.")
            return resize_nearest(self.truth.depth_m, height, width)
        settings = variant.recipe.depth
        run = self.bench.subject(variant).uncalibrated
        key = digest_of("depth", run.key(DEPTH), asdict(settings), height, width)
        return self._once(key, lambda: depth_map(self.visit(run), height, width))

    def distance(self, variant: Variant) -> np.ndarray:
        """Depth at the size of the score by which ranges are told: the true one in metres, or else the variant's own."""
        height, width = self.true.semantic.shape
        if self.truth.depth_m is not None:
            return resize_nearest(self.truth.depth_m, height, width)
        return self.depth(variant, height, width)

    def visit(self, run: Run) -> Visit:
        """The image seen by `run`."""
        return run.visit(self.frame)

    def overlap(self, semantic: np.ndarray, instance: np.ndarray | None) -> OverlapTable:
        """Common pixels of a prediction and the truth, both at the size of the truth."""
        true = self.true
        return overlap_table(
            semantic, instance, true.semantic, true.instance, true_crowd=true.crowd, image=self.frame.image_id
        )

    def _once(self, key: str, make: Callable[[], Value]) -> Value:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _labels(truth: Truth, image_id: str) -> Labels:
    return cityscapes_labels(truth.label_ids, truth.instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, image_id)


def _at_size(labels: Labels, convention: str) -> Labels:
    """The truth at the size the convention scores at: 512 x 1024 under "report", its own otherwise."""
    if convention != "report":
        return labels
    return replace(
        labels,
        semantic=resize_nearest(labels.semantic, *REPORT_HW),
        instance=None if labels.instance is None else resize_nearest(labels.instance, *REPORT_HW),
        crowd=None if labels.crowd is None else resize_nearest(labels.crowd, *REPORT_HW),
    )
