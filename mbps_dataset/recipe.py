"""What a label set is made from: one frozen dataclass per stage, the named recipes, and their digest.

Every setting is declared once, in its field: default, unit, range and source. Validation, ``--set``, ``--dry-run`` and
the table in the README are derived from these fields. The defaults are those of the report's headline run; where the
code that produced that run differs from the report's text, the code was followed and the field says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import parse_setting, setting, validate


@dataclass(frozen=True)
class SemanticsSettings:
    """CAUSE-TR codes on a frozen backbone (report 2.1; windows as in the reference code)."""

    weights: str | None = setting(None, "CAUSE weights: a folder, a Hub id, or 'builtin' for the demo network")
    short_side: int = setting(322, "pixels of the shorter image side fed to the network", at_least=14)
    crop: int = setting(322, "side of a square window in pixels; a multiple of the patch size", at_least=14)
    stride: int = setting(161, "pixels between windows", at_least=1)
    flip: bool = setting(True, "average the codes of each window and of its mirror image")
    scales: tuple[float, ...] = setting(
        (1.0,), "sizes of the image, relative to short_side, over which scores are averaged; published: 0.75, 1, 1.5",
        at_least=0.1, at_most=8,
    )  # fmt: skip


@dataclass(frozen=True)
class ClustersSettings:
    """From codes to pseudo-classes: the cluster probe, or k-means centroids (over-clustering)."""

    method: str = setting("probe", "what scores the codes", choices=("probe", "kmeans", "centroids"))
    count: int = setting(27, "pseudo-classes; for 'probe' it must be the size of the probe", at_least=2, at_most=4096)
    alpha: float = setting(3.0, "sharpness of log_softmax(alpha * cosine) per window", at_least=0)
    temperature: float = setting(
        3.0, "sharpness of the softmax before the CRF; the code applies alpha twice, the report once (1.0)", at_least=0
    )
    centroids: str | None = setting(None, "for 'centroids': an .npz with `centroids` [k, C]")
    seed: int = setting(0, "seed of k-means", at_least=0)
    restarts: int = setting(3, "k-means++ restarts; the best inertia wins", at_least=1)


@dataclass(frozen=True)
class CrfSettings:
    """DenseCRF at window resolution (report 2.1 and Table 8)."""

    enabled: bool = setting(True, "refine the pseudo-class probabilities with DenseCRF")
    gaussian_sxy: float = setting(1.0, "standard deviation of the smoothness term, pixels", at_least=0.01)
    gaussian_compat: float = setting(3.0, "weight of the smoothness term", at_least=0)
    bilateral_sxy: float = setting(67.0, "spatial standard deviation of the appearance term, pixels", at_least=0.01)
    bilateral_srgb: float = setting(3.0, "colour standard deviation of the appearance term, 0-255", at_least=0.01)
    bilateral_compat: float = setting(4.0, "weight of the appearance term", at_least=0)
    iterations: int = setting(10, "mean-field iterations", at_least=0)
    channel_order: str = setting("bgr", "order fed to the lattice; the reference feeds BGR", choices=("bgr", "rgb"))
    backend: str = setting("torch", "who filters", choices=("torch", "pydensecrf"))


@dataclass(frozen=True)
class NamingSettings:
    """Names for pseudo-classes. Anything but 'none' uses ground truth, and the label set's card says so."""

    method: str = setting("none", "how clusters get names", choices=("none", "hungarian", "majority", "file"))
    file: str | None = setting(None, "for 'file': .npz or .json with `cluster_to_class`, train ids 0-18 or 255")


@dataclass(frozen=True)
class DepthSettings:
    """SPIdepth (report 2.2; sizes and flip as in the reference code)."""

    method: str = setting("spidepth", "where depth comes from", choices=("spidepth", "transformers", "files"))
    weights: str | None = setting(None, "SPIdepth weights: a folder, a Hub id, or 'builtin' for the demo network")
    height: int = setting(320, "network input height in pixels", at_least=32)
    width: int = setting(1024, "network input width in pixels", at_least=32)
    flip: str = setting("mean", "test-time flip", choices=("mean", "ramp", "none"))
    ego_crop: float = setting(0.0, "share of the image bottom left out, as in training", at_least=0, at_most=0.5)
    inverse: bool = setting(False, "cut instances on inverse depth instead of depth")
    files: str | None = setting(None, "for 'files': the folder of depth files, found by image id")
    files_kind: str = setting("npy", "for 'files': their format", choices=("npy", "png", "cityscapes", "kitti", "pfm"))
    files_scale: float = setting(1.0, "for 'files' of kind 'png': units per step", at_least=0)


