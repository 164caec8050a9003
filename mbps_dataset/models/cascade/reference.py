"""Published files of CUPS, U2Seg, CutLER and CuVLER: what their tensors are called, what belongs to them, what they saw.

* CUPS: a Lightning file whose tensors begin with ``model.``; after stage 3 also the teacher's, which begin with
  ``teacher_model.model.`` and are left aside ("cups-teacher" takes them). Only the first ``model.`` is taken off.
* U2Seg, CutLER, CuVLER: detectron2's files, names without a prefix.
* Left out: ``pixel_mean``, ``pixel_std`` and anchors, which old files of detectron2 hold; counters of batch norms may be missing.

Classes are counted from the tensors: things are rows of the mask predictor, stuff those of the semantic predictor less one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.checkpoints import StateDict, require_match, to_float32


Published = Literal["cups", "cups-teacher", "u2seg", "cutler", "cuvler"]

SUPERVISION: dict[str, str] = {
    "cups": "self-supervised: a DINO ResNet-50 (ImageNet without labels), then pseudo-labels of Cityscapes stereo video made from "
    "SMURF's flow and DepthG's clusters; no human labels",
    "u2seg": "self-supervised: a DINO ResNet-50, then masks of MaskCut and CutLER, clusters of them and STEGO's semantics on ImageNet "
    "and COCO images; no human labels",
    "cutler": "self-supervised: a DINO ResNet-50, then MaskCut's masks of DINO on ImageNet images and its own in later rounds; no "
    "human labels",
    "cuvler": "self-supervised: a DINO ResNet-50, then VoteCut's masks of DINO and DINOv2 on ImageNet images (self-trained "
    "files: its own on other images, too); no human labels",
}
"""What the published weights saw."""

LICENCES: dict[str, str] = {
    "cups": "Apache-2.0 as published; begun from a DINO ResNet-50 under CC BY-NC-SA 4.0",
    "u2seg": "Apache-2.0 with parts under CC BY-NC as published; begun from a DINO ResNet-50 under CC BY-NC-SA 4.0",
    "cutler": "CC BY-NC-SA 4.0: not for commercial use",
    "cuvler": "MIT as published; begun from a DINO ResNet-50 under CC BY-NC-SA 4.0",
}
"""Of the published weights."""

_CUTLER = {"short_side": 800, "longest_side": 1333, "box_score": 0.0, "merge_score": 0.35}
SETTINGS: dict[str, dict[str, Any]] = {
    "cups": {"drop_loss": "as-coded", "drop_loss_iou": 0.4, "boxes_hold_last_pixel": False},
    "u2seg": {"short_side": 800, "longest_side": 1333, "box_score": 0.05},
    "cutler": {**_CUTLER, "drop_loss": "as-coded", "drop_loss_iou": 0.01},
    "cuvler": {**_CUTLER, "drop_loss": "as-coded", "drop_loss_iou": 0.01},
}
"""What differs from `CascadeConfig`'s defaults; a detection of CutLER is shown from the score of its demo on, 0.35."""

FILES: dict[str, str] = {
    "cups": "cups.ckpt",
    "u2seg": "cocotrain_800_0089999.pth or that of 300 clusters",
    "cutler": "cutler_cascade_final.pth, _r1 or _r2",
    "cuvler": "model_cuvler_zero_shot.pth or one of its self-training",
}
"""What the published files are called."""

_DETECTORS = ("cutler", "cuvler")
_NAMED = {"cups": ("cups",), "u2seg": ("u2seg", "cocotrain"), "cutler": ("cutler",), "cuvler": ("cuvler",)}
_CLUSTERS_OF_U2SEG = (300, 800)
_STUDENT, _TEACHER = "model.", "teacher_model.model."
_OLD = re.compile(r"^(pixel_mean|pixel_std|proposal_generator\.anchor_generator\.cell_anchors\.\d+)$")
_SIZES = {
    "stem_channels": "backbone.bottom_up.stem.conv1.weight",
    "bottleneck_channels": "backbone.bottom_up.res2.0.conv1.weight",
    "pyramid_channels": "backbone.fpn_lateral2.weight",
    "box_channels": "roi_heads.box_head.0.fc1.weight",
    "mask_channels": "roi_heads.mask_head.mask_fcn1.weight",
    "semantic_channels": "sem_seg_head.p2.0.weight",
}
_THINGS, _SEMANTIC = "roi_heads.mask_head.predictor.bias", "sem_seg_head.predictor.bias"


