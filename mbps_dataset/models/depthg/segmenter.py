"""DepthG (Sick et al., CVPR 2024) and STEGO (Hamilton et al., ICLR 2022): images to codes, codes to pseudo-classes.

`DepthGSegmenter` puts together a frozen DINO backbone, the head and the cluster probe. Sizes are those of CUPS on Cityscapes
by default. Windows, mirror images and depth are no business of the network: see
`mbps_dataset.stages.depth_guided_semantics`.

Published checkpoints are PyTorch Lightning's, with the tensors ``net.model.*`` (DINO under its own names), ``net.cluster1.*``,
``net.cluster2.*`` and ``cluster_probe.clusters``; others (linear probe, decoder) play no part in pseudo-classes and are left
out. What is stored for the Hub has the same names behind ``backbone.``, ``head.`` and ``probe.``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mbps_dataset.errors import RecipeError, WeightsError
from mbps_dataset.models.checkpoints import (
    StateDict,
    joined_parts,
    part_of,
    read_state_dict,
    require_match,
    to_float32,
)
from mbps_dataset.models.depthg.head import DepthGHead, feature_map
from mbps_dataset.models.depthg.probe import FACTOR, DepthGProbe
from mbps_dataset.models.dino import DinoBackbone, dino_of_transformers
from mbps_dataset.models.dinov2 import backbone_configuration_of, sizes_of
from mbps_dataset.models.saved_network import HubNetwork
from mbps_dataset.settings import validate


StateSource = str | os.PathLike[str] | Mapping[str, torch.Tensor]

SUPERVISION = (
    "self-supervised, as published: DINO on ImageNet images without their labels; head and clusters from correspondences of "
    "its features and from depth. The linear probe that labels train beside them is left out; licence of the weights: none stated by "
    "DepthG, MIT for STEGO's, Apache-2.0 for CUPS' code and for DINO"
)
"""What the published weights saw, and their licence, which so travels into label sets and cards."""

_PUBLISHED = {"backbone.": "net.model.", "head.": "net.", "probe.": "cluster_probe."}
_LARGEST, _MOST_LAYERS = 65_536, 256  # far beyond any published network; more only takes memory and time

_FITS = (
    "what fits is a Lightning checkpoint of DepthG or STEGO, with the tensors net.cluster1.0.weight, net.cluster2.*, "
    "cluster_probe.clusters and mostly net.model.*"
)


@dataclass(frozen=True)
class DepthGConfig:
    """Every size of a `DepthGSegmenter`; the defaults are CUPS' network for Cityscapes, on DINO ViT-B/8."""

    hidden_size: int = 768  # D, channels of the backbone
    layers: int = 12  # blocks of the backbone
    heads: int = 12  # attention heads per block of the backbone
    mlp_ratio: int = 4  # hidden channels of the backbone's MLP over D
    patch_size: int = 8  # pixels
    position_grid: int = 28  # side of the position table, tokens
    code_dim: int = 100  # C
    clusters: int = 27  # K, rows of the cluster probe
    supervision: str = "unknown"  # what the weights saw in training; travels into the label set

    def __post_init__(self) -> None:
        validate(self)
        sizes = ("hidden_size", "layers", "heads", "mlp_ratio", "patch_size", "position_grid", "code_dim", "clusters")
        for name in sizes:
            most = _MOST_LAYERS if name == "layers" else _LARGEST
            if not 1 <= getattr(self, name) <= most:
                raise RecipeError(f"{name} must be between 1 and {most}, but is {getattr(self, name)}.")
        if self.hidden_size % self.heads:
            raise RecipeError(f"hidden_size ({self.hidden_size}) must be a multiple of heads ({self.heads}).")


_CARD = """---
{{ card_data }}
---

# DepthG segmenter

Images of streets to pseudo-classes: a DINO backbone, the head of STEGO and DepthG, and a cluster probe.

```python
from mbps_dataset.models.depthg import DepthGSegmenter

network = DepthGSegmenter.from_pretrained("this repository")
```

DepthG: Sick et al., "Unsupervised Semantic Segmentation Through Depth-Guided Feature Correlation and Sampling", CVPR 2024.
STEGO: Hamilton et al., ICLR 2022. DINO: Caron et al., ICCV 2021. Weights made from published files stay under the terms of
those files.
"""


