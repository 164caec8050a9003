"""Panoptic Cascade Mask R-CNN, the network of CUPS, U2Seg, CutLER and CuVLER, in plain torch; one file one part.

`resnet`, `feature_pyramid` (of `conv_norm`) the backbone · `anchors`, `proposals` where objects may be · `roi_align` what lies in a
box · `box_heads`, `detections` three stages of boxes · `mask_head`, `mask_pasting` masks · `semantic_head` stuff · `panoptic_merge`
segments · `boxes`, `matching`, `suppression` arithmetic of boxes · `box_losses`, `drop_loss` what is learnt · `roi_heads`, `network`
the whole, with loading and saving · `preprocessing` images · `config` every size · `reference`, `convert`
published files · `dino_backbone`, `pickled_arrays` the start of training.
"""

from __future__ import annotations

from mbps_dataset.models.cascade.config import CascadeConfig
from mbps_dataset.models.cascade.network import CascadeMaskRCNN, CascadePrediction, Found
from mbps_dataset.models.cascade.reference import LICENCES, SUPERVISION


__all__ = [
    "LICENCES",
    "SUPERVISION",
    "CascadeConfig",
    "CascadeMaskRCNN",
    "CascadePrediction",
    "Found",
]
