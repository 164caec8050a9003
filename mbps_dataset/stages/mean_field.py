"""Mean-field inference in a dense CRF with Potts terms (Krähenbühl & Koltun, NeurIPS 2011).

    Q <- softmax(log p);   repeat:  Q <- softmax(log p + sum over terms of  w K Q)

with K = n F n the symmetrically normalised Gaussian filter of a term, n = 1 / sqrt(F 1), and w > 0 its weight (Potts:
equal labels are rewarded). What is decided here, and where it comes from:

* the update is synchronous, a pixel sends a message to itself, and there is no convergence test (pydensecrf, measured);
* pixels are numbered tile by tile, and the update runs over one tile at a time, so that everything it touches fits the
  processor's cache. A term of short reach is filtered inside the tile and a margin around it, which gives the same
  numbers as filtering the whole image and needs no table of the image's size (ours).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.stages.permutohedral import PermutohedralLattice, build_lattice


@dataclass(frozen=True)
class Tiling:
    """Pixels of an image in the order of square tiles, row by row within each; tiles at the right and bottom are cut."""

    height: int
    width: int
    side: int

    @cached_property
    def windows(self) -> list[tuple[slice, slice]]:
        """(rows, columns) of each tile."""
        return [
            (slice(top, min(top + self.side, self.height)), slice(left, min(left + self.side, self.width)))
            for top in range(0, self.height, self.side)
            for left in range(0, self.width, self.side)
        ]

    @cached_property
    def ranges(self) -> list[slice]:
        """Positions of each tile's pixels in tile order."""
        areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in self.windows]
        ends = np.cumsum(areas).tolist()
        return [slice(end - area, end) for area, end in zip(areas, ends)]

    @cached_property
    def positions(self) -> NDArray[np.int32]:
        """[H, W] int32: where each pixel comes in tile order."""
        positions = np.empty((self.height, self.width), np.int32)
        for window, places in zip(self.windows, self.ranges):
            positions[window] = np.arange(places.start, places.stop).reshape(positions[window].shape)
        return positions

    def rows(self, planes: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """[C, H, W] -> [H W, C] in tile order, `change` applied on the way."""
        rows = planes.new_empty(self.height * self.width, len(planes))
        for window, places in zip(self.windows, self.ranges):
            rows[places] = change(planes[:, window[0], window[1]].flatten(1).t())
        return rows

    def planes(self, rows: Tensor) -> Tensor:
        """[H W, C] in tile order -> [C, H, W]."""
        planes = rows.new_empty(rows.shape[1], self.height, self.width)
        for window, places in zip(self.windows, self.ranges):
            tile = planes[:, window[0], window[1]]
            tile.copy_(rows[places].t().reshape(tile.shape))
        return planes


@dataclass(frozen=True)
class GlobalTerm:
    """A term filtered over the whole image: w K, points in tile order."""

    lattice: PermutohedralLattice

    @staticmethod
    def build(features: NDArray[np.float32], weight: float) -> GlobalTerm:
        lattice = build_lattice(features)
        norm = _inverse_root(lattice.mass())
        return GlobalTerm(lattice.reweighted(norm, norm * np.float32(weight)))

    def to(self, device: torch.device) -> GlobalTerm:
        return GlobalTerm(self.lattice.to(device))

    def messages(self, marginals: Tensor) -> Callable[[int, slice], Tensor]:
        table = self.lattice.blur(self.lattice.splat(marginals))
        return lambda tile, places: self.lattice.slice(table, places.start, places.stop)


@dataclass(frozen=True)
class LocalTerm:
    """A term of short reach: one lattice per tile, which splats the tile and a margin and slices the tile."""

    lattices: Sequence[PermutohedralLattice]

    @staticmethod
    def build(features: NDArray[np.float32], tiling: Tiling, margin: int, weight: float) -> LocalTerm:
        """`features` [d, H, W]; `margin` is how many pixels away the filter can reach."""
        lattices, mass = [], np.empty(tiling.height * tiling.width, np.float32)
        for window, places in zip(tiling.windows, tiling.ranges):
            rows, columns = (slice(max(part.start - margin, 0), part.stop + margin) for part in window)
            around = tiling.positions[rows, columns].ravel()
            lattice = build_lattice(features[:, rows, columns].reshape(len(features), -1))
            own = np.flatnonzero((around >= places.start) & (around < places.stop))
            lattice = replace(
                lattice,
                corner_vertices=lattice.corner_vertices[own],
                corner_weights=lattice.corner_weights[own],
            )
            mass[places] = lattice.mass()
            splat_points = torch.from_numpy(around)[lattice.splat_points]
            lattices.append(replace(lattice, splat_points=splat_points))
        norm = _inverse_root(mass)
        slice_scale = norm * np.float32(weight)
        return LocalTerm([lat.reweighted(norm, slice_scale[places]) for lat, places in zip(lattices, tiling.ranges)])

    def to(self, device: torch.device) -> LocalTerm:
        return LocalTerm([lattice.to(device) for lattice in self.lattices])

    def messages(self, marginals: Tensor) -> Callable[[int, slice], Tensor]:
        return lambda tile, places: self.lattices[tile].filter(marginals)


def reach(sxy: float) -> int:
    """How many pixels the filter over positions of standard deviation `sxy` can reach.

    In two dimensions the lattice's triangles have sides of one standard deviation: a pixel is less than one from its
    corners, and the three axes of the blur, 120 degrees apart, add up to two at most. So less than four in all.
    """
    return math.ceil(4 * sxy) - 1


def mean_field(
    log_probs: Tensor, terms: Sequence[GlobalTerm | LocalTerm], tiles: Sequence[slice], iterations: int
) -> Tensor:
    """Marginals [N, K] float32 for `log_probs` [N, K] float32 after `iterations` updates; pixels in tile order."""
    marginals, updated = torch.empty_like(log_probs), torch.empty_like(log_probs)
    for places in tiles:
        _softmax(log_probs[places], out=marginals[places])
    for _ in range(iterations):
        senders = [term.messages(marginals) for term in terms]
        for tile, places in enumerate(tiles):
            logits = log_probs[places]
            for sender in senders:
                logits = sender(tile, places).add_(logits)
            _softmax(logits, out=updated[places])
        del senders
        marginals, updated = updated, marginals
    return marginals


def _softmax(logits: Tensor, out: Tensor) -> None:
    """softmax over classes. Not shifted by the maximum, which is half the cost, unless an exponential overflows."""
    torch.exp(logits, out=out)
    total = out.sum(dim=1, keepdim=True)
    if torch.isfinite(total.sum()):
        out.div_(total)
    else:
        torch.softmax(logits, dim=1, out=out)


def _inverse_root(mass: NDArray[np.float32]) -> NDArray[np.float32]:
    """n = 1 / sqrt(F 1)."""
    return 1 / np.sqrt(mass + np.float32(1e-20))
