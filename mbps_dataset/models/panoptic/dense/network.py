"""The dense network whole: class, centre and offset of every pixel, and loading and saving.

After Panoptic-DeepLab (Cheng et al., CVPR 2020, arXiv 1911.10194). It learns from nothing on two cores in minutes; what it
does not do is profit from a pretrained backbone, for which see `mbps_dataset.models.panoptic.mask2former`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.panoptic.batches import evaluating, padded_to_multiple, require_batch
from mbps_dataset.models.panoptic.dense.config import DEEPEST_STRIDE, STRIDE, DenseConfig
from mbps_dataset.models.panoptic.dense.decoding import decode
from mbps_dataset.models.panoptic.dense.layers import Decoder, Encoder, JoinLarger
from mbps_dataset.models.panoptic.dense.losses import centre_loss, class_loss, offset_loss
from mbps_dataset.models.panoptic.dense.targets import dense_targets
from mbps_dataset.models.panoptic.network import PanopticNetwork, PanopticPrediction, PanopticTarget
from mbps_dataset.stages.network_pixels import imagenet_normalised


OFFSET_UNIT = 32.0
"""Pixels by which the last layer's offsets are multiplied, so that it learns numbers of about 1 (ours)."""


class DensePanoptic(PanopticNetwork, library_name="mbps-dataset", tags=["panoptic-segmentation"]):
    """Panoptic segmentation by classes, centres and offsets, from a random start."""

    config_class = DenseConfig

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config, width, widths = config, config.decoder_width, config.widths
        self.encoder = Encoder(widths, config.blocks)
        self.decoder = Decoder(widths[2:], (max(width, widths[3]), width))
        self.class_branch = JoinLarger(width, widths[1], width)
        self.thing_branch = JoinLarger(width, widths[1], width)
        self.class_head = nn.Conv2d(width, len(config.class_names), 1)
        self.centre_head = nn.Conv2d(width, 1, 1)
        self.offset_head = nn.Conv2d(width, 2, 1)
        for parameter in (*self.centre_head.parameters(), *self.offset_head.parameters()):
            nn.init.zeros_(parameter)  # begin with no centre anywhere: centres are rare

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] in [0, 1], sides multiples of 32 → class logits [B, K, h, w], centre heights [B, h, w] and offsets
        [B, 2, h, w] in pixels, in cells of 4 pixels."""
        largest, *deeper = self.encoder(imagenet_normalised(images).contiguous(memory_format=torch.channels_last))
        values = self.decoder(deeper)
        classes, things = self.class_branch(values, largest), self.thing_branch(values, largest)
        return self.class_head(classes), self.centre_head(things)[:, 0], self.offset_head(things) * OFFSET_UNIT

    def losses(self, images: Tensor, targets: Sequence[PanopticTarget]) -> dict[str, Tensor]:
        """As `PanopticNetwork.losses`: ``class``, ``centre`` and ``offset``, weighted."""
        require_batch(images, targets)
        images, targets = padded_to_multiple(images, targets, DEEPEST_STRIDE)
        logits, heights, offsets = (maps.float() for maps in self(images))
        config = self.config
        wanted = dense_targets(
            targets, thing_ids=config.thing_ids, centre_sigma=config.centre_sigma, device=images.device
        )
        losses = {
            "class": class_loss(logits, wanted.semantic, hardest_share=config.hardest_share),
            "centre": centre_loss(heights, wanted.centres, wanted.centre_known | config.unknown_is_empty),
            "offset": offset_loss(offsets, wanted.offsets, wanted.offset_known),
        }
        weights = {"class": config.class_weight, "centre": config.centre_weight, "offset": config.offset_weight}
        return {name: weights[name] * loss for name, loss in losses.items()}

    def predict(self, images: Tensor) -> list[PanopticPrediction]:
        """As `PanopticNetwork.predict`."""
        height, width = images.shape[-2:]
        padded, _ = padded_to_multiple(images, (), DEEPEST_STRIDE)
        with evaluating(self), torch.no_grad():
            logits, heights, offsets = self(padded)
            logits, offsets = (
                functional.interpolate(maps.float(), scale_factor=STRIDE, mode="bilinear", align_corners=False)
                for maps in (logits, offsets)
            )
            probabilities = logits[..., :height, :width].softmax(1)
            return [
                decode(*maps, self.config)
                for maps in zip(probabilities, heights.float(), offsets[..., :height, :width])
            ]
