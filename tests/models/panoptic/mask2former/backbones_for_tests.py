"""Backbones small enough to learn in seconds."""

from __future__ import annotations

from typing import Any


RESNET: dict[str, Any] = {
    "model_type": "resnet", "embedding_size": 16, "hidden_sizes": [16, 24, 32, 32], "depths": [1] * 4, "layer_type": "basic",
}  # fmt: skip
SWIN: dict[str, Any] = {
    "model_type": "swin", "embed_dim": 16, "depths": [1] * 4, "num_heads": [1, 2, 2, 4], "window_size": 4,
    "drop_path_rate": 0.0,
}  # fmt: skip
DINOV2: dict[str, Any] = {
    "model_type": "dinov2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 14,
    "image_size": 70, "mlp_ratio": 2,
}  # fmt: skip
