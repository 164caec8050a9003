"""Patch features of self-supervised vision transformers for normalised cuts.

MaskCut and TokenCut use the *keys* of the last block (all heads, class token dropped) of DINO; VoteCut uses them of four
DINO networks and the last tokens of two DINOv2 networks. Any transformers ViT is taken: the key projection is found by
its name, which is `key` before transformers 5 and `k_proj` since.

The picture is squeezed to 480 × 480 whatever its shape (published); `keep_aspect` is a named option that is not in the
publications: a street twice as wide as high then gives twice the patches across.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mbps_dataset.stages.network_pixels import network_pixels


KINDS = ("published", "keys", "tokens")
"""What `patch_features` can read out of a network."""


class VisionTransformer(Protocol):
    """A ViT of transformers: its configuration, its layers by name, and ``last_hidden_state`` [B, tokens, C] of pixels."""

    config: Any

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...

    def __call__(self, pixels: Tensor, **options: Any) -> Any: ...


def network_input(image: NDArray[np.uint8], patch_size: int, *, size: int = 480, keep_aspect: bool = False) -> Tensor:
    """`image` uint8 [H, W, 3] RGB resized (Lanczos) and normalised: float32 [1, 3, h, w], sides multiples of a patch.

    `size` × `size` pixels rounded down to whole patches; with `keep_aspect` `size` is the shorter side.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    wanted = (size * height / shorter, size * width / shorter) if keep_aspect else (size, size)
    h, w = (max(int(side) // patch_size, 1) * patch_size for side in wanted)
    return network_pixels(np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.LANCZOS)))[
        None
    ].contiguous()


def patch_features(network: VisionTransformer, pixels: Tensor, *, kind: str = "published") -> NDArray[np.float32]:
    """Features of the patches, [B, h, w, C]; `pixels` [B, 3, H, W] normalised.

    `kind` "keys" of the last block, "tokens" after it, or "published": tokens of DINOv2 networks, keys of all others.

    Raises `ValueError` for another `kind`, or a network without keys.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of features {kind!r}; choose {', '.join(KINDS)}.")
    if kind == "published":
        kind = "tokens" if network.config.model_type.startswith("dinov2") else "keys"
    return last_tokens(network, pixels) if kind == "tokens" else last_keys(network, pixels)


@torch.no_grad()
def last_keys(network: VisionTransformer, pixels: Tensor) -> NDArray[np.float32]:
    """Keys of the patches in the last block, [B, h, w, C]; `pixels` [B, 3, H, W] normalised.

    Raises `ValueError` if the network has no key projection that can be found.
    """
    projections = [
        module
        for name, module in network.named_modules()
        if name.rsplit(".", 1)[-1] in ("k_proj", "key") and isinstance(module, nn.Linear)
    ]
    if not projections:
        raise ValueError(f"{type(network).__name__} has no layer named `key` or `k_proj` to take patch features from.")
    caught: list[Tensor] = []
    hook = projections[-1].register_forward_hook(lambda module, inputs, output: caught.append(output))
    try:
        _run(network, pixels)
    finally:
        hook.remove()
    return _as_grid(caught[-1], network, pixels)


@torch.no_grad()
def last_tokens(network: VisionTransformer, pixels: Tensor) -> NDArray[np.float32]:
    """Tokens of the patches after the last block and its norm, [B, h, w, C]; `pixels` [B, 3, H, W] normalised."""
    return _as_grid(_run(network, pixels), network, pixels)


def _run(network: VisionTransformer, pixels: Tensor) -> Tensor:
    # DINO's position table is for 224 pixels and enlarged on request; DINOv2 always does it.
    enlarge = {"interpolate_pos_encoding": True} if network.config.model_type == "vit" else {}
    return network(pixels, **enlarge).last_hidden_state


def _as_grid(tokens: Tensor, network: VisionTransformer, pixels: Tensor) -> NDArray[np.float32]:
    """Patch tokens as a grid; the class token and registers in front of them are dropped."""
    height, width = (side // network.config.patch_size for side in pixels.shape[-2:])
    return tokens[:, -height * width :].reshape(len(tokens), height, width, -1).float().cpu().numpy()