class DepthGSegmenter(
    HubNetwork,
    library_name="mbps-dataset",
    tags=["unsupervised-semantic-segmentation", "depthg", "dino"],
    model_card_template=_CARD,
):
    """Backbone, head and cluster probe as one network that loads and saves itself."""

    config_class = DepthGConfig

    def __init__(self, config: DepthGConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = DinoBackbone(**sizes_of(config))
        self.head = DepthGHead(feature_dim=config.hidden_size, code_dim=config.code_dim)
        self.probe = DepthGProbe(clusters=config.clusters, code_dim=config.code_dim)

    @property
    def supervision(self) -> str:
        """What the weights saw, for the label set's record."""
        return self.config.supervision

    def code_map(self, pixels: torch.Tensor) -> torch.Tensor:
        """Codes: pixels [B, 3, H, W] (ImageNet-normalised) → [B, C, H // patch, W // patch], without dropout."""
        return self.head(feature_map(self.backbone.tokens(pixels), self.backbone.grid_hw(pixels)))

    def forward(self, pixels: torch.Tensor, factor: float = FACTOR) -> torch.Tensor:
        """Log-probabilities of the clusters: pixels [B, 3, H, W] → [B, K, h, w], one value per patch."""
        return self.probe.log_probs(self.code_map(pixels), factor)

    @classmethod
    def from_reference(
        cls, checkpoint: StateSource, *, backbone: StateSource | None = None, supervision: str = SUPERVISION
    ) -> DepthGSegmenter:
        """A network holding the tensors of a published checkpoint, a file or its content; sizes are read from them.

        `backbone` is DINO where the checkpoint holds none, or in place of its own: a file of DINO's, its content, or a folder
        or Hub id of transformers (``facebook/dino-vitb8``). Of files, only tensors are read. In eval mode. Raises
        `WeightsError` naming the file and everything that does not fit, with what would.
        """
        source = os.fspath(checkpoint) if isinstance(checkpoint, str | os.PathLike) else "The checkpoint given"
        state = _with_backbone(_tensors(checkpoint), backbone, source)
        config = _configuration_of(state, supervision, source)
        with torch.device("meta"):
            own = cls(config).checkpoint_state()
        names = {name: _published(name) for name in own}
        expected = {published: tuple(own[name].shape) for name, published in names.items()}
        require_match(state, expected, source=source, network="DepthGSegmenter", fits=_FITS)
        network = cls(config)
        network.load_checkpoint_state({name: state[published] for name, published in names.items()})
        return network.eval()

    def checkpoint_state(self) -> StateDict:
        """Tensors as they are stored: published names behind ``backbone.``, ``head.``, ``probe.``."""
        return joined_parts({
            "backbone": self.backbone.reference_state(),
            "head": self.head.state_dict(),
            "probe": self.probe.state_dict(),
        })  # fmt: skip

    def load_checkpoint_state(self, state: StateDict) -> None:
        """Take over tensors stored by `checkpoint_state`."""
        self.backbone.load_reference_state(part_of(state, "backbone."))
        self.head.load_state_dict(to_float32(part_of(state, "head.")))
        self.probe.load_state_dict(to_float32(part_of(state, "probe.")))


def _tensors(checkpoint: StateSource) -> StateDict:
    """Those tensors of a checkpoint that make pseudo-classes."""
    state = checkpoint if isinstance(checkpoint, Mapping) else read_state_dict(checkpoint, leave_out_objects=True)
    wanted = tuple(_PUBLISHED.values())
    found = {name: tensor for name, tensor in state.items() if name.startswith(wanted)}
    return found or dict(state)  # no checkpoint of this kind: all of it, to tell what it is


def _with_backbone(state: StateDict, backbone: StateSource | None, source: str) -> StateDict:
    """The tensors with those of `backbone` under the names that a checkpoint gives them."""
    prefix = _PUBLISHED["backbone."]
    if backbone is None:
        if "net.cluster1.0.weight" in state and not any(name.startswith(prefix) for name in state):
            raise WeightsError(
                f"{source} holds the head alone; give its backbone too: a folder or Hub id such as facebook/dino-vitb8, or "
                "DINO's file dino_vitbase8_pretrain.pth."
            )
        return state
    if isinstance(backbone, Mapping):
        given: Mapping[str, torch.Tensor] = backbone
    else:
        given = read_state_dict(backbone) if Path(backbone).is_file() else dino_of_transformers(os.fspath(backbone))
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    return kept | {prefix + name: tensor for name, tensor in given.items()}


def _configuration_of(state: Mapping[str, torch.Tensor], supervision: str, source: str) -> DepthGConfig:
    """The sizes that tensors under published names show. Raises `WeightsError` if they show none, or none that can be."""
    sizes = backbone_configuration_of(part_of(state, _PUBLISHED["backbone."]))
    head, clusters = state.get("net.cluster1.0.weight"), state.get("cluster_probe.clusters")
    if sizes is None or head is None or clusters is None or head.ndim != 4 or clusters.ndim != 2:
        some = ", ".join(sorted(state)[:3]) or "nothing"
        raise WeightsError(f"{source} is no checkpoint of DepthG: it holds {some}, …; {_FITS}.")
    if head.shape[1] != sizes["hidden_size"]:
        raise WeightsError(
            f"{source}: its head takes {head.shape[1]} channels, but the backbone gives {sizes['hidden_size']}; give the DINO "
            "of this size (384 are ViT-S, 768 ViT-B)."
        )
    try:
        return DepthGConfig(**sizes, code_dim=head.shape[0], clusters=len(clusters), supervision=supervision)
    except (RecipeError, TypeError) as error:
        raise WeightsError(f"{source} is no DepthG that can be built: {error}") from error


def _published(name: str) -> str:
    part, _, rest = name.partition(".")
    return _PUBLISHED[f"{part}."] + rest
