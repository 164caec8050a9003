"""CAUSE-TR (Kim et al., 2023): images to codes, and codes to pseudo-classes.

`CauseSegmenter` puts together the parts: a DINOv2 backbone, the head with its teacher, the codebook, the cluster
probe. Sizes are those of the published Cityscapes checkpoints by default; a tiny network of the same class differs in
its `CauseConfig` and nowhere else. Mirror averaging and sliding windows are no business of the network: see
`mbps_dataset.stages.semantics`.

The published files are ``dinov2_vitb14_pretrain.pth``, ``segment_tr.pth``, ``cluster_tr.pth`` and ``modular.npy``
(the codebook). What is stored for the Hub keeps their tensor names behind ``backbone.``, ``segment.`` and ``probe.``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from huggingface_hub import ModelCard

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause.head import SegmentTR, segment_configuration_of
from mbps_dataset.models.cause.label_leak import LeakReport, label_leak_report
from mbps_dataset.models.cause.probe import ClusterProbe
from mbps_dataset.models.checkpoints import (
    StateDict,
    joined_parts,
    part_of,
    read_array,
    read_state_dict,
    require_finite,
)
from mbps_dataset.models.dinov2 import INTERPOLATIONS, Dinov2Backbone, backbone_configuration_of, sizes_of
from mbps_dataset.models.saved_network import HubNetwork


__all__ = ["CauseConfig", "CauseSegmenter", "ClusterProbe", "LeakReport", "SegmentTR", "label_leak_report"]

StateSource = str | os.PathLike[str] | Mapping[str, torch.Tensor]
ArraySource = str | os.PathLike[str] | np.ndarray | torch.Tensor


@dataclass(frozen=True)
class CauseConfig:
    """Every size of a `CauseSegmenter`; the defaults are the published ViT-B/14 network for Cityscapes."""

    hidden_size: int = 768  # D, channels of the backbone
    layers: int = 12  # blocks of the backbone
    heads: int = 12  # attention heads per block of the backbone
    mlp_ratio: int = 4  # hidden channels of the backbone's MLP over D
    patch_size: int = 14  # pixels
    position_grid: int = 37  # side of the position table, tokens
    interpolation: str = "reference"  # how that table is resized: "reference" or "huggingface"
    registers: int = 0  # register tokens of the backbone
    crop: int = 322  # side of a window, pixels
    code_dim: int = 90  # C
    projection_dim: int = 2048  # channels in which the contrastive loss compares
    codebook_size: int = 2048  # rows of the codebook
    feed_forward_dim: int = 2048  # hidden channels of the head's feed-forward part
    clusters: int = 27  # K, rows of the cluster probe
    dropout: float = 0.1  # in the head, while training
    linear_classes: int | None = None  # classes of the ground-truth probe a published checkpoint carries along
    supervision: str = "unknown"  # what the weights saw in training; travels into the label set

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, but is {value!r}.")
            if value > _LARGEST:
                raise ValueError(f"{name} must be at most {_LARGEST}, but is {value}.")
        if (
            isinstance(self.registers, bool)
            or not isinstance(self.registers, int)
            or not 0 <= self.registers <= _LARGEST
        ):
            raise ValueError(f"registers must be a whole number from 0 to {_LARGEST}, but is {self.registers!r}.")
        if self.layers > _MOST_LAYERS:
            raise ValueError(f"layers must be at most {_MOST_LAYERS}, but is {self.layers}.")
        if self.crop % self.patch_size:
            raise ValueError(f"crop ({self.crop}) must be a multiple of patch_size ({self.patch_size}).")
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) must be a multiple of heads ({self.heads}).")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation must be one of {INTERPOLATIONS}, but is {self.interpolation!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, but is {self.dropout!r}.")

    @property
    def grid(self) -> int:
        """Tokens along one side of a window."""
        return self.crop // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens of a window, P."""
        return self.grid**2


