"""Panoptic Cascade Mask R-CNN whole: backbone, proposals, boxes, masks, semantics; losses, prediction, loading and saving.

CUPS, U2Seg, CutLER and CuVLER are this network (the last two without the semantic head) with other classes and thresholds; its tensors
have the published names, so that their files load (`from_reference`).

What is ours: images are [0, 1] for all of them (255-based means are the same numbers times 255); prediction keeps masks as runs of
pixels. The network knows one semantic class for all things; `semantic_probabilities` gives it to the class of the best instance at a
pixel, and to the first thing class where there is no instance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.cascade.boxes import boxes_of_masks
from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.detections import Detections, rescale_detections
from mbps_dataset.models.cascade.feature_pyramid import FeaturePyramid
from mbps_dataset.models.cascade.mask_pasting import paste_masks
from mbps_dataset.models.cascade.matching import Permutation, random_order
from mbps_dataset.models.cascade.panoptic_merge import merge_panoptic
from mbps_dataset.models.cascade.preprocessing import network_input, network_size, padded, resized_images
from mbps_dataset.models.cascade.proposals import (
    ProposalNetwork,
    anchor_targets,
    anchors_of,
    proposal_losses,
    select_proposals,
)
from mbps_dataset.models.cascade.reference import Published, reference_state
from mbps_dataset.models.cascade.roi_heads import Objects, RoiHeads
from mbps_dataset.models.cascade.semantic_head import (
    ANY_THING,
    IGNORED,
    SemanticHead,
    enlarge,
    fit_to_image,
    semantic_loss,
)
from mbps_dataset.models.checkpoints import shapes_of
from mbps_dataset.models.panoptic.batches import evaluating, require_batch
from mbps_dataset.models.panoptic.network import VOID, PanopticNetwork, PanopticPrediction, PanopticTarget
from mbps_dataset.stages.instances.types import Instances
from mbps_dataset.stages.panoptic import Panoptic


_BUILT_IN = {
    "class_names", "thing_ids", "network", "norm", "stem_channels", "bottleneck_channels", "stage_blocks", "pyramid_channels",
    "box_channels", "mask_channels", "semantic_channels",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Found:
    """What the network finds in one image, at the size that was asked for.

    `detections` with boxes in pixels of that size; `instances` their masks, in the same order, with class ids; `semantic` logits
    float32 [1 + stuff, H, W] (0 = any thing), None of a network without a semantic head.
    """

    detections: Detections
    instances: Instances
    semantic: Tensor | None


class CascadePrediction(PanopticPrediction):
    """A prediction whose class probabilities are made when they are asked for: of 827 classes they take gigabytes."""

    def __init__(self, panoptic: Panoptic, found: Found, config: CascadeConfig) -> None:
        object.__setattr__(self, "panoptic", panoptic)
        object.__setattr__(self, "instances", found.instances)
        object.__setattr__(self, "_found", found)
        object.__setattr__(self, "_config", config)

    _found: Found
    _config: CascadeConfig

    @property
    def semantic_probabilities(self) -> Tensor:
        """float32 [K, H, W]; see the module for things. Zeros of a detector, which knows no semantics."""
        return class_probabilities(self._found, self._config)


class CascadeMaskRCNN(PanopticNetwork, library_name="mbps-dataset", tags=["panoptic-segmentation"]):
    """The network; see `CascadeConfig` for every size and threshold."""

    config_class = CascadeConfig

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = FeaturePyramid(config)
        self.proposal_generator = ProposalNetwork(config)
        self.roi_heads = RoiHeads(config)
        self.sem_seg_head: SemanticHead | None = None
        if config.stuff_ids:
            self.sem_seg_head = SemanticHead(
                config.pyramid_channels, config.semantic_channels, 1 + len(config.stuff_ids)
            )

    @property
    def supervision(self) -> str:
        """What the weights saw in training, and their licence, which so travels into label sets and cards."""
        return f"{self.config.supervision}; licence of the weights: {self.config.licence}"

    @property
    def ground_truth_used(self) -> tuple[str, ...]:
        """As `PanopticNetwork.ground_truth_used`; none in published weights, whose training used no labels of people."""
        return () if self.record is None and self.config.label_free else super().ground_truth_used

    def find(self, images: Tensor, output: tuple[int, int] | None = None) -> list[Found]:
        """What is in each of `images` float32 [B, 3, H, W] in [0, 1], as they are (not resized), given at the size `output`
        (height, width; default: their own), in evaluation mode and without gradients."""
        size = (images.shape[-2], images.shape[-1])
        with evaluating(self), torch.no_grad():
            levels = self.backbone(network_input(images))
            sizes = [size] * len(images)
            detected = self.roi_heads.detect(levels, self.proposal_generator(levels, sizes), sizes)
            semantic = None if self.sem_seg_head is None else self.sem_seg_head(levels)
            return [
                self._found(one, None if semantic is None else semantic[image : image + 1], size, output or size)
                for image, one in enumerate(detected)
            ]

    def _found(
        self, detections: Detections, semantic: Tensor | None, size: tuple[int, int], output: tuple[int, int]
    ) -> Found:
        scaled, _ = rescale_detections(detections, size, output)
        assert scaled.masks is not None  # `RoiHeads.detect` gives them
        class_ids = torch.tensor(self.config.thing_ids, device=scaled.classes.device)[scaled.classes]
        instances = paste_masks(scaled.masks, scaled.boxes, output, class_ids=class_ids, scores=scaled.scores)
        logits = None if semantic is None else fit_to_image(enlarge(semantic.float())[0], size, output)
        return Found(scaled, instances, logits)

    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        """As `PanopticNetwork.predict`; images are looked at in the size that the configuration says."""
        own = (images.shape[-2], images.shape[-1])
        config = self.config
        size = network_size(*own, short_side=config.short_side, longest_side=config.longest_side)
        found = self.find(resized_images(images, size), own)
        return [CascadePrediction(self.merge(one), one, config) for one in found]

    def merge(self, found: Found) -> Panoptic:
        """Segments of what was found, by the merge thresholds of the configuration."""
        config, shape = self.config, found.instances.shape
        semantic = torch.zeros(shape, dtype=torch.int64) if found.semantic is None else found.semantic.argmax(dim=0)
        return merge_panoptic(
            found.instances,
            semantic.cpu().numpy(),
            stuff_ids=config.stuff_ids,
            min_score=config.merge_score,
            max_taken=config.merge_overlap,
            min_stuff_area=config.stuff_area,
        )

    def losses(
        self,
        images: Tensor,
        targets: Sequence[PanopticTarget],
        *,
        certainty: Sequence[Tensor] | None = None,
        proposals: Sequence[Tensor] | None = None,
        order: Permutation = random_order,
    ) -> dict[str, Tensor]:
        """As `PanopticNetwork.losses`, under the published names: ``loss_sem_seg``, ``loss_rpn_cls``, ``loss_rpn_loc``,
        ``loss_cls_stage0`` to ``loss_box_reg_stage2``, ``loss_mask``. Images are not resized.

        With `certainty`, [N] in [0, 1] for the objects of each image, targets are soft (CuVLER). `proposals` [n, 4] of each image
        take the place of the network's own, `order` that of the random draw. Raises `ValueError` also for a class id that is none.
        """
        require_batch(images, targets)
        size = (images.shape[-2], images.shape[-1])
        sizes = [size] * len(images)
        objects = [
            objects_of(target, self.config, None if certainty is None else certainty[number])
            for number, target in enumerate(targets)
        ]
        levels = self.backbone(network_input(images))
        losses: dict[str, Tensor] = {}
        if self.sem_seg_head is not None:
            semantic = padded(torch.stack([semantic_channels(target, self.config) for target in targets]), IGNORED)
            losses["loss_sem_seg"] = semantic_loss(
                self.sem_seg_head(levels), semantic, weight=self.config.semantic_loss_weight
            )
        network = self.proposal_generator
        logits, codes = network.rpn_head(levels)
        anchors = anchors_of(levels)
        every = torch.cat(anchors)
        wanted = [anchor_targets(every, known.boxes, order=order) for known in objects]
        losses |= proposal_losses(logits, codes, anchors, wanted)
        if proposals is None:
            chosen = select_proposals(logits, codes, anchors, sizes, network.training_selection)
            proposals = [boxes for boxes, _ in chosen]
        return losses | self.roi_heads.losses(levels, proposals, sizes, objects, order=order)

    def configure(self, **changes: Any) -> None:
        """Change thresholds, preprocessing, losses or what is recorded, by the names of `CascadeConfig`.

        Raises `RecipeError` for what has a size in the network, and for values that cannot be.
        """
        sizes = sorted(set(changes) & _BUILT_IN)
        if sizes:
            raise RecipeError(f"{sizes[0]} is built into the network; make another one of another configuration.")
        self._take(replace(self.config, **changes))

    def _take(self, config: CascadeConfig) -> None:
        self.config = self.roi_heads.config = self.proposal_generator.config = config
        self._hub_mixin_config = config  # what `save_pretrained` writes

    @classmethod
    def from_reference(
        cls,
        state_dict: Mapping[str, Tensor],
        *,
        system: Published,
        class_names: tuple[str, ...] | None = None,
        supervision: str | None = None,
        source: str = "The network's state dict",
    ) -> CascadeMaskRCNN:
        """A network holding the tensors of a published file, in eval mode; every size is read from them.

        `system` "cups", "u2seg", "cutler" or "cuvler" says which thresholds, preprocessing and licence belong to it; "cups-teacher"
        takes the averaged teacher of a CUPS file. `class_names` default to numbers (stuff, then things, as CUPS' pseudo-classes).
        Raises `WeightsError` naming `source` and everything that does not fit.
        """
        tensors, config = reference_state(
            state_dict, system=system, class_names=class_names, supervision=supervision, source=source,
            expected=lambda config: _shapes(cls, config),
        )  # fmt: skip
        with torch.device("meta"):
            network = cls(config)
        network.load_state_dict(tensors, assign=True)
        return network.eval()


def _shapes(network: type[CascadeMaskRCNN], config: CascadeConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(network(config))


def objects_of(target: PanopticTarget, config: CascadeConfig, certainty: Tensor | None = None) -> Objects:
    """The objects of a target as the heads learn them: boxes around its masks, classes as places among the things.

    Objects without a pixel are left out. Raises `ValueError` for a class that is no thing.
    """
    places = {class_id: place for place, class_id in enumerate(config.thing_ids)}
    unknown = sorted(set(target.class_ids.tolist()) - set(places))
    if unknown:
        raise ValueError(f"Expected objects of the classes {sorted(places)}, which are things, but got {unknown[0]}.")
    kept = target.masks.flatten(1).any(dim=1)
    classes = torch.tensor([places[one] for one in target.class_ids.tolist()], dtype=torch.int64).to(kept.device)
    masks = target.masks[kept]
    boxes = boxes_of_masks(masks, last_pixel=config.boxes_hold_last_pixel)
    return Objects(boxes, classes[kept], masks, None if certainty is None else certainty.to(boxes)[kept])


def semantic_channels(target: PanopticTarget, config: CascadeConfig) -> Tensor:
    """What the semantic head learns: int64 [H, W], 0 on things, k on the k-th class of stuff, 255 on void.

    Raises `ValueError` for a class id that is none.
    """
    classes = len(config.class_names)
    table = torch.full((max(classes, VOID) + 1,), -1, dtype=torch.int64)
    table[VOID] = IGNORED
    table[list(config.thing_ids)] = ANY_THING
    table[list(config.stuff_ids)] = torch.arange(1, len(config.stuff_ids) + 1)
    labels = target.semantic.long()
    channels = table.to(labels.device)[labels.clamp(0, len(table) - 1)]
    wrong = (channels < 0) | (labels < 0) | (labels >= len(table))
    if bool(wrong.any()):
        raise ValueError(f"Expected class ids below {classes} or {VOID}, but got {int(labels[wrong][0])}.")
    return channels


def class_probabilities(found: Found, config: CascadeConfig) -> Tensor:
    """Probabilities float32 [K, H, W] of all classes; see the module for how things share theirs."""
    height, width = found.instances.shape
    if found.semantic is None:
        return torch.zeros(len(config.class_names), height, width)
    channels = found.semantic.softmax(dim=0)
    probabilities = channels.new_zeros(len(config.class_names), height * width)
    probabilities[list(config.stuff_ids)] = channels[1:].flatten(1)
    thing = torch.full((height * width,), config.thing_ids[0], device=channels.device)
    pixels = list(found.instances)
    for index in reversed(range(len(pixels))):  # the best last
        thing[torch.from_numpy(pixels[index]).to(thing.device)] = int(found.instances.class_ids[index])
    probabilities.scatter_add_(0, thing[None], channels[ANY_THING].flatten()[None])
    return probabilities.view(-1, height, width)
