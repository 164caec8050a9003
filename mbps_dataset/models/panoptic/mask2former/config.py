"""Every size, weight and threshold of a Mask2Former; the defaults are the published ones with Swin-T."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.classes import require_classes
from mbps_dataset.models.panoptic.mask2former.backbones import backbone_configuration
from mbps_dataset.settings import Settings, setting


_PAPER = "Cheng et al., CVPR 2022, 4.1"
_GROUPS = 32  # of the pixel decoder's group normalisation


@dataclass(frozen=True)
class Mask2FormerPanopticConfig(Settings):
    """One network; raises `RecipeError` when it cannot be built.

    `backbone` is what transformers calls the backbone's configuration, with its ``model_type``; what it leaves out is
    transformers' default.
    """

    class_names: tuple[str, ...] = setting((), "all classes; the place of a name is its class id")
    thing_ids: tuple[int, ...] = setting((), "classes that are things", at_least=0)
    supervision: str = setting("unknown", "what the weights saw; travels into the label set")
    network: str = setting("mask2former", "which kind of panoptic network this is", choices=("mask2former",))
    backbone: dict[str, Any] = field(default_factory=lambda: {"model_type": "swin"})
    width: int = setting(256, "channels of the decoders", source=_PAPER, at_least=_GROUPS, at_most=65_536)
    heads: int = setting(8, "attention heads of the decoders", source=_PAPER, at_least=1, at_most=256)
    encoder_layers: int = setting(6, "of the pixel decoder", source=_PAPER, at_least=1, at_most=256)
    encoder_feedforward: int = setting(
        1024, "hidden channels of the pixel decoder's layers", source=_PAPER, at_least=1, at_most=65_536
    )
    decoder_layers: int = setting(9, "of the transformer decoder", source=_PAPER, at_least=1, at_most=256)
    decoder_feedforward: int = setting(
        2048, "hidden channels of the transformer decoder's layers", source=_PAPER, at_least=1, at_most=65_536
    )
    queries: int = setting(100, "segments that an image may have", source=_PAPER, at_least=1, at_most=10_000)
    class_weight: float = setting(2.0, "of the loss of classes", source=_PAPER, at_least=0)
    mask_weight: float = setting(5.0, "of the cross-entropy of masks", source=_PAPER, at_least=0)
    dice_weight: float = setting(5.0, "of the dice loss of masks", source=_PAPER, at_least=0)
    no_object_weight: float = setting(0.1, "of queries without a segment, in the loss of classes", source=_PAPER,
                                      at_least=0)  # fmt: skip
    unknown_share: float = setting(
        0.5, "share of a query's mask above which, if nothing is known there, having no segment is no fault", source="ours",
        at_least=0, at_most=1,
    )  # fmt: skip
    query_threshold: float = setting(
        0.8, "probability of its class that a query needs", source=_PAPER, at_least=0, at_most=1
    )
    overlap_threshold: float = setting(
        0.8, "share of its mask that a query must keep where masks overlap", source=_PAPER, at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_classes(self.class_names, self.thing_ids)
        for name, divisor in (("heads", self.heads), (str(_GROUPS), _GROUPS), ("4", 4)):
            if self.width % divisor:
                raise RecipeError(f"width must be a multiple of {name}, but is {self.width}.")
        backbone_configuration(self.backbone)
