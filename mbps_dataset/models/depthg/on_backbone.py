"""A DepthG network around any DINO ViT of transformers: the backbone as it is, head and probe yet to be learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.depthg.segmenter import DepthGConfig, DepthGSegmenter
from mbps_dataset.models.dino import dino_of_transformers
from mbps_dataset.models.dinov2 import backbone_configuration_of


LABEL_FREE = "facebook/dino-"
"""Hub ids that begin so were trained without labels (DINO)."""


def depthg_on_backbone(folder_or_hub_id: str | Path, *, code_dim: int = 100, clusters: int = 27) -> DepthGSegmenter:
    """A `DepthGSegmenter` on the DINO of a folder or Hub id, in evaluation mode; head and probe are random.

    Raises `WeightsError` if it is no ViT that can be read, `RecipeError` if a size cannot be.
    """
    state = dino_of_transformers(folder_or_hub_id)
    sizes = backbone_configuration_of(state)
    if sizes is None:
        raise WeightsError(f"{folder_or_hub_id} is no DINO ViT; give a folder or Hub id such as facebook/dino-vitb8.")
    try:
        network = DepthGSegmenter(replace(DepthGConfig(code_dim=code_dim, clusters=clusters), **sizes))
    except TypeError as error:
        raise RecipeError(f"{folder_or_hub_id} cannot be the backbone of a DepthG network ({error}).") from None
    network.backbone.load_reference_state(state, source=str(folder_or_hub_id))
    return network.eval()
