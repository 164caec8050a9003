"""Tables, their rows, and what a row stands for: a recipe with some settings changed, and perhaps truth in place of a stage.

Truth in place of a component answers another question than the report's rows, namely how far the rest could go, so such
rows are marked `measurement_only` wherever they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mbps_dataset.errors import InputError
from mbps_dataset.recipe import Recipe


@dataclass(frozen=True)
class Variant:
    """One thing to measure. `true_*` puts ground truth in place of the class map, of depth, or of the thing split."""

    recipe: Recipe
    true_semantics: bool = False
    true_depth: bool = False
    true_split: bool = False

    @property
    def uses_truth(self) -> bool:
        return self.true_semantics or self.true_depth or self.true_split


@dataclass(frozen=True)
class Row:
    """`name` and the settings that differ from the recipe, written as for ``--set``.

    `trials` are further settings, one measurement each, whose results are averaged. `unavailable` says why a row cannot be
    measured; it is then printed without numbers of ours. `published` are those of its paper, in percent, by the name of the
    value they stand beside.
    """

    name: str
    settings: tuple[str, ...] = ()
    trials: tuple[tuple[str, ...], ...] = ((),)
    true_semantics: bool = False
    true_depth: bool = False
    true_split: bool = False
    note: str = ""
    unavailable: str = ""
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def measurement_only(self) -> bool:
        """Whether ground truth takes the place of a component."""
        return self.true_semantics or self.true_depth or self.true_split

    def variants(self, recipe: Recipe) -> tuple[Variant, ...]:
        """What has to be measured for this row; nothing if it is unavailable. Raises `RecipeError`."""
        if self.unavailable:
            return ()
        plain = [plain_variant(recipe.with_settings((*self.settings, *trial))) for trial in self.trials]
        truth = {name: getattr(self, name) for name in ("true_semantics", "true_depth", "true_split")}
        return tuple(replace(variant, **truth) for variant in plain)


@dataclass(frozen=True)
class Table:
    """`columns` are keys that `mbps_dataset.ablation.rendering.column` knows; changes are against the first row.

    `distances`: limits of the ranges of distance that columns name, if any do.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    distances: tuple[float, ...] = ()

    @property
    def heading(self) -> str:
        """What stands above the table: its number in the report or in CUPS' paper, or its name."""
        paper, _, number = self.name.partition("-")
        if paper == "cups":
            return f"Table {number} of CUPS"
        return f"Table {self.name}" if self.name.isdigit() else self.name.capitalize()


def plain_variant(recipe: Recipe) -> Variant:
    """A recipe as it is. Settings alone count: equal ones are measured once, whatever they are called."""
    return Variant(replace(recipe, name="variant", summary="", supervision=()))


@dataclass(frozen=True)
class Detector:
    """Somebody's detections for the rows that replace depth instances by a detector."""

    name: str
    files: tuple[str, ...]
    min_score: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Detector:
        """From ``NAME=FILE[,FILE…][@SCORE]``. Raises `InputError`."""
        name, separator, rest = text.partition("=")
        files, at, score = rest.rpartition("@")
        files, score = (files, score) if at else (rest, "0")
        if not (name.strip() and separator and files.strip()):
            raise InputError(f"{text!r} names no detections; write NAME=FILE, or NAME=FILE,FILE@SCORE.")
        try:
            least = float(score)
        except ValueError:
            raise InputError(f"{text!r}: the least score must be a number, but is {score!r}.") from None
        return cls(name.strip(), tuple(part.strip() for part in files.split(",") if part.strip()), least)

    def settings(self) -> tuple[str, ...]:
        """Settings that make these detections the instances; several files are joined at IoU 0.3, as in the report."""
        return (
            "instances.method=detections",
            f"detections.files={','.join(self.files)}",
            f"detections.min_score={self.min_score}",
            f"detections.max_iou={0.3 if len(self.files) > 1 else 1.0}",
        )


def unavailable_detector(name: str) -> Row:
    """The row of a detector whose masks were not given."""
    return Row(name, unavailable=f"not run: its masks are needed, --detections {name}=FILE")


def detector_rows(detectors: Sequence[Detector], *, expected: Sequence[str] = (), label: str = "{}") -> list[Row]:
    """One row per detector; those of the report that were not given are named as such."""
    rows = [Row(label.format(detector.name), detector.settings()) for detector in detectors]
    given = " ".join(detector.name.lower() for detector in detectors)
    missing = [name for name in expected if name.lower() not in given]
    return rows + [replace(unavailable_detector(name), name=label.format(name)) for name in missing]
