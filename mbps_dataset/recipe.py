"""What a label set is made from: the settings of all stages together, and their digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mbps_dataset.errors import RecipeError
from mbps_dataset.reading.names import did_you_mean, fault_of_name, shown
from mbps_dataset.semantics_settings import ClustersSettings, CrfSettings, NamingSettings, SemanticsSettings
from mbps_dataset.settings import check_text, parse_setting
from mbps_dataset.stage_settings import (
    CalibrationSettings,
    CutsSettings,
    DepthSettings,
    DetectionsSettings,
    FlowSettings,
    FusionSettings,
    InstancesSettings,
    MotionSettings,
    OutputSettings,
    SaliencySettings,
    ThingsSettings,
)


_KEYS = ("name", "summary", "settings", "supervision")
"""What a recipe file may hold; only the name must be there."""

_MOST_SCALES = 16


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the labels, and nothing else.

    `name` names folders too (see `mbps_dataset.reading.names`); `supervision` says for every component what it saw in training,
    and is copied into ``labelset.json`` and the card. Raises `RecipeError` for a name that is none, and for settings that
    contradict each other.
    """

    name: str
    summary: str = ""
    semantics: SemanticsSettings = SemanticsSettings()
    clusters: ClustersSettings = ClustersSettings()
    crf: CrfSettings = CrfSettings()
    naming: NamingSettings = NamingSettings()
    flow: FlowSettings = FlowSettings()
    depth: DepthSettings = DepthSettings()
    motion: MotionSettings = MotionSettings()
    saliency: SaliencySettings = SaliencySettings()
    things: ThingsSettings = ThingsSettings()
    instances: InstancesSettings = InstancesSettings()
    cuts: CutsSettings = CutsSettings()
    detections: DetectionsSettings = DetectionsSettings()
    fusion: FusionSettings = FusionSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    output: OutputSettings = OutputSettings()
    supervision: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if fault := fault_of_name(self.name):
            raise RecipeError(f"A recipe's name names folders, but {fault}.")
        for what, text in (("summary", self.summary), *self.supervision):
            check_text(what, text)
        if self.semantics.stride > self.semantics.crop:
            raise RecipeError("semantics.stride must not exceed semantics.crop, or pixels are left out.")
        if not self.semantics.scales:
            raise RecipeError("semantics.scales must name at least one size; 1.0 is the image at short_side.")
        if len(self.semantics.scales) > _MOST_SCALES:
            raise RecipeError(f"semantics.scales must name at most {_MOST_SCALES} sizes, but names "
                              f"{len(self.semantics.scales)}.")  # fmt: skip
        if self.semantics.codes == "tokens" and self.semantics.method == "depthg":
            raise RecipeError(
                "semantics.codes 'tokens' are those of a DINOv2 in CAUSE's windows; pass --set semantics.method=cause, or "
                "--set semantics.codes=head for the codes of DepthG."
            )
        if self.semantics.codes == "tokens" and self.clusters.method == "probe":
            raise RecipeError(
                "clusters.method is 'probe', but semantics.codes 'tokens' have none; pass --set clusters.method=kmeans."
            )
        if self.semantics.windows == "depth" and self.depth.method == "spidepth":
            raise RecipeError(
                "semantics.windows is 'depth', which needs depth in metres, but that of depth.method 'spidepth' has no scale; "
                "pass --set depth.method=stereo (two eyes) or files, or --set semantics.windows=average."
            )
        if self.naming.method == "file" and not self.naming.file:
            raise RecipeError(
                "naming.method is 'file' but naming.file is not set; give a path with --set naming.file=…"
            )
        if self.clusters.method == "centroids" and not self.clusters.centroids:
            raise RecipeError("clusters.method is 'centroids' but clusters.centroids is not set; give an .npz path.")
        if self.depth.method == "files" and not self.depth.files:
            raise RecipeError(
                "depth.method is 'files' but depth.files is not set; give a folder with --set depth.files=…"
            )
        if self.instances.method == "detections" and not self.detections.files:
            raise RecipeError(
                "instances.method is 'detections' but detections.files is not set; give COCO .json files or folders "
                "with --set detections.files=…"
            )
        if self.needs_flow and self.flow.method == "files":
            folders = ("disparity", "right_disparity", *(("forward", "backward") if self.needs_motion else ()))
            if missing := [f"flow.{name}" for name in folders if not getattr(self.flow, name)]:
                raise RecipeError(
                    f"flow.method is 'files' but {missing[0]} is not set; give a folder with --set {missing[0]}=…"
                )
        if self.motion.connectivity not in (4, 8):
            raise RecipeError(f"motion.connectivity must be 4 or 8, but is {self.motion.connectivity}.")
        if self.motion.nearest_m > self.motion.farthest_m:
            raise RecipeError(
                f"motion.nearest_m is {self.motion.nearest_m:g}, beyond motion.farthest_m, {self.motion.farthest_m:g}."
            )
        if len(self.cuts.tiles) != 2:
            raise RecipeError(f"cuts.tiles must be two numbers, rows and columns, but is {self.cuts.tiles!r}.")

    @property
    def semantic_network(self) -> str:
        """What makes the codes: "cause", "depthg", or "tokens" for a backbone without a head."""
        return "tokens" if self.semantics.codes == "tokens" else self.semantics.method

    @property
    def needs_motion(self) -> bool:
        """Whether moving objects are looked for: instances or things come from them."""
        return "motion" in (self.instances.method, self.things.method)

    @property
    def needs_flow(self) -> bool:
        """Whether flow and disparity are: moving objects or depth come from them."""
        return self.needs_motion or self.depth.method == "stereo"

    def digest(self) -> str:
        """SHA-256 (hex) of the resolved settings; the name, the summary, paths and Hub ids do not enter."""
        return hashlib.sha256(json.dumps(self.deciding_settings(), sort_keys=True).encode()).hexdigest()

    def settings(self) -> dict[str, dict[str, Any]]:
        """``{stage: {setting: value}}``, JSON-ready."""
        as_dict = dataclasses.asdict(self)
        return {stage: as_dict[stage] for stage in stage_names()}

    def deciding_settings(self) -> dict[str, dict[str, Any]]:
        """`settings` without paths and Hub ids: what lies there decides, and has digests of its own."""
        located = set(self.locations())
        return {
            stage: {name: value for name, value in values.items() if (stage, name) not in located}
            for stage, values in self.settings().items()
        }

    def locations(self) -> tuple[tuple[str, str], ...]:
        """``(stage, setting)`` of every setting that is a path or a Hub id."""
        return tuple(
            (stage, declared.name)
            for stage in stage_names()
            for declared in fields(getattr(self, stage))
            if declared.metadata.get("locates")
        )

    def with_absolute_paths(self) -> Recipe:
        """Copy in which paths that exist are absolute, so that it means the same from any folder."""
        changed = self
        for stage, name in self.locations():
            value = getattr(getattr(self, stage), name)
            placed = tuple(map(_absolute, value)) if isinstance(value, tuple) else value and _absolute(value)
            if placed != value:
                changed = replace(changed, **{stage: replace(getattr(changed, stage), **{name: placed})})
        return changed

    def with_settings(self, assignments: typing.Iterable[str]) -> Recipe:
        """Copy with ``"stage.setting=value"`` applied, values written as on the command line.

        Raises `RecipeError` for an unknown stage or setting (with the nearest names) or a value of the wrong type.
        """
        changes: dict[str, dict[str, Any]] = {}
        for assignment in assignments:
            key, separator, text = assignment.partition("=")
            stage, _, name = key.strip().partition(".")
            if not separator or stage not in stage_names():
                raise RecipeError(
                    f"Unknown setting {shown(key)}; write STAGE.SETTING=VALUE with a stage of {', '.join(stage_names())}."
                    + self._nearest(key.strip())
                )
            hints = typing.get_type_hints(type(getattr(self, stage)))
            if name not in hints:
                raise RecipeError(
                    f"Unknown setting {shown(key.strip())}; {stage} has {', '.join(hints)}."
                    + self._nearest(key.strip())
                )
            changes.setdefault(stage, {})[name] = parse_setting(text.strip(), hints[name], key.strip())
        return replace(self, **{stage: replace(getattr(self, stage), **values) for stage, values in changes.items()})

    def _nearest(self, key: str) -> str:
        """The setting that may have been meant, as a question: of any stage if that was left out or mistaken."""
        every = [f"{stage}.{name}" for stage, values in self.settings().items() for name in values]
        stage, _, name = key.rpartition(".")
        same_name = [each for each in every if each.split(".")[1] == name and not stage]
        return did_you_mean(key, every) if not same_name else f" Did you mean {' or '.join(map(repr, same_name))}?"

    def to_json(self) -> dict[str, Any]:
        """The whole recipe, JSON-ready; `from_json` reads it back."""
        return {"name": self.name, "summary": self.summary, "settings": self.settings(),
                "supervision": dict(self.supervision)}  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """Inverse of `to_json`. Raises `RecipeError` naming what is missing, unknown or of the wrong type."""
        data = _object("a recipe", data)
        if unknown := [key for key in data if key not in _KEYS]:
            raise RecipeError(f"Unknown key {shown(unknown[0])}; a recipe has {', '.join(_KEYS)}.")
        if "name" not in data:
            raise RecipeError("A recipe needs a name, but this one has none.")
        settings = _object("settings", data.get("settings", {}))
        supervision = tuple(_object("supervision", data.get("supervision", {})).items())
        stages = {stage: _stage(stage, values) for stage, values in settings.items()}
        return cls(name=data["name"], summary=data.get("summary", ""), supervision=supervision, **stages)

    def differences(self, other: Recipe) -> list[str]:
        """``stage.setting: ours != theirs`` for every setting that differs and is no path or Hub id."""
        mine, theirs = self.deciding_settings(), other.deciding_settings()
        return [
            f"{stage}.{name}: {value!r} != {theirs[stage].get(name)!r}"
            for stage, values in mine.items()
            for name, value in values.items()
            if value != theirs[stage].get(name)
        ]


def stage_names() -> tuple[str, ...]:
    """Names of the settings groups of a `Recipe`, in the order the data takes."""
    return tuple(f.name for f in fields(Recipe) if f.name not in ("name", "summary", "supervision"))


def _stage(stage: str, values: Any) -> Any:
    """The settings of a stage from JSON, in which tuples are lists."""
    if stage not in stage_names():
        raise RecipeError(f"Unknown stage {shown(stage)} in the recipe; stages are {', '.join(stage_names())}.")
    kind = typing.get_type_hints(Recipe)[stage]
    known = {declared.name for declared in fields(kind)}
    if unknown := sorted(set(_object(f"settings.{stage}", values)) - known):
        name = unknown[0] if unknown[0].isidentifier() else shown(unknown[0])
        raise RecipeError(f"Unknown setting {stage}.{name}; {stage} has {', '.join(sorted(known))}.")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _object(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError(f"Expected {what} to be an object, {{…}}, but got {shown(value)}.")
    return value


def _absolute(reference: str) -> str:
    try:
        path = Path(reference).expanduser()
        return str(path.resolve()) if path.exists() else reference
    except (OSError, RuntimeError, ValueError):  # no path at all: too long, or of a user who does not exist
        return reference