def reference_state(
    state_dict: Mapping[str, Tensor],
    *,
    system: Published,
    class_names: tuple[str, ...] | None,
    supervision: str | None,
    source: str,
    expected: Callable[[CascadeConfig], dict[str, tuple[int, ...]]],
) -> tuple[StateDict, CascadeConfig]:
    """The network's tensors, float32, of a published file and the configuration that fits them.

    `expected` gives names and shapes of the tensors of a network of that configuration. Raises `WeightsError`.
    """
    tensors = _network_tensors(state_dict, system, source)
    name = system.removesuffix("-teacher")
    _require_cascade(tensors, source)
    _require_system(tensors, name, source, by_lightning=any(key.startswith(_STUDENT) for key in state_dict))
    things = tensors[_THINGS].shape[0]
    stuff = tensors[_SEMANTIC].shape[0] - 1 if _SEMANTIC in tensors else 0
    names = class_names or _numbered(name, stuff, things)
    if len(names) != stuff + things:
        raise WeightsError(
            f"{source} has {stuff} classes of stuff and {things} of things, but {len(names)} names are given; give "
            f"{stuff + things}, stuff first."
        )
    sizes: dict[str, Any] = {field: tensors[key].shape[0] for field, key in _SIZES.items() if key in tensors}
    try:
        config = CascadeConfig(
            class_names=names,
            thing_ids=tuple(range(stuff, stuff + things)),
            stage_blocks=_stage_blocks(tensors),
            supervision=supervision or SUPERVISION[name],
            licence=LICENCES[name],
            label_free=supervision is None,
            **sizes,
            **SETTINGS[name],
        )
    except RecipeError as error:
        raise WeightsError(f"{source} is no network that can be built: {error}") from error
    shapes = expected(config)
    for key in shapes:
        if key.endswith("num_batches_tracked"):  # a counter of training that plays no part afterwards
            tensors.setdefault(key, torch.zeros((), dtype=torch.int64))
    require_match(
        tensors, shapes, source=source, network=f"CascadeMaskRCNN as {system} publishes it",
        fits=f"that of the published file, {FILES[name]}",
    )  # fmt: skip
    return to_float32(tensors), config


def require_own_name(file: str, system: Published) -> None:
    """Raises `WeightsError` for a file that is named as those of another system are.

    CutLER's and CuVLER's hold tensors of the same names and shapes, and differ in what they saw and in their licence.
    """
    name, own = file.lower(), system.removesuffix("-teacher")
    others = [each for each, parts in _NAMED.items() if any(part in name for part in parts)]
    if others and own not in others:
        raise WeightsError(
            f"{file} is called as files of {others[0]} are, which saw other data under another licence; convert it as "
            f"`{others[0]}`. A file of {own}, such as {FILES[own]}, is to be renamed."
        )


def _network_tensors(state_dict: Mapping[str, Tensor], system: Published, source: str) -> StateDict:
    """Tensors of one network under its own names."""
    tensors = dict(state_dict)
    if system == "cups-teacher":
        tensors = {key.removeprefix(_TEACHER): one for key, one in tensors.items() if key.startswith(_TEACHER)}
        if not tensors:
            raise WeightsError(f"{source} holds no teacher, which files of CUPS' stage 3 do; convert it as `cups`.")
    elif any(key.startswith(_STUDENT) for key in tensors):
        tensors = {key.removeprefix(_STUDENT): one for key, one in tensors.items() if key.startswith(_STUDENT)}
    return {key: one for key, one in tensors.items() if not _OLD.match(key)}


def _require_cascade(tensors: StateDict, source: str) -> None:
    """Raises `WeightsError` saying what a file is if it is no Cascade Mask R-CNN."""
    if "roi_heads.box_head.fc1.weight" in tensors:
        raise WeightsError(
            f"{source} is a Mask R-CNN of one stage (cutler_mrcnn_final.pth is); the cascades can be read, for instance "
            "cutler_cascade_final.pth."
        )
    if _THINGS not in tensors:
        some = ", ".join(sorted(tensors)[:3]) or "none"
        raise WeightsError(
            f"{source} is no Cascade Mask R-CNN: it lacks {_THINGS}, and its tensors are {some}, …. Expected are cups.ckpt, "
            "cocotrain_800_0089999.pth of U2Seg, cutler_cascade_final.pth or model_cuvler_zero_shot.pth, whole."
        )


def _require_system(tensors: StateDict, name: str, source: str, *, by_lightning: bool) -> None:
    """Raises `WeightsError` saying whose file it is if it is not of the system that was named."""
    things = tensors[_THINGS].shape[0]
    fitting: tuple[str, ...]
    if _SEMANTIC not in tensors:
        if things != 1:
            raise WeightsError(
                f"{source} tells {things} classes apart and has no semantic head; CutLER's files of 80 classes (cutler_semi_…, "
                f"cutler_fully_…) are trained with human labels and not read. Take {FILES[name]}."
            )
        fitting, what = _DETECTORS, "is a detector: one class of things and no semantic head"
    elif by_lightning:
        fitting, what = ("cups",), "has a semantic head and tensors named model.…, as CUPS' files have"
    elif things in _CLUSTERS_OF_U2SEG:
        fitting, what = (
            ("u2seg",),
            f"has a semantic head and tells {things} clusters of things apart, as U2Seg's files do",
        )
    else:
        fitting, what = ("cups", "u2seg"), "has a semantic head"
    if name not in fitting:
        raise WeightsError(f"{source} {what}: convert it as `{'` or `'.join(fitting)}`, not as `{name}`.")


def _numbered(name: str, stuff: int, things: int) -> tuple[str, ...]:
    if name in _DETECTORS:
        return ("object",)
    return (*(f"stuff {number}" for number in range(stuff)), *(f"thing {number}" for number in range(things)))


def _stage_blocks(tensors: StateDict) -> tuple[int, ...]:
    """Blocks of the stages res2 to res5; at least one each, so that what is missing is told of by name."""
    found = [re.match(r"backbone\.bottom_up\.res([2-5])\.(\d{1,3})\.", key) for key in tensors]
    blocks = [(int(match[1]), int(match[2]) + 1) for match in found if match]
    return tuple(max((count for stage, count in blocks if stage == wanted), default=1) for wanted in range(2, 6))
