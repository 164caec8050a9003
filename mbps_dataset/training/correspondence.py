"""Correspondence losses of STEGO and DepthG: codes agree where features do (Hamilton et al., ICLR 2022; Sick et al., CVPR 2024).

With F the cosines of features and S those of codes between sampled positions of two images,

    L(F, S; b) = mean of −max(S, 0) · (F − b)

    total = w_self L(anchor, anchor) + w_neighbour L(anchor, neighbour) + w_other L(anchor, another image)
          + w_depth L(D, S(anchor, anchor))

Gradients reach the codes only, and none where S < 0. Decisions, as in the published code:

* an anchor is sampled at one set of random positions, whatever it is compared with at another;
* another image is a random one of the batch that is not the anchor; two anchors may share one;
* `centred` takes the mean over the second image's positions off F and gives the mean over all back.

Two kinds of D. ``depth="published"``: the depth map of the whole image, shrunk to the grid, normalised over its single
channel: D is the product of the signs, 1 where depth is valid and 0 where it is 0, so the term pulls all codes together and
carries no depth, and its positions are not those of the codes. ``depth="similarity"`` (ours): 1 − |a − b| of inverse
depths scaled to [0, 1] in each image, sampled where the codes are, and 0 where a depth is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mbps_dataset.settings import Settings, setting


@dataclass(frozen=True)
class CorrespondenceSettings(Settings):
    """Weights and shifts of the terms; the defaults are DepthG's for Cityscapes. Raises `RecipeError` out of range."""

    self_weight: float = setting(0.95, "weight of an image with itself", at_least=0, source="DepthG")
    neighbour_weight: float = setting(1.02, "weight of an image with a neighbour", at_least=0, source="DepthG")
    other_weight: float = setting(0.57, "weight of an image with another one", at_least=0, source="DepthG")
    depth_weight: float = setting(0.09, "weight of the depth term at the start", at_least=0, source="DepthG")
    self_shift: float = setting(
        0.39, "cosine of features of an image with itself from which codes attract", source="DepthG"
    )
    neighbour_shift: float = setting(0.25, "the same, of an image and a neighbour", source="DepthG")
    other_shift: float = setting(0.26, "the same, of an image and another one", source="DepthG")
    depth_shift: float = setting(0.03, "depth similarity from which codes attract, at the start", source="DepthG")
    centred: bool = setting(False, "take the mean over the second image's positions off the cosines of features")
    stabilised: bool = setting(False, "let cosines of codes above 0.8 attract no further")
    depth: str = setting("published", "what the depth term compares", choices=("published", "similarity"))


PUBLISHED = CorrespondenceSettings()
"""What DepthG is trained with on Cityscapes."""

MOST_ATTRACTED = 0.8
"""Cosine of codes from which `stabilised` lets nothing attract further."""


@dataclass(frozen=True, eq=False)
class CorrespondenceLosses:
    """The four terms, means over all pairs of positions, each a scalar, and their weighted `total`."""

    with_itself: Tensor
    with_neighbour: Tensor
    with_others: Tensor
    depth: Tensor | None
    total: Tensor


def draw_positions(batch: int, side: int, generator: torch.Generator | None = None) -> Tensor:
    """Random positions for `sample_at`: float32 [B, side, side, 2], uniform in [-1, 1]."""
    return torch.rand(batch, side, side, 2, generator=generator) * 2 - 1