_LARGEST, _MOST_LAYERS = 65_536, 256  # far beyond any published network; more only takes memory and time

_SIZES = (
    "hidden_size", "layers", "heads", "mlp_ratio", "patch_size", "position_grid", "crop", "code_dim", "projection_dim",
    "codebook_size", "feed_forward_dim", "clusters",
)  # fmt: skip

_CARD = """---
{{ card_data }}
---

# CAUSE-TR segmenter

Images of streets to pseudo-classes: a DINOv2 backbone, the CAUSE-TR head, its codebook and a cluster probe.

```python
from mbps_dataset.models.cause.segmenter import CauseSegmenter

network = CauseSegmenter.from_pretrained("this repository")
```

Did labels reach it? {{ label_leak }}

CAUSE: Kim, Lee and Ro, "Causal Unsupervised Semantic Segmentation", 2023. DINOv2: Oquab et al., 2023. Weights made from
published files stay under the terms of those files.
"""


class CauseSegmenter(
    HubNetwork,
    library_name="mbps-dataset",
    tags=["unsupervised-semantic-segmentation", "cause", "dinov2"],
    model_card_template=_CARD,
):
    """Backbone, head (student and teacher), codebook and cluster probe, as one network that loads and saves itself."""

    config_class = CauseConfig

    def __init__(self, config: CauseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Dinov2Backbone(
            **sizes_of(config), interpolation=config.interpolation, registers=config.registers
        )
        self.segment = SegmentTR(
            dim=config.hidden_size,
            tokens=config.tokens,
            code_dim=config.code_dim,
            projection_dim=config.projection_dim,
            codebook_size=config.codebook_size,
            feed_forward_dim=config.feed_forward_dim,
            dropout=config.dropout,
            linear_classes=config.linear_classes,
        )
        self.probe = ClusterProbe(clusters=config.clusters, code_dim=config.code_dim)

    @property
    def codebook(self) -> torch.Tensor:
        """[codebook_size, D]: the rows with which the heads quantise tokens; a buffer of `segment`."""
        return self.segment.codebook

    def codes(self, pixels: torch.Tensor) -> torch.Tensor:
        """Teacher codes of windows: pixels [B, 3, crop, crop] (ImageNet-normalised) -> [B, P, C]; no mirroring."""
        return self.segment.encode(self.backbone.features(pixels))

    def forward(self, pixels: torch.Tensor, alpha: float = 3.0) -> torch.Tensor:
        """Log-probabilities of the clusters: pixels [B, 3, crop, crop] -> [B, K, h, w], one value per token."""
        return self.probe.log_probs(self.codes(pixels), alpha)

    @classmethod
    def from_reference(
        cls,
        *,
        backbone: StateSource,
        segment: StateSource,
        cluster: StateSource,
        codebook: ArraySource,
        config: CauseConfig | None = None,
        **settings: Any,
    ) -> CauseSegmenter:
        """Build from the published files (``.pth``, ``.pth``, ``.pth``, ``.npy``) or their content; in eval mode.

        Sizes are read from the tensors unless `config` is given; `settings` override single fields, such as
        ``interpolation="huggingface"`` or ``heads=…``, which shapes do not show (64 channels per head are assumed).
        Raises `WeightsError` if a file is unsafe or damaged, or if the files do not fit each other or `config`.
        """
        states = {
            name: _state(source)
            for name, source in (("backbone", backbone), ("segment", segment), ("cluster", cluster))
        }
        rows = _codebook(codebook)
        found = configuration_of(states["backbone"], states["segment"], states["cluster"], rows)
        wanted = replace(config or found or CauseConfig(), **settings)
        network, fits = cls(wanted), _differences(found, wanted)
        network.backbone.load_reference_state(states["backbone"], source=_name(backbone, "backbone"), fits=fits)
        network.segment.load_reference_state(states["segment"], rows, source=_name(segment, "segment"), fits=fits)
        probe = ClusterProbe.from_reference(states["cluster"], source=_name(cluster, "cluster"))
        if probe.cluster_probe.shape != network.probe.cluster_probe.shape:
            raise WeightsError(
                f"{_name(cluster, 'cluster')}: cluster_probe is {list(probe.cluster_probe.shape)}, but the network has "
                f"{network.config.clusters} clusters of {network.config.code_dim} channels; use the file saved with "
                "this head."
            )
        network.probe = probe
        return network.eval()

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card written next to the weights; it says whether labels seem to have reached them."""
        return super().generate_model_card(*args, label_leak=str(label_leak_report(self.segment)), **kwargs)

    def checkpoint_state(self) -> StateDict:
        """Tensors as they are stored: names of the published files behind ``backbone.``, ``segment.``, ``probe.``."""
        return joined_parts({
            "backbone": self.backbone.reference_state(),
            "segment": self.segment.state_dict(),
            "probe": self.probe.state_dict(),
        })  # fmt: skip

    def load_checkpoint_state(self, state: StateDict) -> None:
        """Take over tensors stored by `checkpoint_state`."""
        self.backbone.load_reference_state(part_of(state, "backbone."))
        self.segment.load_state_dict(part_of(state, "segment."))
        self.probe.load_state_dict(part_of(state, "probe."))


def configuration_of(
    backbone: Mapping[str, torch.Tensor],
    segment: Mapping[str, torch.Tensor],
    cluster: Mapping[str, torch.Tensor],
    codebook: torch.Tensor,
) -> CauseConfig | None:
    """The `CauseConfig` that fits published state dicts; None if one of them lacks the tensors that tell.

    Raises `WeightsError` if backbone, head and codebook were made for different numbers of channels, or if the head
    was not made for square windows.
    """
    body, head = backbone_configuration_of(backbone), segment_configuration_of(segment)
    if body is None or head is None or cluster.get("cluster_probe", torch.empty(0)).ndim != 2:
        return None
    if not body["hidden_size"] == head["dim"] == codebook.shape[1]:
        raise WeightsError(
            f"These files do not belong together: the backbone gives {body['hidden_size']} channels, the head takes "
            f"{head['dim']} and the codebook has {codebook.shape[1]}; use a backbone and codebook of {head['dim']}."
        )
    side = math.isqrt(head["tokens"])
    if side**2 != head["tokens"]:
        raise WeightsError(f"The head was made for {head['tokens']} tokens per window, which is no square number.")
    return CauseConfig(
        **body,
        crop=side * body["patch_size"],
        code_dim=head["code_dim"],
        projection_dim=head["projection_dim"],
        codebook_size=codebook.shape[0],
        feed_forward_dim=head["feed_forward_dim"],
        clusters=cluster["cluster_probe"].shape[0],
        linear_classes=head["linear_classes"],
    )


def _differences(found: CauseConfig | None, wanted: CauseConfig) -> str:
    """Fields in which the configuration that fits differs from the one asked for, as ``name=value``."""
    sizes = {} if found is None else asdict(found)
    same = asdict(wanted)
    return ", ".join(f"{name}={value} (not {same[name]})" for name, value in sizes.items() if value != same[name])


def _state(source: StateSource) -> Mapping[str, torch.Tensor]:
    return source if isinstance(source, Mapping) else read_state_dict(source)


def _codebook(source: ArraySource) -> torch.Tensor:
    rows = read_array(source) if isinstance(source, str | os.PathLike) else source
    rows = torch.as_tensor(rows)
    if rows.ndim != 2 or not rows.is_floating_point():
        raise WeightsError(
            f"Expected the codebook to be a float array [rows, D], but got {rows.dtype} {list(rows.shape)}."
        )
    require_finite({"codebook": rows}, source=_name(source, "codebook"))
    return rows.float()


def _name(source: Any, part: str) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"The {part} given"
