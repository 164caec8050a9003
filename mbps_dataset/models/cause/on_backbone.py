"""A CAUSE network around any DINOv2 of transformers: the backbone as it is, head, codebook and probe yet to be learned."""

from __future__ import annotations

from pathlib import Path

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.cause.segmenter import CauseConfig, CauseSegmenter
from mbps_dataset.models.dinov2 import dinov2_of_transformers


def cause_on_backbone(
    folder_or_hub_id: str | Path, *, crop: int = 322, code_dim: int = 64, clusters: int = 27
) -> CauseSegmenter:
    """A `CauseSegmenter` on the DINOv2 network of a folder or Hub id, in evaluation mode; all but the backbone is random.

    `crop` side of a window in pixels, a multiple of the patch size; `code_dim` C, at most the backbone's channels. Raises
    `WeightsError` if it is no DINOv2 network, `RecipeError` if a size cannot be.
    """
    state, sizes = dinov2_of_transformers(folder_or_hub_id)
    if code_dim > sizes["hidden_size"]:
        raise RecipeError(f"code_dim is {code_dim}, but the backbone has {sizes['hidden_size']} channels; take fewer.")
    try:
        config = CauseConfig(
            **sizes, crop=crop, code_dim=code_dim, clusters=clusters,
            projection_dim=code_dim, codebook_size=clusters, feed_forward_dim=code_dim,
        )  # fmt: skip
    except ValueError as error:
        raise RecipeError(str(error)) from None
    network = CauseSegmenter(config)
    network.backbone.load_reference_state(state, source=str(folder_or_hub_id))
    return network.eval()
