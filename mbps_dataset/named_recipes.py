"""The recipes that have a name, and finding one by its name or file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbps_dataset.errors import RecipeError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.names import did_you_mean, shown
from mbps_dataset.recipe import Recipe
from mbps_dataset.semantics_settings import ClustersSettings, CrfSettings, NamingSettings, SemanticsSettings
from mbps_dataset.stage_settings import (
    CutsSettings,
    DepthSettings,
    FlowSettings,
    FusionSettings,
    InstancesSettings,
    MotionSettings,
    SaliencySettings,
    ThingsSettings,
)


DINOV2 = "self-supervised (DINOv2, LVD-142M); licence of the weights: Apache-2.0"
"""What every size of DINOv2 saw, with registers or without, and its licence, as its authors state."""
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

OPEN = Recipe(
    name="open",
    summary="your photographs with nothing gated: one download, DINOv2 (Apache-2.0); 80 clusters of its tokens, fitted on your "
    "images; things are what it attends to; depth by the demo's network; label-free throughout",
    semantics=SemanticsSettings(codes="tokens", backbone="facebook/dinov2-small"),
    clusters=ClustersSettings(method="kmeans", count=80),
    crf=CrfSettings(enabled=False),
    depth=DEMO.depth,
    saliency=SaliencySettings(short_side=322),
    things=ThingsSettings(n_things=16, otherwise="depth-split"),
    cuts=CutsSettings(weights=("facebook/dinov2-small",)),
    supervision=(
        ("semantic backbone", DINOV2),
        (
            "clusters",
            "none: tokens of the images themselves, centred, whitened and grouped by k-means; nothing is trained",
        ),
        DEMO.supervision[2],
        ("saliency backbone", DINOV2),
    ),
)

BY_GEOMETRY = {
    "flow and disparity": "none: OpenCV's DIS and SGBM have no weights",
    "moving objects": "none: geometry of flow and disparity; nothing is trained",
    "depth": "none: geometry of two eyes; see flow and disparity",
}
"""What the components saw in training that are no network."""
_STEREO_DEPTH = DepthSettings(method="stereo", max_depth=80.0)

DEMO_MOTION = replace(
    DEMO,
    name="demo-motion",
    summary="things are what moves by itself in rendered stereo video, depth is from two eyes; the demo's classes; no "
    "download, no GPU; label-free throughout",
    depth=_STEREO_DEPTH,
    things=ThingsSettings(method="motion"),
    instances=InstancesSettings(method="motion"),
    fusion=FusionSettings(unlabelled_things="void", moving_stuff="thing"),
    supervision=(*DEMO.supervision[:2], *BY_GEOMETRY.items()),
)

_PUBLISHED_SEMANTICS = (
    ("semantic backbone", "self-supervised (DINOv2, LVD-142M)"),
    (
        "CAUSE head and cluster probe",
        "self-supervised by intent; the published training code lets ground-truth gradients of Cityscapes train reach "
        "the head used at inference (check yours with `mbps info --weights`)",
    ),
)
_PUBLISHED_DEPTH = (
    ("depth encoder", "ImageNet labels (ConvNeXtV2 fcmae_ft_in22k_in1k initialisation)"),
    ("depth network", "photometric consistency on Cityscapes video, as its authors state; not verifiable from code"),
)
_PUBLISHED_SALIENCY = (("saliency backbone", "self-supervised (DINOv3, LVD-1689M)"),)

MBPS = Recipe(
    name="mbps",
    summary="the report's stage 1: CAUSE-TR + DenseCRF, SPIdepth, depth-gradient instances; 27 clusters → 19 classes",
    naming=NamingSettings(method="hungarian"),
    supervision=_PUBLISHED_SEMANTICS + _PUBLISHED_DEPTH + _PUBLISHED_SALIENCY,
)


def _over_clustered(count: int) -> Recipe:
    """Things are those of Cityscapes, so no saliency network runs, and none is told of."""
    return replace(
        MBPS,
        name=f"mbps-k{count}",
        summary=f"{count} k-means clusters on CAUSE codes, named by majority vote; tau 0.20, A_min 1000",
        clusters=ClustersSettings(method="kmeans", count=count),
        crf=CrfSettings(enabled=False),
        naming=NamingSettings(method="majority"),
        things=ThingsSettings(method="cityscapes"),
        instances=InstancesSettings(grad_threshold=0.20, min_area=1000),
        supervision=_PUBLISHED_SEMANTICS + _PUBLISHED_DEPTH,
    )


K80 = _over_clustered(80)

K80_DEPTHPRO = replace(
    K80,
    name="mbps-k80-depthpro",
    summary="mbps-k80 with DepthPro depth (supervised), tau 0.01, no smoothing; the best public stage-1 variant",
    depth=DepthSettings(
        method="transformers", weights="apple/DepthPro-hf", height=1536, width=1536, flip="none", max_depth=80.0
    ),
    instances=replace(K80.instances, grad_threshold=0.01, sigma=0.0),
    supervision=(*_PUBLISHED_SEMANTICS, ("depth", "supervised: real and synthetic depth maps of many data sets")),
)

MOTION = replace(
    DEMO_MOTION,
    name="motion",
    summary="from stereo video, ours: CAUSE-TR + DenseCRF classes, things are what moves by itself, depth from two eyes; 27 "
    "clusters without names; label-free but for what the CAUSE weights saw",
    semantics=SemanticsSettings(),
    cuts=CutsSettings(),
    saliency=SaliencySettings(),
    supervision=(*_PUBLISHED_SEMANTICS, *BY_GEOMETRY.items()),
)

CUPS = Recipe(
    name="cups",
    summary="from stereo video, stage 1 of CUPS as its code has it: DepthG classes of windows weighed by depth, SMURF flow, "
    "SF2SE3 objects of eight runs, psi 0.08; 27 clusters without names; label-free",
    semantics=SemanticsSettings(
        method="depthg", short_side=640, crop=320, stride=160, flip=False, windows="depth", invalid_alpha=1.0
    ),
    clusters=ClustersSettings(alpha=2.0, temperature=1.0),
    crf=CrfSettings(truncate=True),
    flow=FlowSettings(method="raft", short_side=640),
    depth=DepthSettings(method="stereo", max_depth=80.0, confirmed=False),
    motion=MotionSettings(
        method="rigid",
        geometry="reference",
        runs=8,
        connectivity=8,
        agreement=0.8,
        nearest_m=5.5,
        farthest_m=70.0,
        top=0.05,
        bottom=0.2,
        sides=96 / 2048,
    ),
    things=ThingsSettings(method="motion", psi=0.08, psi_of="share"),
    instances=InstancesSettings(method="motion", short_side=640),
    fusion=FusionSettings(min_stuff_area=0, min_instance_area=0, order="evaluator", unlabelled_things="keep"),
    supervision=(
        ("semantic backbone", "self-supervised (DINO, ImageNet images without their labels)"),
        (
            "DepthG head and cluster probe",
            "self-supervised: correspondences of DINO's features and depth of unlabelled stereo video, as its authors state",
        ),
        ("flow network", "self-supervised optical flow on unlabelled video (SMURF); no labels"),
        *((part, BY_GEOMETRY[part]) for part in ("moving objects", "depth")),
    ),
)
"""Numbers of Cityscapes; for KITTI see docs/stereo-video.md. The labels that CUPS publishes have 640x1280 pixels, these the
images' size."""

