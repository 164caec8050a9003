"""A recipe on the images of an ablation: its pipeline, and its calibration, taken once and kept in the store."""

from __future__ import annotations

from collections.abc import Sequence

from mbps_dataset.labelling import whole_set
from mbps_dataset.labelling.calibration import Calibration, evenly_spaced
from mbps_dataset.labelling.pipeline import Pipeline
from mbps_dataset.labelling.whole_set import Progress
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source
from mbps_dataset.store import Store


class Subject:
    """`recipe` over `frames` of `source`; the calibration is that of `mbps build` over the same images."""

    def __init__(self, recipe: Recipe, source: Source, frames: Sequence[Frame], store: Store, device: str) -> None:
        self.recipe, self.store = recipe, store
        self.pipeline = Pipeline(recipe, store, device, source)
        self.frames = [frames[i] for i in evenly_spaced(len(frames), recipe.calibration.max_images)]
        self._calibration: Calibration | None = None

    def stages_before_calibration(self) -> tuple[str, ...]:
        """Stored stages that need no calibration."""
        first = whole_set.needs_calibration_first(self.recipe)
        return tuple(stage for stage in self.pipeline.stages() if not (first and stage == "pseudo_classes"))

    def stages_after_calibration(self) -> tuple[str, ...]:
        """The other stored stages."""
        return tuple(stage for stage in self.pipeline.stages() if stage not in self.stages_before_calibration())

    @property
    def calibration(self) -> Calibration:
        """The calibration. Raises `CalibrationError` if it cannot be taken."""
        return self.calibrate()

    def calibrate(self, progress: Progress = lambda frames, _: frames) -> Calibration:
        """The calibration, from memory, from the store, or taken now."""
        if self._calibration is None:
            name = f"calibration/{whole_set.calibration_key(self.pipeline, self.frames)[:32]}.json"
            document = self.store.get_json(name)
            if document is not None:
                self._calibration = Calibration.from_json(document)
                return self._calibration
            centroids = whole_set.fit_centroids(self.pipeline, self.frames, progress)
            self._calibration = whole_set.calibrate(self.pipeline, self.frames, centroids, progress)
            self.store.put_json(name, self._calibration.to_json())
        return self._calibration