@dataclass(frozen=True)
class SaliencySettings:
    """CLS-to-patch attention of a DINOv3 ViT (report 2.4)."""

    weights: str | None = setting(None, "DINOv3 ViT weights: a folder, a Hub id, or 'builtin' for the demo network")
    short_side: int = setting(512, "pixels of the shorter image side fed to the network", at_least=16)
    variant: str = setting(
        "reference",
        "'reference' is pre-RoPE attention over patches, as published",
        choices=("reference", "true", "full"),
    )


@dataclass(frozen=True)
class ThingsSettings:
    """Which classes are things (report 2.4)."""

    method: str = setting(
        "attention",
        "how things are told from stuff",
        choices=("attention", "depth-split", "cityscapes", "all", "none", "random", "fixed"),
    )
    n_things: int = setting(6, "classes called things; the report says 6, its code's default is 8", at_least=0)
    max_coverage: float = setting(0.10, "classes covering more of their images are stuff", at_least=0, at_most=1)
    ids: tuple[int, ...] = setting((), "for 'fixed': the class ids", at_least=0)
    seed: int = setting(0, "for 'random'", at_least=0)


@dataclass(frozen=True)
class InstancesSettings:
    """What makes instances: depth gradients (report 2.3, Table 5), or a method it is compared with (Table 6)."""

    method: str = setting(
        "depth-gradient",
        "what makes instances; the cuts and detections have settings of their own",
        choices=(
            "depth-gradient",
            "watershed",
            "connected-components",
            "maskcut",
            "tokencut",
            "votecut",
            "detections",
        ),
    )
    short_side: int = setting(512, "pixels of the shorter side at which instances are cut", at_least=64)
    grad_threshold: float = setting(0.10, "tau on |grad D| (Sobel, depth in [0, 1])", at_least=0)
    min_area: int = setting(500, "A_min: pixels of a component before dilation, at short_side", at_least=0)
    sigma: float = setting(1.0, "Gaussian smoothing of depth, pixels", at_least=0)
    dilation: int = setting(3, "iterations of the 4-neighbour dilation that takes edge pixels back", at_least=0)
    merge: bool = setting(False, "join neighbouring instances of a class at similar depth; not in the headline run")
    max_depth_gap: float = setting(0.05, "mean normalised depth difference below which neighbours merge", at_least=0)
    merge_min_area: int = setting(50, "pixels below which a merged instance is dropped", at_least=0)
    fallback: str = setting(
        "none",
        "what fills thing pixels that the method left, at score 0.1: the report's hybrid rows",
        choices=("none", "connected-components"),
    )
    fallback_min_area: int = setting(10, "pixels below which such a component is left out", at_least=0)


CUT_METHODS = ("maskcut", "tokencut", "votecut")
"""Instance methods that cut patch features; they need networks of their own."""


@dataclass(frozen=True)
class CutsSettings:
    """Normalised cuts of patch features, for the instance methods maskcut, tokencut and votecut."""

    weights: tuple[str, ...] = setting(
        (),
        "networks of the features: folders or Hub ids of transformers ViTs, 'builtin-semantics', 'builtin-saliency'; "
        "maskcut and tokencut take the first, votecut all",
    )
    features: str = setting(
        "published",
        "what is cut; 'published' is the last tokens of DINOv2 networks and the last keys of others",
        choices=("published", "keys", "tokens"),
    )
    size: int = setting(480, "pixels to which the image is squeezed, both sides", at_least=64)
    keep_aspect: bool = setting(False, "size is the shorter side and the aspect stays; not in the publications")
    threshold: float | None = setting(
        None, "tau on the cosine; none is the published 0.15, 0.2 for tokencut", at_least=-1, at_most=1
    )
    masks: int | None = setting(
        None, "N, masks at most; none is the published 3 (maskcut) or 10 (votecut)", at_least=1
    )
    tiles: tuple[int, ...] = setting(
        (1, 1), "for maskcut: rows, columns of parts cut on their own; not in the publications", at_least=1
    )
    crf: bool = setting(True, "refine each mask with a two-label DenseCRF, as published")


