"""A label set before it is a dataset: recipe, source, store and calibration, opened together.

`LabelSet` is what the `datasets` builder and the command line share. Its `identity` changes when the code version, the
resolved recipe, the weights or the input images change, and does not change otherwise: not with the folder's name, not
with modification times, not with the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from mbps_dataset import calibrate, workers
from mbps_dataset._version import __version__
from mbps_dataset.calibration import Calibration, class_names, evenly_spaced
from mbps_dataset.errors import InputError
from mbps_dataset.pipeline import STAGE_VERSIONS, Pipeline
from mbps_dataset.recipe import Recipe
from mbps_dataset.records import FORMAT_VERSION, encode
from mbps_dataset.sources import Frame, Source
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

    def frames(self, split: str) -> Sequence[Frame]:
        """Frames of a split, `limit` applied. Raises `InputError` for an unknown split."""
        return self.source.frames(split)[: self.limit]

    @property
    def class_names(self) -> tuple[str, ...]:
        return class_names(self.recipe)

    def input_digest(self) -> str:
        """Digest over ids and contents of all images."""
        return digest_of(
            {
                split: [(f.image_id, calibrate.content_digest(self.pipeline, f)) for f in self.frames(split)]
                for split in self.splits
            }
        )

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
                "calibration": self._calibration_key(),
            }
        )

    def calibration_frames(self) -> list[Frame]:
        """The frames that calibration looks at: evenly spaced over the first split."""
        frames = self.frames(self.splits[0])
        return [frames[i] for i in evenly_spaced(len(frames), self.recipe.calibration.max_images)]

    def _calibration_key(self) -> str:
        return calibrate.calibration_key(self.pipeline, self.calibration_frames())

    def calibration(self, *, progress: bool = False) -> Calibration:
        """The calibration, from memory, from the store, or taken now."""
        if self._calibration is None:
            name = f"calibration/{self._calibration_key()[:32]}.json"
            document = self.store.get_json(name)
            if document is None:
                bars = _bars(progress)
                frames = self.calibration_frames()
                centroids = calibrate.fit_centroids(self.pipeline, frames, bars)
                self._calibration = calibrate.calibrate(self.pipeline, frames, centroids, bars)
                self.store.put_json(name, self._calibration.to_json())
            else:
                self._calibration = Calibration.from_json(document)
        return self._calibration

    def prepare(self, *, worker_count: int | None = None, progress: bool = True) -> None:
        """Fill the store for all splits with several processes, and calibrate. What is there is not done again."""
        count = worker_count or workers.default_workers(self.device)
        stages = self.pipeline.stages()
        early = tuple(s for s in stages if s != "pseudo_classes") if self._centroids_come_first() else stages
        for split in self.splits:
            self._fill(split, early, None, count, progress)
        calibration = self.calibration(progress=progress)
        if early != stages:
            for split in self.splits:
                self._fill(split, ("pseudo_classes",), calibration, count, progress)

    def _centroids_come_first(self) -> bool:
        return self.recipe.clusters.method != "probe"

    def _fill(
        self, split: str, stages: tuple[str, ...], calibration: Calibration | None, count: int, progress: bool
    ) -> None:
        job = workers.Job(self.recipe, self.source, split, self.store, stages, self.device, calibration)
        workers.fill_store(job, range(len(self.frames(split))), workers=count, progress=progress)

    def rows(self, split: str, indices: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """``(index, encoded row)`` for the images that can be labelled; the others are recorded as failures."""
        calibration = self.calibration()
        frames = self.frames(split)
        for index in indices:
            frame = frames[index]
            try:
                labelled = self.pipeline.label(frame, calibration)
                row = encode(labelled, len(calibration.classes), calibration.palette(),
                             with_image=self.recipe.output.with_images)  # fmt: skip
            except InputError as error:
                self.store.record_failure(Failure(frame.image_id, "image", str(error)))
                continue
            self.store.clear_failure(frame.image_id)
            yield index, row

    def failures(self) -> list[Failure]:
        """Remembered failures of images that belong to this label set."""
        mine = {frame.image_id for split in self.splits for frame in self.frames(split)}
        return [failure for failure in self.store.failures() if failure.image_id in mine]


def _bars(progress: bool) -> calibrate.Progress:
    def bar(frames: Iterable[Frame], title: str) -> Iterable[Frame]:
        return tqdm(frames, desc=f"{title:>16}", unit="img", disable=not progress)

    return bar
