"""Every size, weight and threshold of a dense panoptic network."""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.classes import require_classes
from mbps_dataset.settings import Settings, setting


STRIDE = 4
"""Pixels of the image per cell of the network's maps."""

DEEPEST_STRIDE = 32
"""Pixels per cell of the deepest stage: images are padded to multiples of it."""

_PAPER = "Cheng et al., CVPR 2020, 4.1"


@dataclass(frozen=True)
class DenseConfig(Settings):
    """One network; raises `RecipeError` when it cannot be built. Sizes of things are in pixels of the images given.

    What decides about things in a map was chosen on rendered scenes with seeds from 8,500,000 on, which nothing else uses.
    """

    class_names: tuple[str, ...] = setting((), "all classes; the place of a name is its class id")
    thing_ids: tuple[int, ...] = setting((), "classes that are things", at_least=0)
    supervision: str = setting("unknown", "what the weights saw; travels into the label set")
    network: str = setting("dense", "which kind of panoptic network this is", choices=("dense",))
    widths: tuple[int, ...] = setting(
        (24, 32, 64, 96, 128), "channels of the encoder's stages, strides 2 to 32", at_least=1, at_most=4096
    )
    blocks: tuple[int, ...] = setting(
        (1, 2, 2, 2), "residual blocks of the stages behind the first", at_least=1, at_most=64
    )
    decoder_width: int = setting(64, "channels of the decoder at strides 4 and 8", at_least=1, at_most=4096)
    centre_sigma: float = setting(
        6.0, "deviation of the Gaussian around a centre", unit="pixels", source="ours (4 and 9 find fewer); the paper's is 8",
        at_least=0.1, at_most=1000,
    )  # fmt: skip
    unknown_is_empty: bool = setting(
        False, "where no thing is labelled, teach that there is no centre, also in void and in thing classes of unknown objects",
        source="ours; the paper's labels have no such places",
    )  # fmt: skip
    hardest_share: float = setting(
        1.0, "share of the pixels, of largest loss, that teach classes", source="ours; the paper's is 0.15",
        at_least=0.001, at_most=1,
    )  # fmt: skip
    class_weight: float = setting(1.0, "of the loss of classes", source=_PAPER, at_least=0)
    centre_weight: float = setting(200.0, "of the loss of centres", source=_PAPER, at_least=0)
    offset_weight: float = setting(0.01, "of the loss of offsets, for each pixel", source=_PAPER, at_least=0)
    thing_threshold: float = setting(
        0.3, "probability of all thing classes together above which a pixel may be of a thing", at_least=0, at_most=1
    )
    centre_threshold: float = setting(
        0.05, "least height of a centre", source="ours; the paper's is 0.1", at_least=0, at_most=1
    )
    centre_window: int = setting(
        7, "cells of 4 pixels along a side of the window in which a centre is the highest", source="ours",
        at_least=1, at_most=255,
    )  # fmt: skip
    most_centres: int = setting(200, "of one image, the highest", source=_PAPER, at_least=1, at_most=10_000)
    reach: float = setting(
        32.0, "largest distance of a pixel's pointed-at centre from a found one", unit="pixels", source="ours",
        at_least=0,
    )  # fmt: skip
    score_threshold: float = setting(
        0.08, "least score of a thing in the panoptic map", source="ours", at_least=0, at_most=1
    )
    min_thing_area: int = setting(100, "of a thing", unit="pixels", source="ours", at_least=1)
    min_stuff_area: int = setting(1024, "of a stuff class in an image", unit="pixels", source="ours", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_classes(self.class_names, self.thing_ids)
        for name, length in (("widths", 5), ("blocks", 4)):
            if len(getattr(self, name)) != length:
                raise RecipeError(f"{name} must be {length} numbers, but is {getattr(self, name)}.")
        if self.centre_window % 2 == 0:
            raise RecipeError(f"centre_window must be odd, but is {self.centre_window}.")
