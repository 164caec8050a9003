"""`PanopticQuality`: collect overlap tables image by image, then score them under a named convention and matching.

Decisions (ours): an image is reduced to its table at once, so memory does not grow with resolution; `compute` changes
nothing and may be called at any time; states of many processes merge by concatenation; an image with nothing in it, or
no image at all, gives NaN and not an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mbps_dataset.errors import InputError
from mbps_dataset.metrics import matching as matchings
from mbps_dataset.metrics.bootstrap import bootstrap_intervals
from mbps_dataset.metrics.matching import MATCHINGS, Assignment
from mbps_dataset.metrics.overlap import OverlapTable, as_label_map, concatenate, overlap_table
from mbps_dataset.metrics.result import PanopticResult
from mbps_dataset.metrics.scores import average, score_classes
from mbps_dataset.metrics.segment_matching import CONVENTIONS, MatchingRules, match_segments
from mbps_dataset.metrics.segmentation import class_overlap, confusion_matrix, pixel_scores, resize_nearest
from mbps_dataset.metrics.u2seg import Votes, count_votes, stuff_votes, thing_votes


class PanopticQuality:
    """Panoptic quality of predicted classes, or of pseudo-classes that are first matched to classes.

    Args:
        things, stuff: class ids of the ground truth; every other id in it is void.
        pseudo_things, pseudo_stuff: ids of pseudo-classes. Needed by the matchings that tell things from stuff
            ("hungarian_split", "u2seg"); otherwise they name pseudo-classes that may be without pixels.
        convention: "coco" (panopticapi, cityscapesScripts, detectron2), "cups" (torchmetrics, CUPS) or "report" (the
            report's evaluator: 512 x 1024, smallest areas, no void rule, pooled SQ and RQ).
        matching: "none" (predictions are class ids), "hungarian", "hungarian_split" (things and stuff apart),
            "majority" or "u2seg".
        drop_zero_overlap: keep pairs without a common pixel out of the Hungarian, which makes the result independent
            of how clusters are numbered.
        void: id of pixels without a label, in the ground truth and, unless `pred_void` differs, in predictions.
        pred_void: id of pixels without a prediction; set it when more than `void` pseudo-classes exist.
        crowds: "all", or "last" as in panopticapi, which forgets all crowd regions of a class but one.
        merge_stuff: False keeps one stuff segment per pseudo-class, as U2Seg's evaluator does.
        averaged: class ids that enter averages (others are still matched and counted); None means all.
        report_hw: size to which the convention "report" resizes by nearest neighbour; None leaves sizes alone.
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
        report_hw: tuple[int, int] | None = (512, 1024),
    ) -> None:
        self.things, self.stuff = _ids(things, "things"), _ids(stuff, "stuff")
        self.pseudo_things = None if pseudo_things is None else _ids(pseudo_things, "pseudo_things")
        self.pseudo_stuff = None if pseudo_stuff is None else _ids(pseudo_stuff, "pseudo_stuff")
        self.convention, self.matching, self.drop_zero_overlap = convention, matching, bool(drop_zero_overlap)
        self.void, self.pred_void = int(void), int(void if pred_void is None else pred_void)
        self.crowds, self.merge_stuff = crowds, bool(merge_stuff)
        self.averaged = self.class_ids if averaged is None else _ids(averaged, "averaged")
        self.report_hw = report_hw
        self._validate()
        self._tables: list[OverlapTable] = []
        self._votes: list[Votes] = []
        self._image_ids: list[str | None] = []
        self._seen: set[str] = set()

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Things and stuff, ascending."""
        return tuple(sorted(self.things + self.stuff))

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
        no instance; ids on stuff are ignored. `true_crowd` is 0, or n on the n-th crowd region. `pred_scores` maps
        instance ids to scores and is used by the matching "u2seg" only.

        Raises `InputError` naming the image for sizes that differ, floats, negative ids, an image id seen before, and,
        with matching "none", predicted ids that are no class.
        """
        name = f"image {image_id!r}" if image_id is not None else f"image {len(self)} (unnamed)"
        if image_id in self._seen:
            raise InputError(f"{name} was added before; every image may count once, check the list of predictions.")
        maps = [pred_semantic, pred_instance, true_semantic, true_instance, true_crowd]
        if self.convention == "report" and self.report_hw is not None:
            maps = [None if m is None else resize_nearest(as_label_map(m, "map", name), self.report_hw) for m in maps]
        table = overlap_table(*maps[:4], true_crowd=maps[4], image=name)
        self._require_known_predictions(table, name)
        self._append(table, image_id, self._cast_votes(table, maps, pred_scores or {}, name))

    def update_table(self, table: OverlapTable, *, image_id: str | None = None) -> None:
        """Add one image whose `overlap_table` was made elsewhere, for instance from overlapping masks."""
        if self.matching == "u2seg":
            raise ValueError("matching='u2seg' compares boxes, which a table does not hold; use `update` with maps.")
        self._append(table, image_id, np.zeros((0, 2), np.int64))

    def merge(self, other: PanopticQuality) -> PanopticQuality:
        """Add the images of `other`, which must have the same settings and no image in common. Returns self."""
        if self.settings() != other.settings():
            changed = [key for key, value in self.settings().items() if other.settings()[key] != value]
            raise ValueError(f"Cannot merge panoptic qualities with different settings: {', '.join(changed)} differ.")
        twice = sorted(self._seen & other._seen)
        if twice:
            raise InputError(f"image {twice[0]!r} is in both states ({len(twice)} such); every image may count once.")
        self._tables += other._tables
        self._votes += other._votes
        self._image_ids += other._image_ids
        self._seen |= other._seen
        return self

    def assignment(self) -> Assignment:
        """Which class each pseudo-class stands for, from all images so far."""
        return self._match(self._table(), self.matching)

    def compute(
        self,
        *,
        assignment: Mapping[int, int] | None = None,
        bootstrap: int = 0,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> PanopticResult:
        """Score all images so far. Changes nothing: calling it twice gives the same.

        `assignment` fixes the class of every pseudo-class, for instance one found on the training split. `bootstrap` is
        the number of resamples of images for intervals of level `confidence`; the assignment is kept fixed in them.
        """
        table = self._table()
        fixed = None if assignment is None else Assignment({int(k): int(c) for k, c in assignment.items()})
        match = fixed or self._match(table, self.matching)
        unsplit = "hungarian" if self.matching == "hungarian_split" else self.matching
        semantic = match if fixed or unsplit == self.matching else self._match(table, unsplit)

        segments = match_segments(table, match.classes, self.rules())
        per_class = score_classes(segments, self.class_ids)
        confusion = confusion_matrix(table, semantic.classes, self.class_ids, per_image=True)
        unpredicted = confusion_matrix(table, match.classes, self.class_ids)
        labelled = int(unpredicted.sum())
        members = {"": self.averaged, "_things": self.things, "_stuff": self.stuff}
        members = {suffix: tuple(c for c in ids if c in self.averaged) for suffix, ids in members.items()}
        pooled = self.convention == "report"
        return PanopticResult(
            convention=self.convention,
            matching=self.matching if assignment is None else "given",
            images=table.images,
            averages={key: average({c: per_class[c] for c in ids}, pooled=pooled) for key, ids in members.items()},
            per_class=per_class,
            pixels=pixel_scores(confusion.sum(axis=0), self.class_ids),
            assignment=dict(match.classes),
            semantic_assignment=dict(semantic.classes),
            undetermined=match.undetermined,
            predicted_void_share=int(unpredicted[:, -1].sum()) / labelled if labelled else float("nan"),
            drop_zero_overlap=self.drop_zero_overlap,
            intervals=bootstrap_intervals(
                segments, confusion, self.class_ids, members, resamples=bootstrap, confidence=confidence, seed=seed
            )
            if bootstrap
            else {},
        )

    def rules(self) -> MatchingRules:
        """The rules by which segments are matched."""
        return MatchingRules(self.things, self.stuff, self.convention, self.crowds, self.merge_stuff)

    def settings(self) -> dict[str, Any]:
        """Arguments that make an equal, empty metric: ``PanopticQuality(**metric.settings())``."""
        names = ("things", "stuff", "pseudo_things", "pseudo_stuff", "convention", "matching", "drop_zero_overlap")
        names += ("void", "pred_void", "crowds", "merge_stuff", "averaged", "report_hw")
        return {name: getattr(self, name) for name in names}

    def _append(self, table: OverlapTable, image_id: str | None, votes: Votes) -> None:
        self._tables.append(table)
        self._votes.append(votes)
        self._image_ids.append(image_id)
        if image_id is not None:
            self._seen.add(image_id)

    def _cast_votes(self, table: OverlapTable, maps: list[Any], scores: Mapping[int, float], name: str) -> Votes:
        """U2Seg's votes need the maps, so they are cast while these are at hand; other matchings need none."""
        if self.matching != "u2seg":
            return np.zeros((0, 2), np.int64)
        arrays = [
            np.zeros_like(as_label_map(maps[0], "map", name)) if m is None else as_label_map(m, "map", name)
            for m in maps[:4]
        ]
        things = thing_votes(
            (arrays[0], arrays[1]), (arrays[2], arrays[3]), self.pseudo_things or (), self.things, scores
        )
        return np.concatenate([stuff_votes(table, self.pseudo_stuff or (), self.stuff), things])

    def _table(self) -> OverlapTable:
        return concatenate(self._tables)

    def _match(self, table: OverlapTable, matching: str) -> Assignment:
        if matching == "none":
            return matchings.identity(self.class_ids)
        pseudo_ids = self._pseudo_ids(table)
        if matching == "u2seg":
            votes = count_votes(self._votes, pseudo_ids, self.class_ids)
            return matchings.majority(votes, pseudo_ids, self.class_ids)
        overlap = class_overlap(table, pseudo_ids, self.class_ids)
        if matching == "majority":
            return matchings.majority(overlap, pseudo_ids, self.class_ids)
        if matching == "hungarian":
            return matchings.hungarian(overlap, pseudo_ids, self.class_ids, drop_zero_overlap=self.drop_zero_overlap)
        return matchings.hungarian_split(
            overlap,
            pseudo_ids,
            self.class_ids,
            pseudo_things=self.pseudo_things or (),
            things=self.things,
            drop_zero_overlap=self.drop_zero_overlap,
        )

    def _pseudo_ids(self, table: OverlapTable) -> tuple[int, ...]:
        """Declared pseudo-classes, ascending; without a declaration those that have pixels."""
        declared = {*(self.pseudo_things or ()), *(self.pseudo_stuff or ())}
        seen = {int(k) for k in np.unique(table.pred_segments[:, 1])} - {self.pred_void}
        return tuple(sorted(declared or seen))

    def _require_known_predictions(self, table: OverlapTable, name: str) -> None:
        known = set(self.class_ids) if self.matching == "none" else {*(self.pseudo_things or ())}
        if self.matching != "none":
            known |= {*(self.pseudo_stuff or ())}
        unknown = {int(k) for k in np.unique(table.pred_segments[:, 1])} - known - {self.pred_void}
        if known and unknown:
            raise InputError(
                f"{name}: the prediction holds {sorted(unknown)[:5]}, which are neither classes of this metric nor its "
                f"void id {self.pred_void}; pass matching='hungarian' if they are clusters, or declare them."
            )

    def _validate(self) -> None:
        _choose("convention", self.convention, CONVENTIONS)
        _choose("matching", self.matching, MATCHINGS)
        _choose("crowds", self.crowds, ("all", "last"))
        for first, second in (("things", "stuff"), ("pseudo_things", "pseudo_stuff")):
            both = set(getattr(self, first) or ()) & set(getattr(self, second) or ())
            if both:
                raise ValueError(f"`{first}` and `{second}` share {sorted(both)}; every id belongs to one of them.")
        for name, void in (
            ("things", "void"),
            ("stuff", "void"),
            *((f"pseudo_{k}", "pred_void") for k in ("things", "stuff")),
        ):
            if getattr(self, void) in (getattr(self, name) or ()):
                raise ValueError(
                    f"`{name}` contains the void id {getattr(self, void)}; choose another `{void}`, for instance 65535."
                )
        if self.matching in ("hungarian_split", "u2seg") and (self.pseudo_things is None or self.pseudo_stuff is None):
            raise ValueError(
                f"matching={self.matching!r} needs `pseudo_things` and `pseudo_stuff`; use matching='hungarian' if "
                "pseudo-classes are not split."
            )
        if not set(self.averaged) <= set(self.class_ids):
            raise ValueError(
                f"`averaged` holds {sorted(set(self.averaged) - set(self.class_ids))}, which are no classes."
            )


def _ids(ids: Collection[int], name: str) -> tuple[int, ...]:
    result = tuple(sorted(int(k) for k in ids))
    if len(set(result)) < len(result) or (result and result[0] < 0):
        raise ValueError(f"`{name}` must hold different ids >= 0, but is {list(ids)}.")
    return result


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, but is {value!r}.")
