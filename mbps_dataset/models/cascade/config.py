"""Every size and setting of a Panoptic Cascade Mask R-CNN; the defaults are CUPS' (Hahn et al., CVPR 2025, and its code).

The classes are those of a label set. Things are told apart by the instance heads in the order of `thing_ids`; what is left is
stuff, channel 1, 2, … of the semantic head in the order of class ids, whose channel 0 is "any thing". A network without stuff is a
detector and has no semantic head.
"""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import Settings, setting


NORMS = ("batch", "frozen")
DROP_LOSSES = ("off", "as-coded", "all-boxes")
STUFF_19 = tuple(f"stuff {number}" for number in range(19))
THINGS_8 = tuple(f"thing {number}" for number in range(8))

_LARGEST = 65_536  # far beyond any published network; more only takes memory and time


@dataclass(frozen=True)
class CascadeConfig(Settings):
    """Sizes, preprocessing, thresholds and losses of one network; raises `RecipeError` when they cannot be."""

    class_names: tuple[str, ...] = STUFF_19 + THINGS_8  # place = class id in targets and predictions
    thing_ids: tuple[int, ...] = tuple(range(19, 27))  # ascending class ids
    network: str = setting("cascade", "which kind of panoptic network this is", choices=("cascade",))
    norm: str = setting("batch", "norm of backbone and pyramid; 'frozen' never changes", choices=NORMS)
    stem_channels: int = setting(64, "channels of the stem", at_least=1, at_most=_LARGEST)
    bottleneck_channels: int = setting(
        64, "inner channels of stage res2, doubled in every stage", at_least=1, at_most=8192
    )
    stage_blocks: tuple[int, ...] = setting((3, 4, 6, 3), "blocks of the stages res2 to res5", at_least=1, at_most=200)
    pyramid_channels: int = setting(256, "channels of the feature pyramid", at_least=1, at_most=_LARGEST)
    box_channels: int = setting(1024, "channels of the box heads", at_least=1, at_most=_LARGEST)
    mask_channels: int = setting(256, "channels of the mask head", at_least=1, at_most=_LARGEST)
    semantic_channels: int = setting(128, "channels of the semantic head, in 32 groups", at_least=32, at_most=_LARGEST)

    short_side: int = setting(
        0, "images are resized to this before the network; 0: not", unit="px", at_least=0, at_most=16384
    )
    longest_side: int = setting(1333, "at most, where they are resized", unit="px", at_least=1, at_most=16384)

    proposal_nms: float = setting(
        0.65, "IoU above which a proposal goes", source="CUPS, CutLER round 1", at_least=0, at_most=1
    )
    level_proposals_training: int = setting(2000, "best of each level, in training", at_least=1)
    level_proposals: int = setting(1000, "best of each level", at_least=1)
    proposals_training: int = setting(
        4000, "best of all levels, in training", source="CUPS, CutLER round 1", at_least=1
    )
    proposals: int = setting(1000, "best of all levels", at_least=1)
    box_score: float = setting(0.5, "a detection's score is above this", source="CUPS", at_least=0, at_most=1)
    box_nms: float = setting(0.5, "IoU above which a detection of the same class goes", at_least=0, at_most=1)
    detections: int = setting(100, "at most, per image", at_least=1)
    merge_score: float = setting(0.5, "least score of a segment", at_least=0, at_most=1)
    merge_overlap: float = setting(0.5, "share of a mask that may be taken already", at_least=0, at_most=1)
    stuff_area: int = setting(4096, "least area of a stuff segment", unit="px", at_least=0)

    drop_loss: str = setting("off", "which proposals' class loss is dropped; see `drop_weights`", choices=DROP_LOSSES)
    drop_loss_iou: float = setting(0.4, "IoU a proposal needs; CUPS 0.4, CutLER 0.01", at_least=0, at_most=1)
    semantic_loss_weight: float = setting(0.5, "factor of the semantic loss", at_least=0)
    boxes_hold_last_pixel: bool = setting(
        True, "whether a target's box ends behind its last pixel; CUPS: at its index"
    )

    supervision: str = "unknown"  # what the weights saw; travels into the label set
    licence: str = "unknown"  # of the weights
    label_free: bool = setting(False, "whether the weights are known to have seen no label of a person, as published")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stage_blocks) != 4:
            raise RecipeError(f"stage_blocks must be 4 numbers, but is {self.stage_blocks}.")
        ids = self.thing_ids
        if list(ids) != sorted(set(ids)) or not ids or ids[0] < 0 or ids[-1] >= len(self.class_names):
            raise RecipeError(
                f"thing_ids must be ascending class ids below {len(self.class_names)}, the number of class_names, "
                f"at least one, but is {ids}."
            )
        if len(self.class_names) > 65535:
            raise RecipeError(f"class_names must be at most 65535, but there are {len(self.class_names)}.")
        if self.semantic_channels % 32:
            raise RecipeError(f"semantic_channels must be a multiple of 32, but is {self.semantic_channels}.")

    @property
    def stuff_ids(self) -> tuple[int, ...]:
        """Class ids that are no things, ascending."""
        things = set(self.thing_ids)
        return tuple(number for number in range(len(self.class_names)) if number not in things)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels that the stages res2 to res5 give."""
        return tuple(4 * self.bottleneck_channels * 2**stage for stage in range(4))
