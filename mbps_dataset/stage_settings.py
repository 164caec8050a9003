"""The settings of every stage: one frozen dataclass a stage, every setting declared once, in its field.

A field carries default, unit, range and source; validation, ``--set``, ``--dry-run`` and the lists of settings are
derived from these fields. The defaults are those of the report's headline run; where the code that produced that run
differs from the report's text, the code was followed and the field says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class DepthSettings(Settings, prefix="depth."):
    """SPIdepth (report 2.2; sizes and flip as in the reference code)."""

    method: str = setting(
        "spidepth",
        "where depth comes from; 'stereo' is metres from the disparity of flow.method, 0 where none was found",
        choices=("spidepth", "transformers", "files", "stereo"),
    )
    weights: str | None = setting(
        None, "SPIdepth weights: a folder, a Hub id, or 'builtin' for the demo network", locates=True
    )
    height: int = setting(320, "network input height in pixels", at_least=32, at_most=8192)
    width: int = setting(1024, "network input width in pixels", at_least=32, at_most=8192)
    flip: str = setting("mean", "test-time flip", choices=("mean", "ramp", "none"))
    ego_crop: float = setting(0.0, "share of the image bottom left out, as in training", at_least=0, at_most=0.5)
    inverse: bool = setting(False, "cut instances on inverse depth instead of depth")
    largest: str = setting(
        "auto",
        "largest depth of an image: its 'maximum', or its maximum 'without-strays' beyond twice the 98th percentile, which "
        "are clipped; 'auto' is the maximum for spidepth, as published, and without strays for others",
        choices=("auto", "maximum", "without-strays"),
    )
    max_depth: float | None = setting(
        None, "depth in units of its source to which larger is clipped, for instances and the column; none: no bound",
        at_least=1e-6, at_most=1e9,
    )  # fmt: skip
    confirmed: bool = setting(
        True, "for 'stereo': 0 where the right eye's disparity does not confirm the left one's; CUPS' code weighs windows by "
        "all of it",
    )  # fmt: skip
    files: str | None = setting(None, "for 'files': the folder of depth files, found by image id", locates=True)
    files_kind: str = setting("npy", "for 'files': their format", choices=("npy", "png", "cityscapes", "kitti", "pfm"))
    files_scale: float = setting(1.0, "for 'files' of kind 'png': units per step", at_least=0, at_most=1e6)


@dataclass(frozen=True)
class FlowSettings(Settings, prefix="flow."):
    """Optical flow to the next frame and back, and disparity between both eyes, for motion and stereo depth (CUPS 3.2)."""

    method: str = setting(
        "opencv",
        "who finds flow and disparity: 'opencv' is DIS and SGBM, which have no weights",
        choices=("opencv", "raft", "files"),
    )
    weights: str | None = setting(
        None, "for 'raft': RAFT or SMURF weights, a folder or a Hub id (`mbps convert smurf`)", locates=True
    )
    short_side: int | None = setting(
        None,
        "pixels of the shorter image side at which flow, disparity and moving objects are found; none is the image's; "
        "CUPS takes 640 of Cityscapes' 1024", at_least=64, at_most=8192,
    )  # fmt: skip
    check: bool = setting(
        True, "find no motion, with a reason, where images are black, swapped, not rectified or not consecutive"
    )
    preset: Literal["ultrafast", "fast", "medium", "fine"] = setting(
        "fine",
        "for 'opencv': preset of DIS; 'fine' is medium carried on to whole pixels, ours",
        choices=("ultrafast", "fast", "medium", "fine"),
    )
    most_disparity: int = setting(
        128,
        "for 'opencv': largest disparity in pixels that is looked for, a multiple of 16",
        at_least=16,
        at_most=4096,
    )
    block: int = setting(5, "for 'opencv': side of what SGBM compares in pixels, odd", at_least=1, at_most=51)
    forward: str | None = setting(None, "for 'files': folder of flow to the next frame, by image id", locates=True)
    backward: str | None = setting(
        None, "for 'files': folder of flow to the frame before, by the id of the later image", locates=True
    )
    disparity: str | None = setting(None, "for 'files': folder of the left eye's disparity", locates=True)
    right_disparity: str | None = setting(
        None, "for 'files': folder of the right eye's disparity, by the left image's id", locates=True
    )
    kind: str = setting("kitti", "for 'files': format of flow", choices=("kitti", "flo", "pfm", "npy"))
    disparity_kind: str = setting(
        "kitti", "for 'files': format of disparity", choices=("kitti", "cityscapes", "pfm", "npy")
    )


@dataclass(frozen=True)
class MotionSettings(Settings, prefix="motion."):
    """Objects that move by themselves, for the instance method and the thing rule of that name (CUPS 3.2; our own way)."""

    method: str = setting(
        "independent",
        "'independent' is what the camera's own motion does not explain, ours; 'rigid' is SF2SE3 in an ensemble of runs, "
        "as CUPS",
        choices=("independent", "rigid"),
    )
    geometry: Literal["exact", "reference"] = setting(
        "exact",
        "'exact' geometry, or with every quirk of CUPS' published code, the 'reference'",
        choices=("exact", "reference"),
    )
    seed: int = setting(0, "seed of what is drawn at random", at_least=0)
    runs: int = setting(8, "for 'rigid': runs whose agreement counts; published 8", at_least=1, at_most=100)
    connectivity: int = setting(
        8, "for 'rigid': 8 if pixels that touch at a corner are one region, as in the published labels, else 4",
        at_least=4, at_most=8,
    )  # fmt: skip
    agreement: float = setting(0.8, "for 'rigid': share of the runs that must agree; published 0.8", at_least=0)
    least_motion_px: float | None = setting(
        None, "pixels that an object must move against the background; none is 1.5, or 1 for 'rigid'", at_least=0
    )
    least_object_px: int | None = setting(
        None, "least pixels of an object; none is 400, or the published 64 for 'rigid'", at_least=1
    )
    nearest_m: float = setting(5.5, "metres below which no motion is looked for; published 5.5", at_least=0)
    farthest_m: float = setting(70.0, "metres above which no motion is looked for; published 70", at_least=0)
    top: float = setting(
        0.0, "share of the rows left out at the top; published 0.05 of Cityscapes", at_least=0, at_most=0.5
    )
    bottom: float = setting(
        0.0, "share of the rows left out at the bottom, the own bonnet; published 0.2 of Cityscapes", at_least=0,
        at_most=0.5,
    )  # fmt: skip
    sides: float = setting(
        0.0, "share of the columns left out on each side; published 96 of Cityscapes' 2048", at_least=0, at_most=0.45
    )


@dataclass(frozen=True)
class SaliencySettings(Settings, prefix="saliency."):
    """CLS-to-patch attention of a DINOv3 ViT (report 2.4)."""

    weights: str | None = setting(
        None, "DINOv3 ViT weights: a folder, a Hub id, or 'builtin' for the demo network", locates=True
    )
    short_side: int = setting(512, "pixels of the shorter image side fed to the network", at_least=16, at_most=8192)
    variant: str = setting(
        "reference",
        "'reference' is pre-RoPE attention over patches, as published",
        choices=("reference", "true", "full"),
    )


@dataclass(frozen=True)
class ThingsSettings(Settings, prefix="things."):
    """Which classes are things (report 2.4)."""

    method: str = setting(
        "attention",
        "how things are told from stuff",
        choices=("attention", "depth-split", "motion", "cityscapes", "all", "none", "random", "fixed"),
    )
    otherwise: Literal["attention", "depth-split", "none"] = setting(
        "attention",
        "for 'attention': what decides where it ranks classes no better than chance, which the calibration says either way",
        choices=("attention", "depth-split", "none"),
    )
    n_things: int = setting(6, "classes called things; the report says 6, its code's default is 8", at_least=0)
    max_coverage: float = setting(0.10, "classes covering more of their images are stuff", at_least=0, at_most=1)
    ids: tuple[int, ...] = setting((), "for 'fixed': the class ids", at_least=0)
    seed: int = setting(0, "for 'random'", at_least=0)
    psi: float = setting(
        0.08, "for 'motion': a class is a thing above this; CUPS' published value", at_least=0, at_most=1
    )
    psi_of: Literal["share", "ratio"] = setting(
        "share",
        "for 'motion': what is held against psi, with r the share of a class's pixels in moving objects: r's 'share' of the "
        "sum of r over all classes, as CUPS' code does, or the 'ratio' r itself, as its paper reads",
        choices=("share", "ratio"),
    )


@dataclass(frozen=True)
class InstancesSettings(Settings, prefix="instances."):
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
            "motion",
        ),
    )
    short_side: int = setting(512, "pixels of the shorter side at which instances are cut", at_least=64, at_most=8192)
    grad_threshold: float = setting(0.10, "tau on |grad D| (Sobel, depth in [0, 1])", at_least=0)
    min_area: int = setting(500, "A_min: pixels of a component before dilation, at short_side", at_least=0)
    sigma: float = setting(1.0, "Gaussian smoothing of depth, pixels", at_least=0, at_most=1000)
    dilation: int = setting(
        3, "iterations of the 4-neighbour dilation that takes edge pixels back", at_least=0, at_most=1000
    )
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
class CutsSettings(Settings, prefix="cuts."):
    """Normalised cuts of patch features, for the instance methods maskcut, tokencut and votecut."""

    weights: tuple[str, ...] = setting(
        (),
        "networks of the features: folders or Hub ids of transformers ViTs, 'builtin-semantics', 'builtin-saliency'; "
        "maskcut and tokencut take the first, votecut all",
        locates=True,
    )
    features: str = setting(
        "published",
        "what is cut; 'published' is the last tokens of DINOv2 networks and the last keys of others",
        choices=("published", "keys", "tokens"),
    )
    size: int = setting(480, "pixels to which the image is squeezed, both sides", at_least=64, at_most=8192)
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
class DetectionsSettings(Settings, prefix="detections."):
    """Masks that somebody's detector made, for the instance method detections (CutLER, CuVLER, detectron2, SAM …)."""

    files: tuple[str, ...] = setting(
        (), "COCO result or annotation .json, or folders of .npz or 16-bit .png; joined", locates=True
    )
    names: str | None = setting(
        None, "COCO image list .json that turns a result file's image numbers into names", locates=True
    )
    min_score: float = setting(0.0, "least score of a mask; the report takes 0.35", at_least=0, at_most=1)
    min_area: int = setting(0, "least pixels of a mask", at_least=0)
    max_iou: float = setting(
        1.0, "of two masks that overlap by more the lower-scored goes; the report joins at 0.3; 1 = keep all",
        at_least=0, at_most=1,
    )  # fmt: skip


