"""A label set before it is a dataset: recipe, source, store and calibration, opened together.

`LabelSet` is what the `datasets` builder and the command line share. Its `identity` changes when the code version, the
resolved recipe, the weights or the input images change, and does not change otherwise: not with the folder's name, not
with modification times, not with the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from tqdm import tqdm

from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError, StoreError
from mbps_dataset.labelling import whole_set, workers
from mbps_dataset.labelling.calibration import Calibration, class_names, evenly_spaced
from mbps_dataset.labelling.label_rows import STAGE as LABELS
from mbps_dataset.labelling.label_rows import LabelRows
from mbps_dataset.labelling.pipeline import STAGE_VERSIONS, Pipeline
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import FORMAT_VERSION
from mbps_dataset.sources import Frame, Source
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.store import Failure, Store, digest_of


@dataclass
class LabelSet:
    """A recipe applied to some splits of a source.

    `limit` keeps the first images of each split; `splits` defaults to all of the source's.
    """

    recipe: Recipe
    source: Source
    store: Store
    splits: tuple[str, ...] = ()
    limit: int | None = None
    device: str = "cpu"
    _calibration: Calibration | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.splits = tuple(self.splits) or self.source.splits()
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit must be at least 1, but is {self.limit}.")
        self.pipeline = Pipeline(self.recipe, self.store, self.device, self.source)
        for split in self.splits:
            self.frames(split)
        DIGESTS.learn(self.store.get_json(self._digests_name()) or {})

    def frames(self, split: str) -> Sequence[Frame]:
        """Frames of a split, `limit` applied. Raises `InputError` for an unknown split."""
        return self.source.frames(split)[: self.limit]

    @property
    def class_names(self) -> tuple[str, ...]:
        return class_names(self.recipe)

    @cached_property
    def _input_digest(self) -> str:
        digest = digest_of(
            {
                split: [(f.image_id, whole_set.content_digest(self.pipeline, f)) for f in self.frames(split)]
                for split in self.splits
            }
        )
        if DIGESTS.changed:
            with suppress(StoreError):  # without them, files are only read once more
                self.store.put_json(self._digests_name(), DIGESTS.to_json())
                DIGESTS.changed = False
        return digest

    def _digests_name(self) -> str:
        return f"inputs/{digest_of(self.source.describe())[:16]}.json"

    def input_digest(self) -> str:
        """Digest over ids and contents of all images; taken once, so that a build has one answer."""
        return self._input_digest

    def identity(self) -> str:
        """Digest of everything that decides the rows. Raises `WeightsError` if weights are missing."""
        return digest_of(
            {
                "package": __version__,
                "format": FORMAT_VERSION,
                "stages": STAGE_VERSIONS,
                "recipe": self.recipe.digest(),
                "weights": self.pipeline.weights,
                "input": self.input_digest(),
                "calibration": self._calibration_key,
            }
        )

    def calibration_indices(self) -> list[int]:
        """The images that calibration looks at: evenly spaced over the first split."""
        return evenly_spaced(len(self.frames(self.splits[0])), self.recipe.calibration.max_images)

    def calibration_frames(self) -> list[Frame]:
        """The frames at `calibration_indices`."""
        frames = self.frames(self.splits[0])
        return [frames[i] for i in self.calibration_indices()]

    @cached_property
    def _calibration_key(self) -> str:
        return whole_set.calibration_key(self.pipeline, self.calibration_frames())

    def stored_calibration(self) -> Calibration | None:
        """The calibration, if it has been taken."""
        if self._calibration is None:
            document = self.store.get_json(f"calibration/{self._calibration_key[:32]}.json")
            self._calibration = None if document is None else Calibration.from_json(document)
        return self._calibration

    def calibration(self, *, worker_count: int = 1, progress: bool = False, isolate: bool = True) -> Calibration:
        """The calibration, from memory, from the store, or taken now, by one process at a time.

        With more than one worker the stages it looks at are filled in parallel first.
        """
        with workers.WorkerPool(worker_count) as pool:
            return self._calibrated(pool, progress, isolate)

    def _calibrated(self, pool: workers.WorkerPool, progress: bool, isolate: bool) -> Calibration:
        if (known := self.stored_calibration()) is not None:
            return known
        key = self._calibration_key[:32]
        with self.store.alone(f"calibration-{key}"):
            if (known := self.stored_calibration()) is not None:  # another process took it while we waited
                return known
            if pool.count > 1 or isolate:
                self._fill({self.splits[0]: self.calibration_indices()}, self._early_stages(), None, pool, progress,
                           isolate)  # fmt: skip
            bars = _bars(progress)
            frames = self._countable_frames()
            centroids = whole_set.fit_centroids(self.pipeline, frames, bars)
            self._calibration = whole_set.calibrate(self.pipeline, frames, centroids, bars)
            self.store.put_json(f"calibration/{key}.json", self._calibration.to_json())
        return self._calibration

    def _countable_frames(self) -> list[Frame]:
        """Calibration frames without those on which a network always fails; they are listed as failures later.

        What may go better another time (memory, disk) is raised: it must not change the numbers silently.
        """
        runner, countable = workers.StageRunner(self.job(self.splits[0], self._early_stages(), None)), []
        for frame in self.calibration_frames():
            try:
                for stage in self._early_stages():
                    if not runner.is_done(stage, frame):
                        self.pipeline.run(stage, frame)
            except (*workers.FATAL, OSError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception:
                continue
            countable.append(frame)
        return countable

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
        if (known := self.stored_calibration()) is not None:
            wanted = {split: self._without_row(split, indices, known) for split, indices in wanted.items()}
        late = (LABELS,) if self._early_stages() == self.pipeline.stages() else ("pseudo_classes", LABELS)
        with workers.WorkerPool(worker_count or workers.default_workers(self.device)) as pool:
            self._fill(wanted, self._early_stages(), None, pool, progress, isolate)
            self._fill(wanted, late, self._calibrated(pool, progress, isolate), pool, progress, isolate)

    def _early_stages(self) -> tuple[str, ...]:
        """Stages that need no calibration."""
        first = whole_set.needs_calibration_first(self.recipe)
        return tuple(s for s in self.pipeline.stages() if not (first and s == "pseudo_classes"))

    def _without_row(self, split: str, indices: Sequence[int], calibration: Calibration) -> list[int]:
        runner = workers.StageRunner(self.job(split, (LABELS,), calibration))
        return [i for i in indices if not runner.is_done(LABELS, runner.frames[i])]

    def job(self, split: str, stages: tuple[str, ...], calibration: Calibration | None) -> workers.Job:
        """Stages to run over a split, for `workers`."""
        return workers.Job(self.recipe, self.source, split, self.store, stages, self.device, calibration)

    def _fill(
        self, images: Mapping[str, Sequence[int]], stages: tuple[str, ...], calibration: Calibration | None,
        pool: workers.WorkerPool, progress: bool, isolate: bool,
    ) -> None:  # fmt: skip
        for split, indices in images.items():
            job = self.job(split, stages, calibration)
            workers.fill_store(job, indices, pool, progress=progress, isolate=isolate)

    def rows(self, split: str, indices: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """``(index, encoded row)`` for the images that can be labelled; the others are recorded as failures."""
        frames, made = self.frames(split), self._label_rows
        for index in indices:
            frame = frames[index]
            try:
                row = made.run(frame)
                image = {"image": {"bytes": frame.image_bytes(), "path": None}}
                row = {"image_id": row.pop("image_id")} | (image if self.recipe.output.with_images else {}) | row
            except workers.FATAL:
                raise
            except Exception as error:  # as in a worker: one image must not end the job
                stage = "image" if isinstance(error, InputError) else LABELS
                self.store.record_failure(Failure(frame.image_id, stage, workers.why(frame, error)))
                continue
            self.store.clear_failure(frame.image_id)
            yield index, row

    @cached_property
    def _label_rows(self) -> LabelRows:
        return LabelRows(self.pipeline, self.calibration())

    def failures(self) -> list[Failure]:
        """Remembered failures of images that belong to this label set."""
        mine = {frame.image_id for split in self.splits for frame in self.frames(split)}
        return [failure for failure in self.store.failures() if failure.image_id in mine]


def _bars(progress: bool) -> whole_set.Progress:
    def bar(frames: Iterable[Frame], title: str) -> Iterable[Frame]:
        return tqdm(frames, desc=f"{title:>16}", unit="img", disable=not progress)

    return bar