@dataclass(frozen=True)
class DetectionsSettings:
    """Masks that somebody's detector made, for the instance method detections (CutLER, CuVLER, detectron2, SAM …)."""

    files: tuple[str, ...] = setting((), "COCO result or annotation .json, or folders of .npz or 16-bit .png; joined")
    names: str | None = setting(None, "COCO image list .json that turns a result file's image numbers into names")
    min_score: float = setting(0.0, "least score of a mask; the report takes 0.35", at_least=0, at_most=1)
    min_area: int = setting(0, "least pixels of a mask", at_least=0)
    max_iou: float = setting(
        1.0, "of two masks that overlap by more the lower-scored goes; the report joins at 0.3; 1 = keep all",
        at_least=0, at_most=1,
    )  # fmt: skip


@dataclass(frozen=True)
class FusionSettings:
    """Panoptic fusion (report 2.5)."""

    min_stuff_area: int = setting(64, "pixels below which a stuff segment becomes void", at_least=0)
    min_instance_area: int = setting(10, "pixels below which an instance becomes void", at_least=0)
    order: str = setting(
        "report",
        "who wins an overlap: 'report' high scores, and components fill what is left; the two evaluators of the "
        "reference code paint stuff first: 'evaluator' then as given, 'overwrite' then each over those before",
        choices=("report", "evaluator", "overwrite"),
    )


@dataclass(frozen=True)
class CalibrationSettings:
    """Numbers over the whole set."""

    max_images: int = setting(500, "images used, evenly spaced over the calibration split; 0 = all", at_least=0)