def sample_at(maps: Tensor, positions: Tensor) -> Tensor:
    """[B, C, h, w] bilinearly at `positions` [B, S, T, 2] (x, y in [-1, 1], the middles of border pixels) → [B, C, T, S].

    The two axes of the grid of positions are exchanged, as published.
    """
    exchanged = positions.transpose(1, 2)
    return F.grid_sample(maps, exchanged, mode="bilinear", padding_mode="border", align_corners=True)


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of every pair of positions: [B, C, h, w] and [B, C, i, j] → [B, h, w, i, j] in [-1, 1]; 0 for a zero vector."""
    return torch.einsum(
        "bchw,bcij->bhwij", F.normalize(first, dim=1, eps=1e-10), F.normalize(second, dim=1, eps=1e-10)
    )


def other_images(permutation: Tensor) -> Tensor:
    """Index of another image for each of B: int64 [B] from a random permutation [B], whose fixed points move on by one.

    Afterwards it need not be a permutation. A batch of one image has no other, and gives itself.
    """
    places = torch.arange(len(permutation), device=permutation.device)
    return (permutation + (permutation == places)) % max(len(permutation), 1)


def correspondence_losses(
    features: Tensor,
    neighbour_features: Tensor,
    codes: Tensor,
    neighbour_codes: Tensor,
    *,
    positions: Tensor,
    other_positions: Tensor,
    others: Sequence[Tensor],
    depth: Tensor | None = None,
    settings: CorrespondenceSettings = PUBLISHED,
) -> CorrespondenceLosses:
    """The terms of one batch.

    `features` [B, D, h, w] and `codes` [B, C, h, w] of the images, the same of a neighbour of each (a similar image), both
    `positions` [B, S, S, 2]; `others` one index int64 [B] for each round of negatives, at least one; `depth` [B, 1, H, W] ≥
    0 in metres, 0 unknown. Source: STEGO, equations 2 to 4; DepthG, section 3.
    """
    anchor, anchor_codes = sample_at(features, positions), sample_at(codes, positions)
    alike = _alike(anchor, anchor, settings.centred)
    own = correlation(anchor_codes, anchor_codes)
    with_itself = _attract(own, alike, settings.self_shift, settings)
    neighbour = _alike(anchor, sample_at(neighbour_features, other_positions), settings.centred)
    near_codes = correlation(anchor_codes, sample_at(neighbour_codes, other_positions))
    with_neighbour = _attract(near_codes, neighbour, settings.neighbour_shift, settings)
    rounds = [
        _attract(
            correlation(anchor_codes, sample_at(codes[index], other_positions)),
            _alike(anchor, sample_at(features[index], other_positions), settings.centred),
            settings.other_shift,
            settings,
        )
        for index in others
    ]
    with_others = torch.stack(rounds).mean()
    total = (
        settings.self_weight * with_itself
        + settings.neighbour_weight * with_neighbour
        + settings.other_weight * with_others
    )
    if depth is None:
        return CorrespondenceLosses(with_itself, with_neighbour, with_others, None, total)
    similar = depth_similarity(depth, positions, settings.depth)
    depth_term = _attract(own, similar, settings.depth_shift, settings)
    return CorrespondenceLosses(
        with_itself, with_neighbour, with_others, depth_term, total + settings.depth_weight * depth_term
    )


@torch.no_grad()
def depth_similarity(depth: Tensor, positions: Tensor, kind: str = "published") -> Tensor:
    """How alike depths are at pairs of positions: [B, 1, H, W] metres, 0 unknown → [B, h, w, h, w]; see the module's head."""
    if kind == "published":
        grid = F.interpolate(depth, tuple(positions.shape[1:3]), mode="bilinear", align_corners=True)
        return correlation(grid, grid)
    known = depth > 0
    inverse = torch.where(known, 1 / depth.clamp(min=1e-6), torch.zeros_like(depth))
    scaled = inverse / inverse.flatten(1).amax(dim=1).clamp(min=1e-12)[:, None, None, None]
    values = sample_at(scaled, positions)[:, 0]
    certain = sample_at(known.to(depth), positions)[:, 0] > 1 - 1e-6
    both = certain[:, :, :, None, None] & certain[:, None, None]
    return (1 - (values[:, :, :, None, None] - values[:, None, None]).abs()) * both


@torch.no_grad()
def _alike(first: Tensor, second: Tensor, centred: bool) -> Tensor:
    """Cosines of features, of whose means `centred` keeps only the one over all."""
    cosines = correlation(first, second)
    if not centred:
        return cosines
    off = cosines - cosines.mean(dim=(3, 4), keepdim=True)
    return off - off.mean() + cosines.mean()


def _attract(codes: Tensor, alike: Tensor, shift: float, settings: CorrespondenceSettings) -> Tensor:
    """L of the module's head."""
    return -(codes.clamp(0, MOST_ATTRACTED if settings.stabilised else None) * (alike - shift)).mean()