@dataclass(frozen=True)
class FusionSettings(Settings, prefix="fusion."):
    """Panoptic fusion (report 2.5)."""

    min_stuff_area: int = setting(64, "pixels below which a stuff segment becomes void", at_least=0)
    min_instance_area: int = setting(10, "pixels below which an instance becomes void", at_least=0)
    order: Literal["report", "evaluator", "overwrite"] = setting(
        "report",
        "who wins an overlap: 'report' high scores, and components fill what is left; the two evaluators of the "
        "reference code paint stuff first: 'evaluator' then as given, 'overwrite' then each over those before",
        choices=("report", "evaluator", "overwrite"),
    )
    unlabelled_things: Literal["keep", "void"] = setting(
        "keep",
        "pixels of thing classes that no instance holds: 'keep' their class and do as `order` says, or 'void' in all maps, "
        "which training ignores",
        choices=("keep", "void"),
    )
    align_objects: bool = setting(
        True,
        "for instances.method 'motion': a moving object takes the class of most of its pixels, in all maps; false leaves "
        "pixels their class, and an object is one instance for each thing class in it",
    )
    moving_stuff: Literal["keep", "thing"] = setting(
        "keep",
        "a moving object whose class is stuff: 'keep' that class, as CUPS, or make it an instance of the 'thing' class that most "
        "of its pixels have, void where none has one",
        choices=("keep", "thing"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moving_stuff == "thing" and not self.align_objects:
            raise RecipeError(
                "fusion.moving_stuff=thing is about objects of one class; set fusion.align_objects=true too."
            )


@dataclass(frozen=True)
class CalibrationSettings(Settings, prefix="calibration."):
    """Numbers over the whole set."""

    max_images: int = setting(500, "images used, evenly spaced over the calibration split; 0 = all", at_least=0)


@dataclass(frozen=True)
class OutputSettings(Settings, prefix="output."):
    """What the columns hold."""

    size: str = setting(
        "image", "label maps at image size, or at the working size of instances", choices=("image", "working")
    )
    with_images: bool = setting(True, "put the original image files in the `image` column")
    with_preview: bool = setting(
        True, "put a small picture of the labels, without the photo, in a last column `preview`, for the eye"
    )
    rows_per_shard: int = setting(64, "rows of one Parquet file", at_least=1)
