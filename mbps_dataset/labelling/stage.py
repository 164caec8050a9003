"""A stage of the road, the run it belongs to, and one visit of a run to an image.

    Stage   what one step is: name, title, version, what its key is made of, how it is computed
    Run     a recipe with everything it needs: store, device, source, and the calibration once it is taken
    Visit   one image in one pass of a worker: decoded once, every result read or made once

A stage's result is kept in the store under a key: the digest of its name, version and whatever decides it beside the
image (settings, digests of weights, the keys of what it is made from). Changing one setting therefore recomputes that
stage and what follows, and nothing before it. Keys are computed once per run.

Everything is computed with one torch thread: sums in another order give other last digits, and a label set must have
the same bytes however many workers made it. Work on several images runs in several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import CalibrationError, InputError
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.labelling.contents import recipe_contents
from mbps_dataset.labelling.fit import require_fit
from mbps_dataset.models import networks
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Frame, Source
from mbps_dataset.store import Store, digest_of


Arrays = Mapping[str, NDArray[Any]]
Value = TypeVar("Value")


def never(_: Recipe) -> bool:
    """`needs_calibration` of a stage that looks at nothing but its image."""
    return False


def always(_: Recipe) -> bool:
    """`needs_calibration` of a stage that every recipe calibrates for, `runs` of one that every recipe runs."""
    return True


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, and give the caller its setting back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Stage:
    """One step from an image to its row.

    `name` is its folder in the store, `title` what people read; `version` is raised by one whenever a change of code
    changes results. `needs_calibration` says for a recipe whether the stage must wait for the calibration. `key` gives
    the parts that decide the result beside the image, JSON-ready; `compute` makes the arrays of one image. `inputs` is
    the digest of all files read for an image. Both may raise `InputError` if an image cannot be used. `runs` says which
    recipes run the stage.
    """

    name: str
    title: str
    version: int
    needs_calibration: Callable[[Recipe], bool]
    key: Callable[[Run], tuple[object, ...]]
    compute: Callable[[Visit], Arrays]
    inputs: Callable[[Run, Frame], str] = lambda _, frame: frame.digest()
    runs: Callable[[Recipe], bool] = always


class Run:
    """A recipe at work: what its stages share, opened and hashed once.

    `device` is a torch device; results of networks on a GPU may differ from the CPU's in the last digit, so the device
    type is part of keys. `source` is needed only where files that someone else made are matched to its images.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        device: str = "cpu",
        source: Source | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.recipe, self.store, self.device, self.source = recipe, store, device, source
        self._calibration = calibration
        self._keys: dict[str, str] = {}
        self._opened: dict[str, Any] = {}

    @property
    def device_type(self) -> str:
        """ "cpu", "cuda", …: what keys hold of the device."""
        return torch.device(self.device).type

    @cached_property
    def contents(self) -> dict[str, str]:
        """Digest of whatever the recipe names by a path or Hub id; settings that do not fit it are refused here.

        Raises `WeightsError`, `InputError`, or `RecipeError` (see `mbps_dataset.labelling.fit`).
        """
        contents = recipe_contents(self.recipe)
        require_fit(self.recipe)
        return contents

    @property
    def calibration(self) -> Calibration:
        """The calibration. Raises `CalibrationError` if it has not been taken."""
        if self._calibration is None:
            raise CalibrationError("This stage needs a calibration: calibrate before labelling.")
        return self._calibration

    @property
    def is_calibrated(self) -> bool:
        """Whether `calibration` is there."""
        return self._calibration is not None

    def source_frames(self) -> list[Frame]:
        """All frames of the source, which imported files are matched to; none without a source."""
        return [] if self.source is None else [f for split in self.source.splits() for f in self.source.frames(split)]

    def calibrated(self, calibration: Calibration) -> Run:
        """The same run with a calibration; what is open and hashed stays so."""
        run = Run(self.recipe, self.store, self.device, self.source, calibration)
        run._opened = self._opened
        if "contents" in self.__dict__:
            run.contents = self.contents
        return run

    def network(self, name: str) -> Any:
        """A network of the recipe, loaded once per process. Raises `WeightsError`."""
        return networks.load(name, networks.recipe_networks(self.recipe)[name], self.device)

    def once(self, name: str, open_it: Callable[[], Value]) -> Value:
        """What `open_it` gives, opened when first asked for and kept for the run."""
        if name not in self._opened:
            self._opened[name] = open_it()
        return self._opened[name]

    def key(self, stage: Stage) -> str:
        """Digest of everything but the image that decides a stage's result."""
        if stage.name not in self._keys:
            self._keys[stage.name] = digest_of(stage.name, stage.version, *stage.key(self))
        return self._keys[stage.name]

    def address(self, stage: Stage, frame: Frame) -> tuple[str, str, str, str]:
        """Stage, key, image id and input digest: where the store keeps a result. Raises `InputError`."""
        return stage.name, self.key(stage), frame.image_id, stage.inputs(self, frame)

    def can_compute(self, stage: Stage) -> bool:
        """Whether the stage does not wait for a calibration that is missing."""
        return self.is_calibrated or not stage.needs_calibration(self.recipe)

    def holds(self, stage: Stage, frame: Frame) -> bool:
        """Whether an undamaged result is stored; False for an image that cannot be read."""
        try:
            return self.can_compute(stage) and self.store.holds(*self.address(stage, frame))
        except InputError:
            return False

    def has_file(self, stage: Stage, frame: Frame) -> bool:
        """Whether a result is stored, without reading it; it may turn out to be damaged."""
        try:
            return self.can_compute(stage) and self.store.path(*self.address(stage, frame)).is_file()
        except InputError:
            return False

    def visit(self, frame: Frame) -> Visit:
        """One look at an image."""
        return Visit(self, frame)

    def visits(self, frames: Iterable[Frame]) -> Iterator[Visit]:
        """One visit to each frame whose image can be read, one after the other."""
        for frame in frames:
            visit = self.visit(frame)
            try:
                visit.image  # noqa: B018 - decoded here, or left out
            except InputError:
                continue
            yield visit


