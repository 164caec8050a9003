"""CAUSE-TR head (Kim et al., 2023): backbone tokens to codes, as student and as teacher.

Follows the published code, which differs from the report's text:

* the query *content* is the vector-quantised token, not a learned query; what is learned is the positional term;
* one post-norm decoder layer with a single attention head: self-attention among the queries, cross-attention to the
  backbone tokens, feed-forward; **then the backbone tokens are added**;
* the code is the sum of a linear and a two-layer map; the teacher (`head_ema`) is the one used at inference;
* positions are learned per place in the window, so a window is always the same size, and they are not mirrored
  with a mirrored window.

Modules carry the names of the published state dict (`tr`, `f1`, `f2`, `self_attn`, …), so that it loads as it is. The
published file also holds `linear`, a probe trained on ground truth; it is kept when present so that a checkpoint
survives a round trip, and nothing here uses it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from mbps_dataset.models.checkpoints import StateDict, require_match, shapes_of, to_float32


def quantise(features: torch.Tensor, codebook: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest codebook row per token by cosine: features [..., D], codebook [K, D] -> index [...], rows [..., D].

    The rows are returned as they are stored, not normalised.
    """
    similarity = functional.normalize(features, dim=-1) @ functional.normalize(codebook, dim=-1).T
    index = similarity.argmax(dim=-1)
    return index, codebook[index]


