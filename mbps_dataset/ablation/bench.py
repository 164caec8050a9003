"""Measuring many variants of a recipe on one set of images, with everything they share computed once.

Three levels are shared (ours): stage results through the store, which several processes fill; class maps, depth and
objects of an image, which are made once for all variants that agree on them; and the overlap table of each image and
variant, which is kept in the store as well, so that a run that was killed goes on where it stopped.

Unnamed pseudo-classes are named once per set of class maps, by the Hungarian method against the ground truth of the same
images, before instances and fusion; clusters that share no pixel with any class stay unnamed. So variants that differ
only below the class maps are compared under one naming. With `names_apart`, which is CUPS' rule, PQ of every variant has
a naming of its own, from its finished maps and things and stuff apart; mIoU keeps the one of its class maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset import taxonomy
from mbps_dataset.ablation.results import Measurement
from mbps_dataset.ablation.rows import Variant
from mbps_dataset.ablation.subject import Subject
from mbps_dataset.ablation.view import View
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.labelling.stage import Run, Stage
from mbps_dataset.labelling.stage_cuts import detections
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.labelling.stage_motion import MOTION
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES
from mbps_dataset.labelling.stage_row import ROW
from mbps_dataset.labelling.workers import Job, WorkerPool, default_workers, fill_store
from mbps_dataset.metrics import OverlapTable, PanopticQuality, PanopticQualityByDistance
from mbps_dataset.metrics.counts import right_kinds
from mbps_dataset.recipe import Recipe
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import Frame, Source
from mbps_dataset.store import Store, digest_of
from mbps_dataset.store.progress import ProgressBar, followed


VERSION = 3
"""Raised by one whenever a change of code changes an overlap table of this bench."""


@dataclass(frozen=True)
class Naming:
    """Of one set of class maps: ``{pseudo-class: class}`` for scoring, None where classes have names, and mIoU of the maps,
    also by range of distance (near, far), and of resampled images."""

    classes: dict[int, int] | None
    miou: float
    miou_by_distance: Mapping[tuple[float, float], float]
    resampled_miou: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, metric: PanopticQuality | PanopticQualityByDistance, resamples: int) -> Naming:
        """What a metric of all class maps says."""
        results = {None: metric.compute()} if isinstance(metric, PanopticQuality) else metric.compute()
        whole = results[None]
        classes = None if whole.matching == "none" else dict(whole.assignment)
        by_distance = {limits: result.miou for limits, result in results.items() if limits is not None}
        of_all = metric if isinstance(metric, PanopticQuality) else metric.whole
        return cls(classes, whole.miou, by_distance, of_all.resampled(resamples).get("miou"))


class Bench:
    """Measures variants on the first `limit` images of a split; scores follow `convention`.

    `names_apart`: see the module. `distances`: limits of ranges for mIoU, by true depth in metres or else by a variant's own.
    `resamples` of the images are scored too, the same for all variants.
    """

    def __init__(
        self,
        source: Source,
        split: str,
        store: Store,
        convention: str,
        *,
        names_apart: bool = False,
        distances: Sequence[float] = (),
        resamples: int = 0,
        limit: int | None = None,
        device: str = "cpu",
        workers: int | None = None,
        progress: bool = False,
    ) -> None:
        self.source, self.split, self.store, self.device, self.convention = source, split, store, device, convention
        self.names_apart, self.distances, self.resamples = names_apart, tuple(distances), resamples
        self.workers, self.progress = workers or default_workers(device), progress
        self._subjects: dict[Recipe, Subject] = {}
        self._namings: dict[str, Naming] = {}
        self.true_depth_seen: set[bool] = set()
        self._index = {frame.image_id: index for index, frame in enumerate(source.frames(split)[:limit])}
        self.frames = self._frames_with_truth(limit)

    def _frames_with_truth(self, limit: int | None) -> list[Frame]:
        frames = [frame for frame in self.source.frames(self.split)[:limit] if frame.has_truth]
        if not self.source.has_truth or not frames:
            raise InputError(
                f"The source {self.source.name!r} has no ground truth in split {self.split!r}; an ablation compares with "
                "it (gtFine of Cityscapes, --truth-dir for a folder, or --source scenes)."
            )
        return frames

    def subject(self, variant: Variant) -> Subject:
        """The recipe of a variant on these images."""
        if variant.recipe not in self._subjects:
            subject = Subject(variant.recipe, self.source, self.frames, self.store, self.device)
            self._subjects[variant.recipe] = subject
        return self._subjects[variant.recipe]

    def prepare(self, variants: Sequence[Variant]) -> None:
        """Fill the store with the stages of all variants, and drop images that cannot be read.

        Raises `InputError` if none is left or detections do not fit, `WeightsError` for missing networks; what is
        missing altogether is said before the first stage runs.
        """
        for variant in variants:
            run = self.subject(variant).uncalibrated
            run.contents  # noqa: B018 - raises
            if variant.recipe.instances.method == "detections":
                detections(run)
        filled: set[str] = set()
        for variant in variants:
            subject = self.subject(variant)
            self._fill(subject, subject.uncalibrated, subject.stages_before_calibration(), filled)
            self._fill(subject, subject.calibrate(self._bar), subject.stages_after_calibration(), filled)

    def _fill(self, subject: Subject, run: Run, stages: Sequence[Stage], filled: set[str]) -> None:
        """Run `stages` over all images, those left out that another variant has `filled`."""
        missing = tuple(stage for stage in stages if run.key(stage) not in filled)
        filled.update(run.key(stage) for stage in stages)
        if not missing:
            return
        job = Job(run, self.source, self.split, missing)
        indices = [self._index[frame.image_id] for frame in self.frames]
        with WorkerPool(self.workers) as pool:
            failures = fill_store(job, indices, pool, progress=self.progress, isolate=False)
        failed = {failure.image_id for failure in failures}
        self.frames[:] = [frame for frame in self.frames if frame.image_id not in failed]
        subject.frames[:] = [frame for frame in subject.frames if frame.image_id not in failed]
        if not self.frames:
            raise InputError(f"Not one image could be read: {failures[0].reason}")

    def has_true_depth(self) -> bool:
        """Whether ground truth holds depth, judged by the first image."""
        truth = self.frames[0].truth()
        return truth is not None and truth.depth_m is not None

    def input_digest(self, frame: Frame) -> str:
        """Digest of all files that any variant reads for an image; all read the same."""
        return ROW.inputs(next(iter(self._subjects.values())).uncalibrated, frame)

    def measure(self, variants: Sequence[Variant]) -> dict[Variant, Measurement]:
        """The measurement of every variant. Call `prepare` before. Raises `InputError`."""
        self._name_clusters([v for v in variants if not v.true_semantics])
        tables: dict[Variant, list[tuple[OverlapTable, int]]] = {variant: [] for variant in variants}
        keys = {variant: self._key(variant) for variant in variants}
        todo = len(self.frames) * len(variants)
        with ProgressBar("measuring", todo, unit="row·img", show=self.progress) as bar:
            for frame in self.frames:
                view = View(self, frame)
                for variant in variants:
                    tables[variant].append(self._counted(view, variant, keys[variant]))
                    bar.update()
        return {variant: self._score(variant, tables[variant]) for variant in variants}

    def _counted(self, view: View, variant: Variant, key: str) -> tuple[OverlapTable, int]:
        """Overlap table and number of things of one image, from the store or counted now."""
        store, frame = self.store, view.frame
        stored = store.get("ablation", key, frame.image_id, view.digest)
        if stored is None:
            panoptic = view.panoptic(variant)
            shown = panoptic.resized(*view.true.semantic.shape)
            table = view.overlap(shown.semantic(self.calibration(variant).void), shown.segment_map)
            count = sum(segment.isthing for segment in panoptic.segments)
            store.put("ablation", key, frame.image_id, view.digest, table.to_arrays() | {"things": np.array([count])})
            return table, count
        return OverlapTable.from_arrays(stored, 1), int(stored["things"][0])

    def _key(self, variant: Variant) -> str:
        """Digest of everything but the image that decides an overlap table."""
        recipe, run, calibration = variant.recipe, self.subject(variant).uncalibrated, self.calibration(variant)
        classes = "truth" if variant.true_semantics else self.subject(variant).run.key(PSEUDO_CLASSES)
        depth = "truth" if variant.true_depth else run.key(DEPTH)
        groups = ("instances", "fusion", "cuts", "detections")
        settings = {k: v for k, v in recipe.deciding_settings().items() if k in groups}
        moving = run.key(MOTION) if recipe.instances.method == "motion" else None
        inputs = (recipe.deciding_settings()["depth"], sorted(run.contents.items()), moving)
        how = (settings, inputs)
        return digest_of(
            VERSION, classes, depth, how, calibration.things, calibration.cluster_to_class, self.convention
        )

    def calibration(self, variant: Variant) -> Calibration:
        """Classes and things of a variant; Cityscapes' own where it takes true class maps or the true split."""
        if variant.true_semantics:
            names = enumerate(taxonomy.NAMES_19)
            classes = tuple(ClassStatistics(name, k in taxonomy.THINGS_19, None, None) for k, name in names)
            return Calibration(classes, tuple(range(19)), len(self.frames), ("class maps", "thing/stuff split"))
        calibration = self.subject(variant).run.calibration
        if not variant.true_split:
            return calibration
        named = _names(calibration, self.naming(variant).classes)
        things = {k for k, class_id in named.items() if class_id in taxonomy.THINGS_19}
        classes = tuple(replace(c, isthing=k in things) for k, c in enumerate(calibration.classes))
        return replace(calibration, classes=classes)

    def naming(self, variant: Variant) -> Naming:
        """What the class maps of a variant are called, and how right they are."""
        return self._namings[self.semantics_key(variant)]

    def semantics_key(self, variant: Variant) -> str:
        """Equal for variants whose class maps are equal."""
        if variant.true_semantics:
            return "truth"
        run = self.subject(variant).run
        return digest_of(run.key(PSEUDO_CLASSES), run.calibration.cluster_to_class)

    def _name_clusters(self, variants: Sequence[Variant]) -> None:
        """Take the naming of every set of class maps that occurs among `variants`."""
        self._namings["truth"] = Naming(None, 1.0, dict.fromkeys(zip(self.distances, self.distances[1:]), 1.0))
        of_key = {self.semantics_key(variant): variant for variant in variants}
        metrics = {key: self._metric_of_class_maps(variant) for key, variant in of_key.items()}
        for frame in self._bar(self.frames, "class maps") if metrics else ():
            view = View(self, frame)
            for key, variant in of_key.items():
                metric, predicted = metrics[key], resize_nearest(view.classes(variant), *view.true.semantic.shape)
                maps = {"pred_semantic": predicted, "pred_instance": None, **view.true.as_truth()}
                if isinstance(metric, PanopticQuality):
                    metric.update(**maps, image_id=frame.image_id)
                else:
                    self.true_depth_seen.add(view.truth.depth_m is not None)
                    metric.update(**maps, depth=view.distance(variant), image_id=frame.image_id)
        for key, metric in metrics.items():
            self._namings[key] = Naming.of(metric, self.resamples)

    def _metric_of_class_maps(self, variant: Variant) -> PanopticQuality | PanopticQualityByDistance:
        """An empty metric for class maps; mIoU is the same under every convention, and ranges need one with void."""
        settings = self.metric_settings(self.subject(variant).run.calibration)
        if not self.distances:
            return PanopticQuality(**settings)
        return PanopticQualityByDistance(self.distances, **settings | {"convention": "coco"})

    def metric_settings(self, calibration: Calibration, matching: str = "hungarian") -> dict[str, Any]:
        """Settings of a metric over the 19 classes for predictions of this calibration's classes, named or clusters."""
        given = {"convention": self.convention, "pred_void": calibration.void, "report_hw": None}
        given |= {"things": taxonomy.THINGS_19, "stuff": taxonomy.STUFF_19}
        if calibration.cluster_to_class is not None:
            return given
        stuff = tuple(k for k in range(len(calibration.classes)) if k not in calibration.things)
        given |= {"pseudo_things": calibration.things, "pseudo_stuff": stuff, "matching": matching}
        return given | {"drop_zero_overlap": True}

    def _score(self, variant: Variant, tables: Sequence[tuple[OverlapTable, int]]) -> Measurement:
        calibration, naming = self.calibration(variant), self.naming(variant)
        apart = self.names_apart and calibration.cluster_to_class is None
        matching = "hungarian_split" if apart else "hungarian"
        metric = PanopticQuality(**self.metric_settings(calibration, matching))
        for frame, (table, _) in zip(self.frames, tables):
            metric.update_table(table, image_id=frame.image_id)
        named = _names(calibration, naming.classes)
        stuff = set(named) - set(calibration.things)
        right_side, classes = right_kinds(calibration.things, stuff, named, taxonomy.THINGS_19)
        assignment = None if apart else naming.classes
        resampled = metric.resampled(self.resamples, assignment=assignment)
        if naming.resampled_miou is not None:
            resampled["miou"] = naming.resampled_miou
        return Measurement(
            result=metric.compute(assignment=assignment),
            resampled=resampled,
            miou=naming.miou,
            miou_by_distance=naming.miou_by_distance,
            instances=sum(count for _, count in tables) / len(tables),
            things=len(calibration.things),
            right_side=right_side,
            classes=classes,
        )

    def _bar(self, frames: Iterable[Frame], title: str) -> Iterable[Frame]:
        return followed(frames, title, show=self.progress)


def _names(calibration: Calibration, assignment: dict[int, int] | None) -> dict[int, int]:
    """``{class of the label set: class of the truth}``; the same where classes have names."""
    return {k: k for k in range(len(calibration.classes))} if assignment is None else assignment
