"""Vision transformers whose patches are cut into objects: DINO, DINOv2, DINOv3 of transformers, or CAUSE's backbone."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoModel, PreTrainedModel

from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.saved_network import CONFIG_FILE, read_config
from mbps_dataset.models.transformers_loading import load_complete


def load_feature_network(folder: str | Path) -> PreTrainedModel:
    """The transformer in `folder`, in evaluation mode: any ViT of transformers, or the backbone of CAUSE weights.

    Raises `WeightsError` if it cannot be read or lacks a tensor.
    """
    if (Path(folder) / CONFIG_FILE).is_file() and "codebook_size" in read_config(folder):
        return CauseSegmenter.from_pretrained(folder).eval().backbone.model
    return load_complete(AutoModel, folder, expected="a vision transformer of transformers")
