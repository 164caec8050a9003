"""How a panoptic network is trained: one frozen dataclass, every setting declared once."""

from __future__ import annotations

from dataclasses import dataclass

from mbps_dataset.errors import RecipeError
from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class PanopticTrainingSettings(Settings):
    """How long, how fast, on what windows, and how they are changed."""

    steps: int = setting(2000, "optimiser steps", source="ours; CUPS: 4000", at_least=1)
    batch_size: int = setting(8, "images per step, over all processes", source="ours; CUPS: 16", at_least=1)
    crop: tuple[int, ...] = setting(
        (192, 384), "height and width of the window a step sees of an image; none = whole images of one size",
        unit="pixels", source="ours; CUPS: 640 x 1280", at_least=1,
    )  # fmt: skip
    learning_rate: float = setting(1e-3, "of AdamW at its peak", source="ours; CUPS: 1e-4", at_least=0)
    weight_decay: float = setting(0.01, "of matrices and kernels; norms and biases have none", source="ours; CUPS: 1e-5",
                                  at_least=0)  # fmt: skip
    schedule: str = setting(
        "cosine", "after the warm-up: 'cosine' to a hundredth of the learning rate, or 'constant'", source="ours",
        choices=("cosine", "constant"),
    )  # fmt: skip
    warm_up_share: float = setting(
        0.05, "share of the steps in which the learning rate rises from zero", source="ours", at_least=0, at_most=1
    )
    clip_norm: float = setting(1.0, "largest norm of a step's gradient; 0 = any", source="CUPS", at_least=0)
    mirror: float = setting(0.5, "probability of exchanging left and right", source="CUPS", at_least=0, at_most=1)
    appearance: str = setting(
        "colour", "'colour' changes the colours of every other image, 'cups' also blurs and greys, 'none' nothing",
        source="ours", choices=("colour", "cups", "none"),
    )  # fmt: skip
    copy_paste: bool = setting(
        False, "paste objects of a batch into its images at other sizes and places", source="CUPS: on"
    )
    copy_paste_side: int = setting(
        32, "objects are copied whose boxes have longer sides", unit="pixels of the window", source="CUPS", at_least=0
    )
    self_enhanced_after: int = setting(
        0, "steps after which copy-paste takes what the network finds and the labels lack; 0 = never",
        source="ours; CUPS: 1000", at_least=0,
    )  # fmt: skip
    resolution_jitter: bool = setting(
        False,
        "every batch at another size, 0.6 to 1.1 times the window's, in multiples of 32 pixels",
        source="CUPS: on",
    )
    average_decay: float = setting(
        0.0, "the result is the moving average of the weights, of which each step keeps this share; 0 = the last weights",
        source="ours", at_least=0, at_most=0.99999,
    )  # fmt: skip
    self_labels_after: int = setting(
        0, "steps after which the moving average, as teacher, labels the images instead of the set; 0 = never",
        source="ours; CUPS: a stage of its own", at_least=0,
    )  # fmt: skip
    rounds: int = setting(
        1, "equal parts of self-training; each after the first begins with a teacher that is the network itself",
        source="ours", at_least=1,
    )  # fmt: skip
    teacher_scales: tuple[float, ...] = setting(
        (0.5, 0.75, 1.0), "sizes in which the teacher looks at a window, each plain and mirrored", source="CUPS",
        at_least=0.05, at_most=8,
    )  # fmt: skip
    teacher_score: float = setting(
        0.7, "least score of a thing that the teacher labels", source="CUPS", at_least=0, at_most=1
    )
    images_without_things: bool = setting(
        True, "also train on images in which no thing was labelled; CUPS leaves them out", source="ours"
    )
    trained: str = setting(
        "all", "'heads': backbone and neck stay, for few labels; 'self-training': the heads without their norms, as CUPS "
        "trains on its own labels", source="ours", choices=("all", "heads", "self-training"),
    )  # fmt: skip
    frozen: tuple[str, ...] = setting(
        (), "beginnings of the names of further tensors that stay as they are", source="ours"
    )
    precision: str = setting(
        "auto", "'bfloat16' where the device gains by it with 'auto', or always; 'float32' never", source="ours",
        choices=("auto", "bfloat16", "float32"),
    )  # fmt: skip
    seed: int = setting(0, "seed of order, windows, changes and of what the network draws", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.self_enhanced_after and not self.copy_paste:
            raise RecipeError("self_enhanced_after says what copy_paste copies; set copy_paste too.")
        if self.self_labels_after and not self.average_decay:
            raise RecipeError("self_labels_after needs a teacher, the moving average; set average_decay=0.999 too.")
        if self.rounds > 1 and not self.self_labels_after:
            raise RecipeError("rounds are of self-training; set self_labels_after too.")
        if len(self.crop) not in (0, 2):
            raise RecipeError(f"crop must be two numbers, height and width, or none, but is {self.crop!r}.")

    def begins_round(self, step: int) -> bool:
        """Whether a round of self-training after the first begins with `step`, 0-based."""
        if not self.self_labels_after or step <= self.self_labels_after:
            return False
        length = -(-(self.steps - self.self_labels_after) // self.rounds)
        return (step - self.self_labels_after) % length == 0