class Visit:
    """One image in one pass. Keep it no longer than the image is worked on: it holds pixels and results."""

    def __init__(self, run: Run, frame: Frame) -> None:
        self.run, self.frame = run, frame
        self._results: dict[str, Arrays] = {}

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.run.recipe

    @cached_property
    def image(self) -> RGBImage:
        """The decoded image, uint8 [H, W, 3]. Raises `InputError` naming the image if it cannot be decoded."""
        return self.frame.image()

    def forget_image(self) -> None:
        """Give the memory of `image` back, which of a large picture is a good part; it is decoded again if asked for."""
        self.__dict__.pop("image", None)

    def result(self, stage: Stage) -> Arrays:
        """The arrays of a stage, from this visit, from the store, or computed now.

        Raises `InputError` for an image that cannot be used, `StoreError` if a result cannot be kept.
        """
        if stage.name not in self._results:
            address = self.run.address(stage, self.frame)
            arrays: Arrays | None = self.run.store.get(*address)
            if arrays is None:
                with one_thread(), torch.inference_mode():
                    arrays = stage.compute(self)
                _require_finite(arrays, stage, self.frame)
                self.run.store.put(*address, arrays)
            self._results[stage.name] = arrays
        return self._results[stage.name]


def _require_finite(arrays: Arrays, stage: Stage, frame: Frame) -> None:
    """Raises `InputError` if a result holds NaN or infinity: labels made of it would be arbitrary, without a word."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            wrong = int((~np.isfinite(array)).sum())
            raise InputError(
                f"{frame.image_id}: {wrong:,} of the {array.size:,} numbers of {stage.title} ({name}) are NaN or infinite; "
                "check the weights and the settings of that stage."
            )


def as_numpy(array: Any) -> NDArray[Any]:
    """A tensor of any device, or an array, as a numpy array."""
    return array.cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
