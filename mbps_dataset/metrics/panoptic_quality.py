"""`PanopticQuality`: collect overlap tables image by image, then score them under a named convention and matching.

Decisions (ours): an image is reduced to its table at once, so memory does not grow with resolution; `compute` changes
nothing and may be called at any time; metrics of many processes, which pickle, merge by concatenation; an image with nothing in it, or
no image at all, gives NaN and not an exception.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import InputError
from mbps_dataset.metrics import matching as matchings
from mbps_dataset.metrics.bootstrap import bootstrap_draws, bootstrap_intervals
from mbps_dataset.metrics.evaluation_settings import MetricSettings, as_ids
from mbps_dataset.metrics.matching import Assignment
from mbps_dataset.metrics.overlap import OverlapTable, as_label_map, concatenate, overlap_table
from mbps_dataset.metrics.per_image import ImageQuality, image_qualities
from mbps_dataset.metrics.result import PanopticResult, class_table, flat_averages, with_iou
from mbps_dataset.metrics.scores import average, score_classes
from mbps_dataset.metrics.segment_matching import REPORT_HW, match_segments
from mbps_dataset.metrics.segmentation import class_overlap, confusion_matrix, pixel_scores, void_share
from mbps_dataset.metrics.u2seg import Votes, count_votes, stuff_votes, thing_votes
from mbps_dataset.resizing import resize_nearest


class PanopticQuality:
    """Panoptic quality of predicted classes, or of pseudo-classes that are first matched to classes.

    Args:
        things: class ids of the ground truth's things; ids that are neither thing nor stuff are void in it.
        stuff: class ids of the ground truth's stuff.
        pseudo_things: ids of pseudo-classes. Needed by the matchings that tell things from stuff ("hungarian_split",
            "u2seg"); otherwise they name pseudo-classes that may be without pixels.
        pseudo_stuff: likewise.
        convention: "coco" (panopticapi, cityscapesScripts, detectron2), "cups" (torchmetrics, CUPS) or "report" (the
            report's evaluator: 512 x 1024, smallest areas, no void rule, pooled SQ and RQ).
        matching: "none" (predictions are class ids), "hungarian", "hungarian_split" (things and stuff apart),
            "majority" or "u2seg".
        drop_zero_overlap: keep pairs without a common pixel out of the Hungarian, which makes the result independent
            of how clusters are numbered.
        void: id of pixels without a label, in the ground truth and, unless `pred_void` differs, in predictions.
        pred_void: id of pixels without a prediction; set it when more than `void` pseudo-classes exist.
        crowds: "all", or "last" as in panopticapi, which forgets all crowd regions of a class but one.
        merge_stuff: False keeps stuff segments of one class apart, in predictions and ground truth: one for each
            (pseudo-)class and instance id, as panopticapi and U2Seg's evaluator do.
        averaged: class ids that enter averages (others are still matched and counted); None means all.
        report_hw: size to which the convention "report" resizes by nearest neighbour; None leaves sizes alone.

    Two clusters of a street image, named by matching; a third of the car is missed:

    >>> true = [[0, 0, 0, 0], [13, 13, 13, 0]]
    >>> pred = [[7, 7, 7, 7], [9, 9, 7, 7]]
    >>> metric = PanopticQuality(things=[13], stuff=[0], matching="hungarian")
    >>> metric.update(pred, None, true, None, image_id="street")
    >>> result = metric.compute()
    >>> result.assignment, round(result.pq, 4), round(result.miou, 4)
    ({7: 0, 9: 13}, 0.75, 0.75)
    """

    def __init__(
        self,
        things: Collection[int],
        stuff: Collection[int],
        *,
        pseudo_things: Collection[int] | None = None,
        pseudo_stuff: Collection[int] | None = None,
        convention: str = "coco",
        matching: str = "none",
        drop_zero_overlap: bool = False,
        void: int = 255,
        pred_void: int | None = None,
        crowds: str = "all",
        merge_stuff: bool = True,
        averaged: Collection[int] | None = None,
        report_hw: tuple[int, int] | None = REPORT_HW,
    ) -> None:
        classes = sorted({*things, *stuff})
        self.settings = MetricSettings(
            things=as_ids(things, "things"),
            stuff=as_ids(stuff, "stuff"),
            pseudo_things=None if pseudo_things is None else as_ids(pseudo_things, "pseudo_things"),
            pseudo_stuff=None if pseudo_stuff is None else as_ids(pseudo_stuff, "pseudo_stuff"),
            convention=convention,
            matching=matching,
            drop_zero_overlap=bool(drop_zero_overlap),
            void=int(void),
            pred_void=int(void if pred_void is None else pred_void),
            crowds=crowds,
            merge_stuff=bool(merge_stuff),
            averaged=as_ids(classes if averaged is None else averaged, "averaged"),
            report_hw=None if report_hw is None else (int(report_hw[0]), int(report_hw[1])),
        )
        self._tables: list[OverlapTable] = []
        self._votes: list[Votes] = []
        self._image_ids: list[str | None] = []
        self._seen: set[str] = set()

    @property
    def image_ids(self) -> tuple[str | None, ...]:
        """Ids in the order of `update`; None for images that were not named."""
        return tuple(self._image_ids)

    def __len__(self) -> int:
        return len(self._image_ids)

    def update(
        self,
        pred_semantic: Any,
        pred_instance: Any | None,
        true_semantic: Any,
        true_instance: Any | None,
        *,
        true_crowd: Any | None = None,
        image_id: str | None = None,
        pred_scores: Mapping[int, float] | None = None,
    ) -> None:
        """Add one image.

        All maps are [H, W], integers >= 0, numpy arrays or tensors; an instance map may be None if there are no
        instances. A thing segment is one (class, instance id), id 0 included, except under "report", where id 0 means
        no instance; ids on stuff are ignored unless `merge_stuff` is False. `true_crowd` is 0, or n on the n-th crowd region. `pred_scores` maps
        instance ids to scores and is used by the matching "u2seg" only.

        Raises `InputError` naming the image for sizes that differ, floats, negative ids, an image id seen before, and,
        with matching "none", predicted ids that are no class.
        """
        name = self._new_name(image_id)
        maps = [pred_semantic, pred_instance, true_semantic, true_instance, true_crowd]
        size_hw = self.settings.report_hw if self.settings.convention == "report" else None
        if size_hw is not None:
            maps = [None if m is None else resize_nearest(as_label_map(m, "map", name), *size_hw) for m in maps]
        table = overlap_table(*maps[:4], true_crowd=maps[4], image=name)
        self._require_known_predictions(table, name)
        self._append(table, image_id, self._cast_votes(table, maps, pred_scores or {}, name))

    def update_table(self, table: OverlapTable, *, image_id: str | None = None) -> None:
        """Add one image whose `overlap_table` was made elsewhere, for instance from overlapping masks."""
        if self.settings.matching == "u2seg":
            raise ValueError("matching='u2seg' compares boxes, which a table does not hold; use `update` with maps.")
        name = self._new_name(image_id)
        self._require_known_predictions(table, name)
        self._append(table, image_id, np.zeros((0, 2), np.int64))

    def merge(self, other: PanopticQuality) -> PanopticQuality:
        """Add the images of `other`, which must have the same settings and no image in common. Returns self."""
        ours, theirs = dataclasses.asdict(self.settings), dataclasses.asdict(other.settings)
        changed = [name for name, value in ours.items() if theirs[name] != value]
        if changed:
            raise ValueError(f"Cannot merge panoptic qualities with different settings: {', '.join(changed)} differ.")
        twice = sorted(self._seen & other._seen)
        if twice:
            raise InputError(f"image {twice[0]!r} is in both metrics ({len(twice)} such); every image may count once.")
        self._tables += other._tables
        self._votes += other._votes
        self._image_ids += other._image_ids
        self._seen |= other._seen
        return self

    def assignment(self) -> Assignment:
        """Which class each pseudo-class stands for, from all images so far."""
        return self._match(concatenate(self._tables), self.settings.matching)

    def compute(
        self,
        *,
        assignment: Mapping[int, int] | None = None,
        semantic_assignment: Mapping[int, int] | None = None,
        bootstrap: int = 0,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> PanopticResult:
        """Score all images so far. Changes nothing: calling it twice gives the same.

        `assignment` fixes the class of every pseudo-class, for instance one found on the training split, and
        `semantic_assignment` another one behind mIoU and accuracy (None: the same). `bootstrap` is the number of resamples of images for intervals of level `confidence`; the assignment is kept fixed in them.
        """
        if not 0 < confidence < 1 or bootstrap < 0:
            raise ValueError(f"Expected resamples >= 0 and 0 < confidence < 1, but got {bootstrap} and {confidence}.")
        settings, class_ids, table = self.settings, self.settings.class_ids, concatenate(self._tables)
        match, semantic = self._assignments(table, assignment, semantic_assignment)
        segments = match_segments(table, match.classes, settings.rules())
        scores = score_classes(segments, class_ids)
        confusion = confusion_matrix(table, semantic.classes, class_ids, per_image=True)
        pixels = pixel_scores(confusion.sum(axis=0), class_ids)
        averages = {
            suffix: average({c: scores[c] for c in ids}, pooled=settings.convention == "report")
            for suffix, ids in settings.groups.items()
        }
        return PanopticResult(
            convention=settings.convention,
            matching=settings.matching if assignment is None else "given",
            images=table.images,
            **flat_averages(averages),
            miou=pixels.miou,
            accuracy=pixels.accuracy,
            miou_penalised=pixels.miou_penalised,
            accuracy_penalised=pixels.accuracy_penalised,
            predicted_void_share=void_share(confusion_matrix(table, match.classes, class_ids)),
            per_class=with_iou(class_table(scores), pixels.iou),
            assignment=dict(match.classes),
            semantic_assignment=dict(semantic.classes),
            undetermined=match.undetermined,
            drop_zero_overlap=settings.drop_zero_overlap,
            intervals=bootstrap_intervals(
                bootstrap_draws(segments, confusion, class_ids, settings.groups, resamples=bootstrap, seed=seed),
                confidence=confidence,
            ),
        )

    def resampled(
        self, resamples: int, *, assignment: Mapping[int, int] | None = None, seed: int = 0
    ) -> dict[str, NDArray[np.float64]]:
        """The numbers behind the intervals of `compute`, float64 [resamples] by name: see `bootstrap.bootstrap_draws`."""
        settings, class_ids, table = self.settings, self.settings.class_ids, concatenate(self._tables)
        match, semantic = self._assignments(table, assignment)
        segments = match_segments(table, match.classes, settings.rules())
        confusion = confusion_matrix(table, semantic.classes, class_ids, per_image=True)
        return bootstrap_draws(segments, confusion, class_ids, settings.groups, resamples=resamples, seed=seed)

    def table(self) -> OverlapTable:
        """Segments and common pixels of all images so far."""
        return concatenate(self._tables)

    def per_image(self, *, assignment: Mapping[int, int] | None = None) -> list[ImageQuality]:
        """Quality of every image by itself, in the order of `update`, under the assignment of the whole set."""
        table = concatenate(self._tables)
        match, _ = self._assignments(table, assignment)
        segments = match_segments(table, match.classes, self.settings.rules())
        return image_qualities(segments, self._image_ids, self.settings.class_ids, self.settings.groups)

    def _assignments(
        self, table: OverlapTable, given: Mapping[int, int] | None, semantic: Mapping[int, int] | None = None
    ) -> tuple[Assignment, Assignment]:
        """The assignment behind PQ and the one behind mIoU, which never separates things from stuff."""
        if given is not None:
            fixed = [
                {int(k): int(c) for k, c in each.items()} for each in (given, given if semantic is None else semantic)
            ]
            return Assignment(fixed[0]), Assignment(fixed[1])
        match = self._match(table, self.settings.matching)
        return match, self._match(table, "hungarian") if self.settings.matching == "hungarian_split" else match

    def _new_name(self, image_id: str | None) -> str:
        """How errors call the next image."""
        if image_id in self._seen:
            raise InputError(
                f"image {image_id!r} was added before; every image may count once, check the list of predictions."
            )
        return f"image {image_id!r}" if image_id is not None else f"image {len(self)} (unnamed)"

    def _append(self, table: OverlapTable, image_id: str | None, votes: Votes) -> None:
        self._tables.append(table)
        self._votes.append(votes)
        self._image_ids.append(image_id)
        if image_id is not None:
            self._seen.add(image_id)

    def _cast_votes(self, table: OverlapTable, maps: list[Any], scores: Mapping[int, float], name: str) -> Votes:
        """U2Seg's votes need the maps, so they are cast while these are at hand; other matchings need none."""
        settings = self.settings
        if settings.matching != "u2seg":
            return np.zeros((0, 2), np.int64)
        nothing = np.zeros_like(as_label_map(maps[0], "map", name))
        arrays = [nothing if labels is None else as_label_map(labels, "map", name) for labels in maps[:4]]
        pred, true = (arrays[0], arrays[1]), (arrays[2], arrays[3])
        things = thing_votes(pred, true, settings.pseudo_things or (), settings.things, scores)
        return np.concatenate([stuff_votes(table, settings.pseudo_stuff or (), settings.stuff), things])

    def _match(self, table: OverlapTable, matching: str) -> Assignment:
        settings, class_ids = self.settings, self.settings.class_ids
        if matching == "none":
            return matchings.identity(class_ids)
        seen = {int(k) for k in np.unique(table.pred_segments[:, 1])} - {settings.pred_void}
        pseudo_ids = settings.declared_pseudo_ids or tuple(sorted(seen))
        if matching == "u2seg":
            return matchings.majority(count_votes(self._votes, pseudo_ids, class_ids), pseudo_ids, class_ids)
        overlap = class_overlap(table, pseudo_ids, class_ids)
        if matching == "majority":
            return matchings.majority(overlap, pseudo_ids, class_ids)
        drop = settings.drop_zero_overlap
        if matching == "hungarian":
            return matchings.hungarian(overlap, pseudo_ids, class_ids, drop_zero_overlap=drop)
        return matchings.hungarian_split(
            overlap,
            pseudo_ids,
            class_ids,
            pseudo_things=settings.pseudo_things or (),
            things=settings.things,
            drop_zero_overlap=drop,
        )

    def _require_known_predictions(self, table: OverlapTable, name: str) -> None:
        settings = self.settings
        known = set(settings.class_ids if settings.matching == "none" else settings.declared_pseudo_ids)
        unknown = {int(k) for k in np.unique(table.pred_segments[:, 1])} - known - {settings.pred_void}
        if known and unknown:
            raise InputError(
                f"{name}: the prediction holds {sorted(unknown)[:5]}, which are neither classes of this metric nor its "
                f"void id {settings.pred_void}; pass matching='hungarian' if they are clusters, or declare them."
            )
