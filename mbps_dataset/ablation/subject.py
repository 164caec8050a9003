"""A recipe on the images of an ablation, with its calibration, taken once and kept in the store."""

from __future__ import annotations

from collections.abc import Sequence

from mbps_dataset.labelling.calibration import evenly_spaced
from mbps_dataset.labelling.road import before_calibration
from mbps_dataset.labelling.stage import Run, Stage
from mbps_dataset.labelling.stage_row import made_from
from mbps_dataset.labelling.whole_set import Progress, calibration_key, silent, stored_calibration, take_calibration
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source
from mbps_dataset.store import Store


class Subject:
    """`recipe` over `frames` of `source`; the calibration is that of `mbps build` over the same images."""

    def __init__(self, recipe: Recipe, source: Source, frames: Sequence[Frame], store: Store, device: str) -> None:
        self.uncalibrated = Run(recipe, store, device, source)
        self.frames = [frames[i] for i in evenly_spaced(len(frames), recipe.calibration.max_images)]
        self._run: Run | None = None

    def stages_before_calibration(self) -> tuple[Stage, ...]:
        """Stored stages that need no calibration."""
        return before_calibration(self.uncalibrated.recipe)

    def stages_after_calibration(self) -> tuple[Stage, ...]:
        """The other stages that a row is made from."""
        recipe = self.uncalibrated.recipe
        return tuple(stage for stage in made_from(recipe) if stage not in before_calibration(recipe))

    @property
    def run(self) -> Run:
        """The run with its calibration. Raises `CalibrationError` if it cannot be taken."""
        return self.calibrate()

    def calibrate(self, progress: Progress = silent) -> Run:
        """The run with its calibration, from memory, from the store, or taken now."""
        if self._run is None:
            key = calibration_key(self.uncalibrated, self.frames)
            known = stored_calibration(self.uncalibrated, key)
            calibration = known or take_calibration(self.uncalibrated, self.frames, key, progress)
            self._run = self.uncalibrated.calibrated(calibration)
        return self._run
