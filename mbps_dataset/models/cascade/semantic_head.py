"""The semantic head (Panoptic FPN, Kirillov et al., CVPR 2019): classes of stuff, and one for any thing, and its loss.

Levels p2 to p5 are brought to stride 4 by 3 × 3 convolutions without bias, group norm, ReLU and bilinear doubling, summed, and
predicted by one 1 × 1 convolution; logits are enlarged four times.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from mbps_dataset.models.cascade.conv_norm import ConvNorm


IGNORED = 255
"""Label of a pixel that takes part in no loss."""

ANY_THING = 0
"""Channel of the head that stands for all things."""

_STRIDE = 4
_GROUPS = 32


class SemanticHead(nn.Module):
    """``sem_seg_head`` in published files."""

    def __init__(self, inputs: int, channels: int, classes: int) -> None:
        super().__init__()
        for level in range(2, 6):
            layers: list[nn.Module] = []
            for number in range(max(1, level - 2)):
                norm = nn.GroupNorm(_GROUPS, channels)
                layers.append(
                    ConvNorm(inputs if number == 0 else channels, channels, 3, norm=norm, relu=True, padding=1)
                )
                if level > 2:
                    layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            self.add_module(f"p{level}", nn.Sequential(*layers))
        self.predictor = nn.Conv2d(channels, classes, 1)
        nn.init.kaiming_normal_(self.predictor.weight, mode="fan_out", nonlinearity="relu")
        if self.predictor.bias is not None:
            nn.init.zeros_(self.predictor.bias)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Maps p2, p3, p4, p5 [B, C, h, w] (more are not looked at) → logits [B, classes, h, w] at stride 4."""
        common = self.get_submodule("p2")(levels[0])
        for level, maps in enumerate(levels[1:4], start=3):
            common = common + self.get_submodule(f"p{level}")(maps)
        return self.predictor(common)


def enlarge(logits: Tensor) -> Tensor:
    """Logits at stride 4 [B, K, h, w] → at every pixel [B, K, 4h, 4w], bilinear."""
    return functional.interpolate(logits, scale_factor=float(_STRIDE), mode="bilinear", align_corners=False)


def fit_to_image(logits: Tensor, size: tuple[int, int], output: tuple[int, int]) -> Tensor:
    """`enlarge`d logits [K, H, W] of a padded image, without the padding (`size`) and resized to `output`, bilinear."""
    inside = logits[None, :, : size[0], : size[1]]
    if size == output:
        return inside[0]
    return functional.interpolate(inside, size=output, mode="bilinear", align_corners=False)[0]


def semantic_loss(
    logits: Tensor, target: Tensor, *, weight: float = 0.5, class_weights: Tensor | None = None
) -> Tensor:
    """`weight` times the cross-entropy of logits at stride 4 [B, K, h, w] enlarged to `target` int64 [B, 4h, 4w], a scalar.

    Mean over the pixels that are not `IGNORED`, each by the weight of its class with `class_weights` [K]; 0 if there is none
    (published code: NaN).
    """
    enlarged = enlarge(logits.float())
    if not bool((target != IGNORED).any()):
        return enlarged.sum() * 0
    return weight * functional.cross_entropy(enlarged, target, weight=class_weights, ignore_index=IGNORED)