class DecoderLayer(nn.Module):
    """One post-norm transformer decoder layer with one attention head, a skip from the backbone, and the code maps.

    `dim` D channels, `code_dim` C, `feed_forward_dim` hidden channels, `dropout` as a share in training.
    """

    def __init__(self, *, dim: int, code_dim: int, feed_forward_dim: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
        self.linear1 = nn.Linear(dim, feed_forward_dim)
        self.linear2 = nn.Linear(feed_forward_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.f1 = nn.Conv2d(dim, code_dim, 1)
        self.f2 = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, code_dim, 1))

    def attend_queries(self, content: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Self-attention of the queries, residual, norm1: [B, P, D] and [P, D] -> [B, P, D]."""
        placed = content + position
        update = self.self_attn(placed, placed, content, need_weights=False)[0]
        return self.norm1(content + self.dropout(update))

    def attend_features(self, queries: torch.Tensor, position: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Cross-attention to the backbone tokens (which get no position), residual, norm2: -> [B, P, D]."""
        update = self.multihead_attn(queries + position, features, features, need_weights=False)[0]
        return self.norm2(queries + self.dropout(update))

    def feed_forward(self, queries: torch.Tensor) -> torch.Tensor:
        """Two linear maps with ReLU, residual, norm3: [B, P, D] -> [B, P, D]."""
        update = self.linear2(self.dropout(functional.relu(self.linear1(queries))))
        return self.norm3(queries + self.dropout(update))

    def decode(self, features: torch.Tensor, content: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """The layer and the skip from the backbone: features, content [B, P, D], position [P, D] -> [B, P, D]."""
        queries = self.attend_queries(content, position)
        queries = self.attend_features(queries, position, features)
        return features + self.feed_forward(queries)

    def code(self, decoded: torch.Tensor) -> torch.Tensor:
        """Sum of the linear and the two-layer map, each behind its own dropout: [B, P, D] -> [B, P, C]."""
        linear = self.f1(_as_map(self.dropout(decoded)))
        deep = self.f2(_as_map(self.dropout(decoded)))
        return _as_tokens(linear + deep)


class CauseHead(nn.Module):
    """Learned positions and the decoder layer: one of student and teacher.

    `tokens` P = number of tokens in a window; the positions start as standard normals, as in the published code.
    """

    def __init__(self, *, tokens: int, dim: int, code_dim: int, feed_forward_dim: int, dropout: float) -> None:
        super().__init__()
        self.query_pos = nn.Parameter(torch.randn(tokens, dim))
        self.tr = DecoderLayer(dim=dim, code_dim=code_dim, feed_forward_dim=feed_forward_dim, dropout=dropout)

    def forward(self, features: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
        """Codes of backbone tokens: features [B, P, D], codebook [K, D] -> [B, P, C], not normalised."""
        _check_tokens(features, self.query_pos)
        content = quantise(features, codebook)[1]
        return self.tr.code(self.tr.decode(features, content, self.query_pos))


class PointwiseMap(nn.Module):
    """A 1x1 convolution over tokens: [B, P, C] -> [B, P, M]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.f = nn.Conv2d(inputs, outputs, 1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return _as_tokens(self.f(_as_map(codes)))


class SegmentTR(nn.Module):
    """Student and teacher heads, their projections, and the codebook both quantise with.

    `dim` D of the backbone, `tokens` P per window, `code_dim` C, `projection_dim` M, `codebook_size` K,
    `feed_forward_dim`, `dropout` (training only), `linear_classes`: classes of the ground-truth probe of a published
    checkpoint, None if there is none. The teacher starts as a copy of the student and takes no gradients.
    """

    codebook: torch.Tensor

    def __init__(
        self,
        *,
        dim: int = 768,
        tokens: int = 529,
        code_dim: int = 90,
        projection_dim: int = 2048,
        codebook_size: int = 2048,
        feed_forward_dim: int = 2048,
        dropout: float = 0.1,
        linear_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.head = CauseHead(
            tokens=tokens, dim=dim, code_dim=code_dim, feed_forward_dim=feed_forward_dim, dropout=dropout
        )
        self.projection_head = PointwiseMap(code_dim, projection_dim)
        self.head_ema = copy.deepcopy(self.head).requires_grad_(False)
        self.projection_head_ema = copy.deepcopy(self.projection_head).requires_grad_(False)
        self.linear = PointwiseMap(code_dim, linear_classes).requires_grad_(False) if linear_classes else None
        bound = 1.0 / codebook_size
        self.register_buffer("codebook", torch.empty(codebook_size, dim).uniform_(-bound, bound))

    @classmethod
    def from_reference(
        cls, state: Mapping[str, torch.Tensor], codebook: Any, *, dropout: float = 0.1, source: str = "segment_tr"
    ) -> SegmentTR:
        """Build from a published ``segment_tr`` state dict and its codebook [K, D] (array or tensor), in eval mode.

        All sizes are read from the shapes. Raises `WeightsError` if they contradict each other or tensors are missing.
        """
        codebook = torch.as_tensor(codebook).float()
        sizes = segment_configuration_of(state) or {}
        segment = cls(**(sizes | {"codebook_size": codebook.shape[0]}), dropout=dropout)
        segment.load_reference_state(state, codebook, source=source)
        return segment.eval()

    def load_reference_state(
        self,
        state: Mapping[str, torch.Tensor],
        codebook: torch.Tensor,
        *,
        source: str = "segment_tr",
        fits: str | None = None,
    ) -> None:
        """Take over a published state dict (which lacks the codebook) and the codebook [K, D].

        Raises `WeightsError` with every difference and what would fit: `fits`, or the sizes read from the shapes.
        """
        complete = {**state, "codebook": codebook}
        if fits is None:
            sizes = segment_configuration_of(state)
            fits = ", ".join(f"{name}={value}" for name, value in sizes.items()) if sizes else ""
        require_match(complete, shapes_of(self), source=source, network="SegmentTR", fits=fits)
        self.load_state_dict(to_float32(complete))

    def reference_state(self) -> StateDict:
        """Tensors under the names of a published ``segment_tr`` file, which does not hold the codebook."""
        return {name: tensor for name, tensor in self.state_dict().items() if name != "codebook"}

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Teacher codes, the ones used at inference: features [B, P, D] -> [B, P, C]."""
        return self.head_ema(features, self.codebook)

    def encode_student(self, features: torch.Tensor) -> torch.Tensor:
        """Student codes: features [B, P, D] -> [B, P, C]."""
        return self.head(features, self.codebook)

    @torch.no_grad()
    def update_teacher(self, decay: float = 0.99) -> None:
        """teacher = decay · teacher + (1 − decay) · student, for head and projection; `decay` 0 copies the student."""
        pairs = ((self.head_ema, self.head), (self.projection_head_ema, self.projection_head))
        for teacher, student in pairs:
            for slow, fast in zip(teacher.parameters(), student.parameters()):
                slow.copy_(fast) if decay == 0 else slow.mul_(decay).add_(fast, alpha=1 - decay)


def segment_configuration_of(state: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """Constructor arguments of `SegmentTR` that fit a published state dict; None if its shapes do not tell.

    The codebook is a separate file, so `codebook_size` is not among them.
    """
    try:
        tokens, dim = state["head.query_pos"].shape
        return {
            "dim": dim,
            "tokens": tokens,
            "code_dim": state["head.tr.f1.weight"].shape[0],
            "projection_dim": state["projection_head.f.weight"].shape[0],
            "feed_forward_dim": state["head.tr.linear1.weight"].shape[0],
            "linear_classes": state["linear.f.weight"].shape[0] if "linear.f.weight" in state else None,
        }
    except (KeyError, ValueError, IndexError):
        return None


def _check_tokens(features: torch.Tensor, positions: torch.Tensor) -> None:
    if features.ndim != 3 or features.shape[1:] != positions.shape:
        side = math.isqrt(positions.shape[0])
        raise ValueError(
            f"Expected `features` to be [B, {positions.shape[0]}, {positions.shape[1]}], but got "
            f"{tuple(features.shape)}; this head was made for windows of {side} x {side} tokens."
        )


def _as_map(tokens: torch.Tensor) -> torch.Tensor:
    """[B, P, D] -> [B, D, P, 1]: a 1x1 convolution does not care how the tokens are laid out."""
    return tokens.transpose(1, 2).unsqueeze(-1)


def _as_tokens(maps: torch.Tensor) -> torch.Tensor:
    return maps.squeeze(-1).transpose(1, 2)
