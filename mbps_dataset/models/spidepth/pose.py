"""The pose network: how the camera moved between two frames. It exists only while the depth network is trained.

Decisions and where they come from:

1. A ResNet-18 over two stacked frames (six channels), then 1x1, 3x3, 3x3 and 1x1 convolutions, the spatial mean and a
   factor 0.01, so that training starts from "the camera stands still" (SPIdepth reference code, after Monodepth2).
2. The frames go in as they are, values in [0, 1], in temporal order; no mean or standard deviation.
3. Modules carry the names of the published checkpoint (timm's ResNet), so it loads without a mapping.
4. Sizes are configuration (ours): the demo weights are trained with a network forty times smaller, on half-size frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mbps_dataset.errors import WeightsError


@dataclass(frozen=True)
class PoseConfig:
    """Size of a pose network; the default is the published one (ResNet-18, 12.5 M parameters)."""

    stem_width: int = 64  # channels after the 7x7 stem
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels of the residual stages
    depths: tuple[int, ...] = (2, 2, 2, 2)  # residual blocks per stage
    hidden: int = 256  # channels of the head
    shrink: int = 1  # frames are averaged over so many pixels a side first (ours; 1 = as published)

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not self.widths:
            raise ValueError(
                f"Expected one block count per stage, but got widths {self.widths} and depths {self.depths}; "
                "make them equally long."
            )


TINY_POSE = PoseConfig(stem_width=16, widths=(16, 32, 64, 96), depths=(1, 1, 1, 1), hidden=64, shrink=2)
"""0.3 M parameters, for rendered scenes on a processor."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut, as in ResNet-18."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h / stride, w / stride]."""
        shortcut = features if self.downsample is None else self.downsample(features)
        out = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNetEncoder(nn.Module):
    """The residual network up to its last feature map, stride 4 * 2 ** (stages - 1)."""

    def __init__(self, config: PoseConfig, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, config.stem_width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.n_stages = len(config.widths)
        channels = config.stem_width
        for stage, (width, depth) in enumerate(zip(config.widths, config.depths), start=1):
            first = ResidualBlock(channels, width, stride=1 if stage == 1 else 2)
            rest = [ResidualBlock(width, width, stride=1) for _ in range(depth - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            channels = width

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> last feature map."""
        features = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for stage in range(1, self.n_stages + 1):
            features = self.get_submodule(f"layer{stage}")(features)
        return features


class PoseNetwork(nn.Module):
    """Camera motion from one frame to the next.

    Example:
        >>> network = PoseNetwork(TINY_POSE).eval()
        >>> rotation, translation = network(torch.rand(2, 6, 64, 128))
        >>> rotation.shape, translation.shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, config: PoseConfig | None = None) -> None:
        super().__init__()
        self.config = config or PoseConfig()
        hidden = self.config.hidden
        self.encoder = ResNetEncoder(self.config, in_channels=6)
        self.squeeze = nn.Sequential(nn.Conv2d(self.config.widths[-1], hidden, 1), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1), nn.ReLU()),
            nn.Conv2d(hidden, 6, 1),
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Motion of the camera between two stacked frames.

        Args:
            frames: [B, 6, H, W] in [0, 1]; the earlier frame first.

        Returns:
            (axis times angle in radians [B, 3], translation [B, 3] in units of the mean depth of the image).
        """
        if frames.ndim != 4 or frames.shape[1] != 6:
            raise ValueError(
                f"Expected two stacked RGB frames [B, 6, H, W], but got {tuple(frames.shape)}; "
                "concatenate the earlier and the later frame along dimension 1."
            )
        if self.config.shrink > 1:
            frames = F.avg_pool2d(frames, self.config.shrink)
        motion = 0.01 * self.decoder(self.squeeze(self.encoder(frames))).mean((2, 3))
        return motion[:, :3], motion[:, 3:]

    @classmethod
    def from_reference(cls, state_dict: Mapping[str, Tensor], config: PoseConfig | None = None) -> PoseNetwork:
        """Load a published pose checkpoint (keys ``encoder.*``, ``squeeze.*``, ``decoder.*``).

        Raises `WeightsError` if keys or shapes do not fit; the message names the first few.
        """
        network = cls(config)
        expected = network.state_dict()
        missing = sorted(expected.keys() - state_dict.keys())
        unknown = sorted(state_dict.keys() - expected.keys())
        misfits = sorted(k for k in expected.keys() & state_dict.keys() if expected[k].shape != state_dict[k].shape)
        if missing or unknown or misfits:
            raise WeightsError(
                "Expected the tensors of a pose network of this size, but "
                f"{len(missing)} are missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]} and "
                f"{len(misfits)} have another shape {misfits[:3]}; check the file and the PoseConfig."
            )
        network.load_state_dict(dict(state_dict))
        return network
