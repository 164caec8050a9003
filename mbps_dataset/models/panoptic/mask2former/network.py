"""Mask2Former (Cheng et al., CVPR 2022) of transformers behind the seam: its network, our losses and segments.

From a random start it learns slowly; it is for pretrained backbones, which `Mask2FormerPanoptic.on_backbone` puts in. The stored
tensors have the names that the installed transformers gives them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.feature_networks import load_feature_network
from mbps_dataset.models.panoptic.batches import evaluating, padded_to_multiple, require_batch
from mbps_dataset.models.panoptic.mask2former.backbones import (
    PLAIN,
    STAGED,
    ViTPyramid,
    backbone_configuration,
    described,
    reason_of,
    stride_of,
    take_over,
)
from mbps_dataset.models.panoptic.mask2former.config import Mask2FormerPanopticConfig
from mbps_dataset.models.panoptic.mask2former.losses import set_losses
from mbps_dataset.models.panoptic.mask2former.postprocessing import panoptic_prediction
from mbps_dataset.models.panoptic.mask2former.segments import cell_segments
from mbps_dataset.models.panoptic.network import PanopticNetwork, PanopticPrediction, PanopticTarget
from mbps_dataset.models.transformers_loading import without_progress_bars
from mbps_dataset.stages.network_pixels import imagenet_normalised


class Mask2FormerPanoptic(PanopticNetwork, library_name="mbps-dataset", tags=["panoptic-segmentation", "mask2former"]):
    """Panoptic segmentation by queries with masks. Raises `RecipeError` if backbone and sizes make no network."""

    config_class = Mask2FormerPanopticConfig

    def __init__(self, config: Mask2FormerPanopticConfig) -> None:
        super().__init__()
        self.config = config
        backbone = backbone_configuration(config.backbone)
        self.stride = stride_of(backbone)
        try:
            with without_progress_bars():
                self.segmenter = _segmenter(config, backbone)
        except (
            Exception
        ) as error:  # sizes that do not fit each other make transformers and torch raise nearly any kind
            raise RecipeError(f"backbone and sizes make no network: {reason_of(error)}.") from error

    @classmethod
    def on_backbone(cls, folder_or_hub_id: str | os.PathLike[str], **settings: Any) -> Mask2FormerPanoptic:
        """A new network on the pretrained Swin, ResNet or DINOv2 of a folder or Hub id, also on the DINOv2 of CAUSE weights;
        `settings` as its configuration has.

        Raises `WeightsError` if that is no such network or lacks a tensor, `RecipeError` for the settings.
        """
        source = os.fspath(folder_or_hub_id)
        pretrained = load_feature_network(source)
        kind = pretrained.config.model_type
        if kind not in (*STAGED, *PLAIN):
            known = ", ".join((*STAGED, *PLAIN))
            raise WeightsError(f"{source} is a network of the kind {kind}; as a backbone, give one of {known}.")
        network = cls(Mask2FormerPanopticConfig(**settings, backbone=described(pretrained.config)))
        take_over(network.backbone, pretrained, source=source)
        return network

    @property
    def backbone(self) -> torch.nn.Module:
        """The part that looks at the image, so that a trainer can freeze it or slow it down."""
        return self.segmenter.model.pixel_level_module.encoder

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """[B, 3, H, W] in [0, 1], sides multiples of `stride` → class logits [B, Q, K + 1] and mask logits [B, Q, h, w] of
        each layer, the last one's last."""
        output = self.segmenter(pixel_values=imagenet_normalised(images), output_auxiliary_logits=True)
        layers = [(each["class_queries_logits"], each["masks_queries_logits"]) for each in output.auxiliary_logits]
        return [*layers, (output.class_queries_logits, output.masks_queries_logits)]

    def losses(self, images: Tensor, targets: Sequence[PanopticTarget]) -> dict[str, Tensor]:
        """As `PanopticNetwork.losses`: ``class``, ``mask`` and ``dice``, weighted and summed over layers."""
        require_batch(images, targets)
        images, targets = padded_to_multiple(images, targets, self.stride)
        layers = [(classes.float(), masks.float()) for classes, masks in self(images)]
        height, width = layers[-1][1].shape[-2:]
        segments = [
            cell_segments(target.to(images.device), self.config.thing_ids, height, width) for target in targets
        ]
        each = [set_losses(classes, masks, segments, self.config) for classes, masks in layers]
        return {name: torch.stack([losses[name] for losses in each]).sum() for name in each[-1]}

    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        """As `PanopticNetwork.predict`."""
        padded, _ = padded_to_multiple(images, (), self.stride)
        with evaluating(self), torch.no_grad():
            classes, masks = self(padded)[-1]
        return [
            panoptic_prediction(
                *logits,
                size=(images.shape[2], images.shape[3]),
                padded=(padded.shape[2], padded.shape[3]),
                thing_ids=self.config.thing_ids,
                query_threshold=self.config.query_threshold,
                overlap_threshold=self.config.overlap_threshold,
            )
            for logits in zip(classes.float(), masks.float())
        ]


def _segmenter(config: Mask2FormerPanopticConfig, backbone: Any) -> Mask2FormerForUniversalSegmentation:
    """transformers' network with this backbone. A pyramid takes the place of a ResNet of the same channels, since transformers
    builds its decoder for what its own backbones give out."""
    plain = backbone.model_type in PLAIN
    pyramid = ViTPyramid(backbone) if plain else None
    channels = [] if pyramid is None else pyramid.channels
    stages = {"hidden_sizes": channels, "depths": [1] * 4, "layer_type": "basic", "embedding_size": 1}
    of_its_place = AutoConfig.for_model("resnet", **stages, out_features=[f"stage{n}" for n in range(1, 5)])
    sizes: dict[str, Any] = {
        "feature_size": config.width,
        "mask_feature_size": config.width,
        "hidden_dim": config.width,
        "num_attention_heads": config.heads,
        "encoder_layers": config.encoder_layers,
        "encoder_feedforward_dim": config.encoder_feedforward,
        "decoder_layers": config.decoder_layers + 1,  # transformers counts the first prediction as a layer
        "dim_feedforward": config.decoder_feedforward,
        "num_queries": config.queries,
        "num_labels": len(config.class_names),
    }
    segmenter = Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(backbone_config=of_its_place if plain else backbone, **sizes)
    )
    if pyramid is not None:
        segmenter.model.pixel_level_module.encoder = pyramid
    return segmenter