RECIPES: dict[str, Recipe] = {
    r.name: r for r in (DEMO, OPEN, MBPS, K80, _over_clustered(100), K80_DEPTHPRO, DEMO_MOTION, MOTION, CUPS)
}


_MOST_BYTES = 1_000_000
"""Size of a recipe file; the recipes here have 4,000 bytes."""


def get_recipe(name_or_path: str) -> Recipe:
    """A named recipe, or one read from a JSON file written by `Recipe.to_json`.

    Raises `RecipeError` naming the known recipes, or the file and what is wrong with it.
    """
    if name_or_path in RECIPES:
        return RECIPES[name_or_path]
    if not name_or_path.lower().endswith(".json"):
        raise RecipeError(
            f"Unknown recipe {shown(name_or_path)}; known are {', '.join(RECIPES)}, or a path to a recipe .json."
            + did_you_mean(name_or_path, RECIPES)
        )
    how = "write one with `mbps info --recipe NAME --json`."
    place = name_or_path if name_or_path.isprintable() else shown(name_or_path)
    try:
        return Recipe.from_json(read_json(Path(name_or_path).expanduser(), most_bytes=_MOST_BYTES))
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from None
    except FileNotFoundError:
        raise RecipeError(
            f"{place}: there is no such recipe file; {how} Known names are {', '.join(RECIPES)}."
        ) from None
    except OSError as error:
        raise RecipeError(f"{place}: cannot be read ({error.strerror or error}); {how}") from None
    except (ValueError, RuntimeError) as error:  # RuntimeError: a home folder of a user who does not exist
        raise RecipeError(f"{place}: not a recipe ({error}); {how}") from None
