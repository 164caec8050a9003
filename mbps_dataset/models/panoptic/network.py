"""What a trainer and `mbps predict` see of a panoptic network: losses of a batch, and the prediction of an image.

Decisions made here (ours):

* images are float32 in [0, 1]; each network normalises and pads them itself;
* a target holds class ids as the label set has them, and 255 where nothing is known. What a network cannot say so (CUPS'
  one semantic class for all things, say) it makes of them itself;
* what label set the weights learned from is said by their `record`, which is saved and pushed with them;
* the classes and which of them are things are the network's, fixed when it is made, and travel in its configuration.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import ModelCard
from torch import Tensor

from mbps_dataset.models.panoptic.model_card import model_card
from mbps_dataset.models.panoptic.record import NAME, NO_RECORD, TrainingRecord
from mbps_dataset.models.saved_network import HubNetwork
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic
from mbps_dataset.store import write_json


VOID = 255
"""Semantic value of a pixel of which nothing is known; it takes part in no loss."""


@dataclass(frozen=True, eq=False)
class PanopticTarget:
    """What is known about one image.

    `semantic` int64 [H, W]: class id or `VOID`; `masks` bool [N, H, W] and `class_ids` int64 [N] of its things, which may
    be none. Raises `ValueError` if shapes or types differ from that.
    """

    semantic: Tensor
    masks: Tensor
    class_ids: Tensor

    def __post_init__(self) -> None:
        height_width, count = tuple(self.semantic.shape), len(self.class_ids)
        if len(height_width) != 2 or tuple(self.masks.shape) != (count, *height_width):
            raise ValueError(
                f"Expected masks [N, H, W] of a map [H, W] and N class ids, but got {tuple(self.masks.shape)}, "
                f"{height_width} and {count}."
            )
        if self.masks.dtype != torch.bool:
            raise ValueError(f"Expected masks of bool, but got {self.masks.dtype}.")

    def to(self, device: torch.device | str) -> PanopticTarget:
        """The same target on a device."""
        return PanopticTarget(self.semantic.to(device), self.masks.to(device), self.class_ids.to(device))


@dataclass(frozen=True, eq=False)
class PanopticPrediction:
    """What a network says of one image, at the image's size.

    `panoptic` segments with scores; `semantic_probabilities` float32 [K, H, W], one map a class, by class id;
    `instances` the things before overlaps are resolved, with scores in [0, 1].
    """

    panoptic: Panoptic
    semantic_probabilities: Tensor
    instances: Instances


class PanopticNetwork(HubNetwork):
    """A panoptic network: what it must be able to do to be trained and to label images.

    A subclass names its own `HubNetwork` configuration, which holds `class_names`, `thing_ids` and `supervision`.
    """

    record: TrainingRecord | None = None
    """What the weights learned from, where that is known."""

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        if self.record is not None:
            write_json(save_directory / NAME, self.record.to_json())

    def generate_model_card(self, *_: object, **__: object) -> ModelCard:
        """The card that is saved and pushed with the weights."""
        name = type(self).__name__
        return model_card(name, self.class_names, self.thing_ids, self.supervision, self.record)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes; the place of a name is the class id in targets and predictions."""
        return tuple(self.config.class_names)

    @property
    def thing_ids(self) -> frozenset[int]:
        """Class ids that are things."""
        return frozenset(self.config.thing_ids)

    @property
    def supervision(self) -> str:
        """What the weights saw in training, for a label set's record."""
        return str(self.config.supervision)

    @property
    def ground_truth_used(self) -> tuple[str, ...]:
        """Ground truth that went into what the weights learned from, empty if none did; `NO_RECORD` where nobody knows."""
        return (NO_RECORD,) if self.record is None else self.record.learned_from.ground_truth_used

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[PanopticTarget]) -> dict[str, Tensor]:
        """Named losses, scalars whose sum is minimised, of `images` float32 [B, 3, H, W] in [0, 1] and B `targets`.

        Pixels of `VOID` take part in none. Raises `ValueError` if sizes differ.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        """One prediction an image of `images` float32 [B, 3, H, W] in [0, 1], in evaluation mode, without gradients."""
