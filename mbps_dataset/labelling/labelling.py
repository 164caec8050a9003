"""A label set before it is a dataset: recipe, source, store and calibration, opened together.

`Labelling` is what the `datasets` builder and the command line share. Its `identity` changes when the code version, the
settings that matter, the weights, the input images or the device type change, and does not change otherwise: not with
the folder's name, not with how a path was spelled, not with modification times, not with the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch

from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError, StoreError
from mbps_dataset.labelling import whole_set
from mbps_dataset.labelling.calibration import Calibration, class_names, evenly_spaced
from mbps_dataset.labelling.cluster_naming import require_truth
from mbps_dataset.labelling.road import STAGE_VERSIONS, before_calibration, stages_of
from mbps_dataset.labelling.stage import Run, Stage, Visit
from mbps_dataset.labelling.stage_row import ROW, row_of
from mbps_dataset.labelling.workers import Job, WorkerPool, attempt, default_workers, fill_store, why
from mbps_dataset.reading.names import shown
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import FORMAT_VERSION
from mbps_dataset.sources import Frame, Source
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.sources.stereo_video import require_stereo, require_stereo_video
from mbps_dataset.store import Failure, Store, digest_of
from mbps_dataset.store.progress import followed


def require_eyes(recipe: Recipe, source: Source, splits: tuple[str, ...]) -> None:
    """Raises `InputError` if one of the `splits` lacks the stereo video, or the second eye, that a recipe takes."""
    if recipe.needs_motion:
        require_stereo_video(source, splits)
    elif recipe.needs_flow:
        require_stereo(source, splits)


@dataclass
class Labelling:
    """A recipe applied to some splits of a source.

    `limit` keeps the first images of each split; `splits` defaults to all of the source's. Raises `InputError` for an
    unknown split, a device that is none, or a recipe that needs stereo video, or two eyes, where a split has none.
    """

    recipe: Recipe
    source: Source
    store: Store
    splits: tuple[str, ...] = ()
    limit: int | None = None
    device: str = "cpu"
    _calibrated: Run | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.recipe = self.recipe.with_absolute_paths()
        self.splits = tuple(self.splits) or self.source.splits()
        self._require_possible()
        self.run = Run(self.recipe, self.store, self.device, self.source)
        DIGESTS.learn(self.store.get_json(self._digests_name()) or {})

    def _require_possible(self) -> None:
        """Raises `InputError` for a limit, a device or splits that cannot be, and for splits without the eyes it takes."""
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be at least 1, but is {self.limit}.")
        try:
            torch.device(self.device)
        except (RuntimeError, TypeError):
            raise InputError(f"device {shown(self.device)} is none of torch's; give cpu, cuda, or cuda:1.") from None
        require_eyes(self.recipe, self.source, self.splits)
        for split in self.splits:
            self.frames(split)

    def frames(self, split: str) -> Sequence[Frame]:
        """Frames of a split, `limit` applied. Raises `InputError` for an unknown split."""
        return self.source.frames(split)[: self.limit]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of the label set."""
        return class_names(self.recipe)

    @cached_property
    def input_digest(self) -> str:
        """Digest over ids and contents of all images; taken once, so that a build has one answer."""
        contents = {
            split: [(frame.image_id, whole_set.content_digest(self.run, frame)) for frame in self.frames(split)]
            for split in self.splits
        }
        if DIGESTS.changed:
            with suppress(StoreError):  # without them, files are only read once more
                self.store.put_json(self._digests_name(), DIGESTS.to_json())
                DIGESTS.changed = False
        return digest_of(contents)

    def _digests_name(self) -> str:
        return f"inputs/{digest_of(self.source.describe())[:16]}.json"

    @cached_property
    def identity(self) -> str:
        """Digest of everything that decides the rows. Raises `WeightsError` if weights are missing."""
        return digest_of(
            {
                "package": __version__,
                "format": FORMAT_VERSION,
                "stages": STAGE_VERSIONS,
                "recipe": self.recipe.digest(),
                "contents": self.run.contents,
                "device": self.run.device_type,
                "input": self.input_digest,
                "calibration": self.calibration_key,
            }
        )

    @cached_property
    def calibration_key(self) -> str:
        """`whole_set.calibration_key` of this label set; taken once, as `input_digest`."""
        return whole_set.calibration_key(self.run, self.calibration_frames())

    def calibration_indices(self) -> list[int]:
        """The images that calibration looks at: evenly spaced over the first split."""
        return evenly_spaced(len(self.frames(self.splits[0])), self.recipe.calibration.max_images)

    def calibration_frames(self) -> list[Frame]:
        """The frames at `calibration_indices`."""
        frames = self.frames(self.splits[0])
        return [frames[i] for i in self.calibration_indices()]

    def require_truth(self) -> None:
        """Raises `CalibrationError` if the recipe names clusters from ground truth that its images do not have."""
        require_truth(self.recipe, self.source.name, self.calibration_frames())

    def stored_run(self) -> Run | None:
        """The run with its calibration, if that has been taken."""
        if self._calibrated is None:
            known = whole_set.stored_calibration(self.run, self.calibration_key)
            self._calibrated = None if known is None else self.run.calibrated(known)
        return self._calibrated

    def calibrated_run(self, *, worker_count: int = 1, progress: bool = False, isolate: bool = True) -> Run:
        """The run with its calibration, from memory, from the store, or taken now, by one process at a time.

        With more than one worker the stages it looks at are filled in parallel first.
        """
        with WorkerPool(worker_count) as pool:
            return self._calibrate(pool, progress, isolate)

    def calibration(self, *, worker_count: int = 1, progress: bool = False, isolate: bool = True) -> Calibration:
        """The calibration of `calibrated_run`."""
        return self.calibrated_run(worker_count=worker_count, progress=progress, isolate=isolate).calibration

    def _calibrate(self, pool: WorkerPool, progress: bool, isolate: bool) -> Run:
        if (known := self.stored_run()) is not None:
            return known
        with self.store.alone(f"calibration-{self.calibration_key[:32]}"):
            if (known := self.stored_run()) is not None:  # another process took it while we waited
                return known
            early = before_calibration(self.recipe)
            if pool.count > 1 or isolate:
                self._fill(self.run, {self.splits[0]: self.calibration_indices()}, early, pool, progress, isolate)
            frames = self.calibration_frames()
            failed = self._always_failing(frames, early)
            taken = whole_set.take_calibration(self.run, frames, self.calibration_key, _bars(progress), without=failed)
            self._calibrated = self.run.calibrated(taken)
        return self._calibrated

    def _always_failing(self, frames: Iterable[Frame], stages: Sequence[Stage]) -> frozenset[str]:
        """Ids of frames on which a stage always fails; calibration leaves them out, and they are listed as failures later.

        What may go better another time (memory, disk) is raised: it must not change the numbers silently.
        """
        passing = (OSError, MemoryError, torch.OutOfMemoryError)
        errors = {frame.image_id: attempt(partial(self._complete, frame, stages), *passing) for frame in frames}
        return frozenset(image_id for image_id, error in errors.items() if error is not None)

    def _complete(self, frame: Frame, stages: Sequence[Stage]) -> None:
        """Make those results of an image that are not in the store."""
        visit = self.run.visit(frame)
        for stage in stages:
            if not self.run.holds(stage, frame):
                visit.result(stage)

    def prepare(
        self,
        images: Mapping[str, Iterable[int]] | None = None,
        *,
        worker_count: int | None = None,
        progress: bool = True,
        isolate: bool = True,
    ) -> None:
        """Fill the store with rows of `images` (indices per split; default all), and calibrate.

        What is there and undamaged is not done again; an image whose row is there needs nothing else. `isolate` keeps
        networks out of this process (see `workers.fill_store`).
        """
        wanted = {
            split: list(range(len(self.frames(split)))) if images is None else list(images.get(split, ()))
            for split in self.splits
        }
        wanted = {split: self._openable(split, indices) for split, indices in wanted.items()}
        if (known := self.stored_run()) is not None:
            wanted = {split: self._without_row(known, split, indices) for split, indices in wanted.items()}
        stages = stages_of(self.recipe)
        with WorkerPool(worker_count or default_workers(self.device)) as pool:
            if known is None:
                early = before_calibration(self.recipe)
                self._fill(self.run, wanted, early, pool, progress, isolate)
                known, stages = self._calibrate(pool, progress, isolate), tuple(s for s in stages if s not in early)
            self._fill(known, wanted, stages, pool, progress, isolate)

    def _openable(self, split: str, indices: Sequence[int]) -> list[int]:
        """Indices of images whose file can be read; the others are recorded as failures before anything runs."""
        frames, openable = self.frames(split), []
        for index in indices:
            try:
                frames[index].digest()
                openable.append(index)
            except InputError as error:
                self.store.record_failure(Failure(frames[index].image_id, "image", str(error)))
        return openable

    def _without_row(self, run: Run, split: str, indices: Sequence[int]) -> list[int]:
        frames = self.frames(split)
        return [i for i in indices if not run.holds(ROW, frames[i])]

    def _fill(
        self, run: Run, images: Mapping[str, Sequence[int]], stages: tuple[Stage, ...], pool: WorkerPool,
        progress: bool, isolate: bool,
    ) -> None:  # fmt: skip
        for split, indices in images.items():
            fill_store(Job(run, self.source, split, stages), indices, pool, progress=progress, isolate=isolate)

    def rows(self, split: str, indices: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """``(index, coded row)`` for the images that can be labelled; the others are recorded as failures."""
        frames, run = self.frames(split), self.calibrated_run()
        for index in indices:
            frame = frames[index]
            row = attempt(partial(_columns, run.visit(frame)))
            if isinstance(row, Exception):
                stage = "image" if isinstance(row, InputError) else ROW.name
                self.store.record_failure(Failure(frame.image_id, stage, why(frame, row)))
                continue
            self.store.clear_failure(frame.image_id)
            yield index, row

    def failures(self) -> list[Failure]:
        """Remembered failures of images that belong to this label set."""
        mine = {frame.image_id for split in self.splits for frame in self.frames(split)}
        return [failure for failure in self.store.failures() if failure.image_id in mine]


def _columns(visit: Visit) -> dict[str, Any]:
    """The coded row of an image in the columns that the recipe wants."""
    row, wanted = row_of(visit), visit.recipe.output
    if not wanted.with_preview:
        del row["preview"]
    image = {"image": {"bytes": visit.frame.image_bytes(), "path": None}} if wanted.with_images else {}
    return {"image_id": row.pop("image_id")} | image | row


def _bars(progress: bool) -> whole_set.Progress:
    def bar(frames: Iterable[Frame], title: str) -> Iterable[Frame]:
        return followed(frames, title, show=progress)

    return bar