@dataclass(frozen=True)
class OutputSettings:
    """What the columns hold."""

    size: str = setting(
        "image", "label maps at image size, or at the working size of instances", choices=("image", "working")
    )
    with_images: bool = setting(True, "put the original image files in the `image` column")
    rows_per_shard: int = setting(64, "rows of one Parquet file", at_least=1)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the labels, and nothing else.

    `supervision` names for every component what it saw in training; it is copied into ``labelset.json`` and the card.
    """

    name: str
    summary: str = ""
    semantics: SemanticsSettings = SemanticsSettings()
    clusters: ClustersSettings = ClustersSettings()
    crf: CrfSettings = CrfSettings()
    naming: NamingSettings = NamingSettings()
    depth: DepthSettings = DepthSettings()
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
        for stage in stage_names():
            validate(getattr(self, stage), prefix=f"{stage}.")
        if self.semantics.stride > self.semantics.crop:
            raise RecipeError("semantics.stride must not exceed semantics.crop, or pixels are left out.")
        if not self.semantics.scales:
            raise RecipeError("semantics.scales must name at least one size; 1.0 is the image at short_side.")
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
        if len(self.cuts.tiles) != 2:
            raise RecipeError(f"cuts.tiles must be two numbers, rows and columns, but is {self.cuts.tiles!r}.")

    def digest(self) -> str:
        """SHA-256 (hex) of the resolved settings; the name and the summary do not enter."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()

    def settings(self) -> dict[str, dict[str, Any]]:
        """``{stage: {setting: value}}``, JSON-ready."""
        as_dict = dataclasses.asdict(self)
        return {stage: as_dict[stage] for stage in stage_names()}

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
                    f"Unknown setting {key!r}; write STAGE.SETTING=VALUE with a stage of {', '.join(stage_names())}."
                )
            hints = typing.get_type_hints(type(getattr(self, stage)))
            if name not in hints:
                raise RecipeError(f"Unknown setting {key.strip()!r}; {stage} has {', '.join(hints)}.")
            changes.setdefault(stage, {})[name] = parse_setting(text.strip(), hints[name], key.strip())
        return replace(self, **{stage: replace(getattr(self, stage), **values) for stage, values in changes.items()})

    def to_json(self) -> dict[str, Any]:
        """The whole recipe, JSON-ready; `from_json` reads it back."""
        return {"name": self.name, "summary": self.summary, "settings": self.settings(),
                "supervision": dict(self.supervision)}  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        """Inverse of `to_json`; unknown stages and settings raise `RecipeError`."""
        hints = typing.get_type_hints(cls)
        stages: dict[str, Any] = {}
        for stage, values in data.get("settings", {}).items():
            if stage not in stage_names():
                raise RecipeError(f"Unknown stage {stage!r} in the recipe; stages are {', '.join(stage_names())}.")
            known = {f.name for f in fields(hints[stage])}
            if unknown := sorted(set(values) - known):
                raise RecipeError(f"Unknown setting {stage}.{unknown[0]}; {stage} has {', '.join(sorted(known))}.")
            stages[stage] = hints[stage](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        supervision = tuple(data.get("supervision", {}).items())
        return cls(name=data["name"], summary=data.get("summary", ""), supervision=supervision, **stages)

    def differences(self, other: Recipe) -> list[str]:
        """``stage.setting: ours != theirs`` for every setting that differs."""
        mine, theirs = self.settings(), other.settings()
        return [
            f"{stage}.{name}: {value!r} != {theirs[stage].get(name)!r}"
            for stage, values in mine.items()
            for name, value in values.items()
            if value != theirs[stage].get(name)
        ]


def stage_names() -> tuple[str, ...]:
    """Names of the settings groups of a `Recipe`, in the order the data takes."""
    return tuple(f.name for f in fields(Recipe) if f.name not in ("name", "summary", "supervision"))


_SCENES_ONLY = "self-supervised on rendered street scenes only; no label, depth or instance map entered training"

DEMO = Recipe(
    name="demo",
    summary="tiny networks shipped with the package; no download, no GPU; label-free throughout",
    semantics=SemanticsSettings(weights="builtin"),
    depth=DepthSettings(weights="builtin", height=256, width=512),
    saliency=SaliencySettings(weights="builtin"),
    cuts=CutsSettings(weights=("builtin-semantics", "builtin-saliency")),
    supervision=(
        ("semantic backbone", _SCENES_ONLY),
        ("CAUSE head and cluster probe", _SCENES_ONLY),
        ("depth network", "photometric consistency on rendered sequences only; no depth map entered training"),
        ("saliency backbone", _SCENES_ONLY),
    ),
)

_PUBLISHED = (
    ("semantic backbone", "self-supervised (DINOv2, LVD-142M)"),
    (
        "CAUSE head and cluster probe",
        "self-supervised by intent; the published training code lets ground-truth gradients of Cityscapes train reach "
        "the head used at inference (check yours with `mbps info --weights`)",
    ),
    ("depth encoder", "ImageNet labels (ConvNeXtV2 fcmae_ft_in22k_in1k initialisation)"),
    ("depth network", "photometric consistency on Cityscapes video, as its authors state; not verifiable from code"),
    ("saliency backbone", "self-supervised (DINOv3, LVD-1689M)"),
)

MBPS = Recipe(
    name="mbps",
    summary="the report's stage 1: CAUSE-TR + DenseCRF, SPIdepth, depth-gradient instances; 27 clusters → 19 classes",
    naming=NamingSettings(method="hungarian"),
    supervision=_PUBLISHED,
)


def _over_clustered(count: int) -> Recipe:
    return replace(
        MBPS,
        name=f"mbps-k{count}",
        summary=f"{count} k-means clusters on CAUSE codes, named by majority vote; tau 0.20, A_min 1000",
        clusters=ClustersSettings(method="kmeans", count=count),
        crf=CrfSettings(enabled=False),
        naming=NamingSettings(method="majority"),
        things=ThingsSettings(method="cityscapes"),
        instances=InstancesSettings(grad_threshold=0.20, min_area=1000),
    )


K80 = _over_clustered(80)

K80_DEPTHPRO = replace(
    K80,
    name="mbps-k80-depthpro",
    summary="mbps-k80 with DepthPro depth (supervised), tau 0.01, no smoothing; the best public stage-1 variant",
    depth=DepthSettings(method="transformers", weights="apple/DepthPro-hf", height=1536, width=1536, flip="none"),
    instances=replace(K80.instances, grad_threshold=0.01, sigma=0.0),
)

RECIPES: dict[str, Recipe] = {r.name: r for r in (DEMO, MBPS, K80, _over_clustered(100), K80_DEPTHPRO)}


def get_recipe(name_or_path: str) -> Recipe:
    """A named recipe, or one read from a JSON file written by `Recipe.to_json`.

    Raises `RecipeError` naming the known recipes.
    """
    if name_or_path in RECIPES:
        return RECIPES[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".json" and path.is_file():
        try:
            return Recipe.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RecipeError(
                f"{path}: not a recipe ({error}); write one with `mbps info --recipe NAME --json`."
            ) from None
    raise RecipeError(f"Unknown recipe {name_or_path!r}; known are {', '.join(RECIPES)}, or a path to a recipe .json.")
