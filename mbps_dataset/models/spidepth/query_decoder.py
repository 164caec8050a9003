"""Depth from a feature map by image-dependent queries and adaptive bins (self query layer, after AdaBins and SQLdepth).

Decisions, all from the reference code and its weights:

* the queries are not learned vectors: they are the *first* `queries` output tokens of a small transformer over the
  patches of the map, in raster order, so at 320×1024 the top four of five token rows;
* energies are plain inner products of pixel and query, without scaling;
* a query's summary is the mean of the pixels weighted by the softmax of its energies over the image;
* bin fractions are relu(y) + 0.1, normalised to sum one; depth is the expectation over bin centres.

Module names are those of the published checkpoint, so its tensors load as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mbps_dataset.models.spidepth.reference_names import load_assigned, plain_tensors, shape_of


SECOND_HIDDEN = 256  # width of the bin regressor's second hidden layer
HIDDEN_PER_QUERY = 16  # width of its first hidden layer, per query


class QueryDecoder(nn.Module):
    """Feature map [B, in_channels, h, w] → depth [B, 1, h, w] in [`min_depth`, `max_depth`].

    `patch_size` pixels per token side; `positions` rows of the position table, the most tokens an image may give.
    """

    def __init__(
        self,
        *,
        in_channels: int = 32,
        embedding_dim: int = 32,
        patch_size: int = 32,
        queries: int = 64,
        bins: int = 64,
        heads: int = 4,
        layers: int = 4,
        feedforward: int = 1024,
        positions: int = 500,
        min_depth: float = 0.01,
        max_depth: float = 80.0,
    ) -> None:
        super().__init__()
        self.queries, self.patch_size, self.bins = queries, patch_size, bins
        self.min_depth, self.max_depth = min_depth, max_depth
        self.positional_encodings = nn.Parameter(torch.rand(positions, embedding_dim))
        self.embedding_convPxP = nn.Conv2d(in_channels, embedding_dim, kernel_size=patch_size, stride=patch_size)
        layer = nn.TransformerEncoderLayer(embedding_dim, heads, feedforward, dropout=0.1, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.conv3x3 = nn.Conv2d(in_channels, embedding_dim, kernel_size=3, padding=1)
        self.bins_regressor = nn.Sequential(
            nn.Linear(queries * embedding_dim, queries * HIDDEN_PER_QUERY),
            nn.LeakyReLU(),
            nn.Linear(queries * HIDDEN_PER_QUERY, SECOND_HIDDEN),
            nn.LeakyReLU(),
            nn.Linear(SECOND_HIDDEN, bins),
        )
        self.convert_to_prob = nn.Sequential(nn.Conv2d(queries, bins, kernel_size=1), nn.Softmax(dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """[B, in_channels, h, w] float32 → depth [B, 1, h, w] float32."""
        energies, summaries = self.attend(features)
        edges = self.bin_edges(self.bin_fractions(summaries))
        centres = (edges[:, :-1] + edges[:, 1:]) / 2
        probabilities = self.convert_to_prob(energies)
        return (probabilities * centres[:, :, None, None]).sum(dim=1, keepdim=True)

    def tokens(self, features: Tensor) -> Tensor:
        """Transformer output per patch: [B, in_channels, h, w] → [B, P, E] in raster order.

        Raises `ValueError` if the map gives fewer patches than queries or more than the position table has rows.
        """
        embedded = self.embedding_convPxP(features).flatten(2).transpose(1, 2)
        count, most = embedded.shape[1], len(self.positional_encodings)
        if not self.queries <= count <= most:
            raise ValueError(
                f"Expected a feature map of {self.queries} to {most} patches of {self.patch_size} pixels, but "
                f"{tuple(features.shape[-2:])} gives {count}; use an image size nearer to the one trained at."
            )
        return self.transformer_encoder(embedded + self.positional_encodings[:count])

    def attend(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Energy of every query at every pixel [B, Q, h, w], and the summary of every query [B, Q, E]."""
        queries = self.tokens(features)[:, : self.queries]
        pixels = self.conv3x3(features)
        flat = pixels.flatten(2).transpose(1, 2)
        energies = flat @ queries.transpose(1, 2)  # [B, h w, Q]: this order of sums is the reference's
        summaries = torch.softmax(energies, dim=1).transpose(1, 2) @ flat
        return energies.transpose(1, 2).unflatten(2, pixels.shape[-2:]), summaries

    def bin_fractions(self, summaries: Tensor) -> Tensor:
        """[B, Q, E] → share of the depth range per bin [B, bins], positive, summing to one."""
        raw = torch.relu(self.bins_regressor(summaries.flatten(1))) + 0.1
        return raw / raw.sum(dim=1, keepdim=True)

    def bin_edges(self, fractions: Tensor) -> Tensor:
        """[B, bins] → edges [B, bins + 1] from `min_depth` to `max_depth`."""
        widths = (self.max_depth - self.min_depth) * fractions
        return torch.cumsum(torch.nn.functional.pad(widths, (1, 0), value=self.min_depth), dim=1)

    @classmethod
    def from_reference(
        cls,
        state_dict: Mapping[str, Tensor],
        *,
        num_heads: int = 4,
        min_val: float = 0.01,
        max_val: float = 80.0,
        source: str = "The query decoder's state dict",
        **sizes: int,
    ) -> QueryDecoder:
        """A decoder holding the tensors of a published `depth.pth`, without copying them.

        What the shapes tell is read from them; `sizes` (`in_channels`, `embedding_dim`, `patch_size`, `query_nums`,
        `dim_out`: the reference's names) may state it again and then must agree; `source` names the tensors in
        messages. Raises `WeightsError`.
        """
        found = plain_tensors(state_dict)
        embed = shape_of(found, "embedding_convPxP.weight", rank=4, source=source)
        prob = shape_of(found, "convert_to_prob.0.weight", rank=4, source=source)
        read = {"in_channels": embed[1], "embedding_dim": embed[0], "patch_size": embed[2]}
        read |= {"query_nums": prob[1], "dim_out": prob[0]}
        wanted = read | sizes
        unknown = sorted(set(wanted) - set(read))
        if unknown:
            raise TypeError(f"QueryDecoder.from_reference has no argument {', '.join(unknown)}.")
        layers = len({name.split(".")[2] for name in found if name.startswith("transformer_encoder.layers.")})
        with torch.device("meta"):
            decoder = cls(
                in_channels=wanted["in_channels"],
                embedding_dim=wanted["embedding_dim"],
                patch_size=wanted["patch_size"],
                queries=wanted["query_nums"],
                bins=wanted["dim_out"],
                heads=num_heads,
                layers=layers,
                feedforward=shape_of(found, "transformer_encoder.layers.0.linear1.weight", rank=2, source=source)[0],
                positions=shape_of(found, "positional_encodings", rank=2, source=source)[0],
                min_depth=min_val,
                max_depth=max_val,
            )
        fits = ", ".join(f"{name}={size}" for name, size in read.items())
        load_assigned(decoder, found, source=source, network="QueryDecoder", fits=fits)
        return decoder.eval()
