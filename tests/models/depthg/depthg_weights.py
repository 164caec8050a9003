"""A small DepthG with drawn weights, and the same as a checkpoint with the published names."""

from __future__ import annotations

from pathlib import Path

import torch

from mbps_dataset.models.depthg import DepthGConfig, DepthGSegmenter


TINY = DepthGConfig(hidden_size=64, layers=2, heads=1, position_grid=6, code_dim=10, clusters=27, supervision="drawn")


def tiny_network(seed: int = 0, config: DepthGConfig = TINY) -> DepthGSegmenter:
    """A small network whose codes differ from place to place, in eval mode."""
    torch.manual_seed(seed)
    network = DepthGSegmenter(config).eval()
    state = network.checkpoint_state()
    return _loaded(network, {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in state.items()})


def _loaded(network: DepthGSegmenter, state: dict[str, torch.Tensor]) -> DepthGSegmenter:
    network.load_checkpoint_state(state)
    return network


def published_tensors(network: DepthGSegmenter) -> dict[str, torch.Tensor]:
    """The tensors under the names of a Lightning checkpoint, beside others that it holds."""
    config = network.config
    return {
        **{f"net.model.{name}": tensor for name, tensor in network.backbone.reference_state().items()},
        **{f"net.{name}": tensor for name, tensor in network.head.state_dict().items()},
        "cluster_probe.clusters": network.probe.clusters.detach(),
        "train_cluster_probe.clusters": torch.randn(27, config.code_dim),
        "linear_probe.weight": torch.randn(27, config.code_dim, 1, 1),
        "decoder.weight": torch.randn(config.hidden_size, config.code_dim, 1, 1),
    }


class Settings:
    """Stands for the settings object of a trainer, of a class that readers do not have."""

    def __init__(self) -> None:
        self.content = {"dim": 100, "nested": {"a": [1, 2]}}


def published_checkpoint(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A file as Lightning writes it: tensors, and settings that only pickle reads."""
    torch.save({"epoch": 3, "state_dict": tensors, "hyper_parameters": {"cfg": Settings()}}, path)
    return path
