"""Gaussian filtering in any number of dimensions on the permutohedral lattice (Adams, Baek & Davis 2010).

Every point has a position in a d-dimensional feature space. Its value is *splatted* onto the d + 1 corners of the lattice
simplex around it, the lattice is *blurred* along each of its d + 1 axes, and the result is *sliced* back:

    F x = slice(blur(splat(x)))

What is decided here, and where it comes from:

* rounding, tie rule, axis order, and "a missing neighbour counts as zero" follow pydensecrf, measured on it, because
  the filter is an approximation and another choice gives other labels. Positions are float32 for the same reason;
* the three linear maps run as ``embedding_bag``, one weighted sum of table rows per output row. Each sum has a fixed
  order, which makes results independent of the number of threads (ours);
* a vertex is named by one 64-bit integer that is linear in its lattice coordinates, so that a neighbour is found by
  adding a constant, and that sorts by position in feature space, so that points near each other use table rows near
  each other (ours; pydensecrf hashes). One sort of these names yields the vertices and, per vertex, its points;
* the lattice is built with numpy on the CPU and can then be moved, so that every device filters on the same vertices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from mbps_dataset.errors import InputError


BLOCK = 16_384
"""Points placed on the lattice at once, few enough for the processor's cache."""


@dataclass(frozen=True)
class WeightedSums:
    """A sparse matrix by rows: row i of the result is the sum of weights[e] * table[sources[e]] over its entries e."""

    sources: Tensor  # [E] int32
    weights: Tensor  # [E] float32
    offsets: Tensor  # [rows + 1] int32: entries of row i are offsets[i] : offsets[i + 1]

    @staticmethod
    def of_equal_rows(sources: NDArray[np.int32], weights: NDArray[np.float32]) -> WeightedSums:
        """From `sources` and `weights` of shape [rows, entries of each row]."""
        offsets = np.arange(0, sources.size + 1, sources.shape[1], dtype=np.int32)
        return WeightedSums(*(torch.from_numpy(array) for array in (sources.ravel(), weights.ravel(), offsets)))

    def __call__(self, table: Tensor) -> Tensor:
        """[sources, K] float32 -> [rows, K] float32."""
        return torch.embedding_bag(table, self.sources, self.offsets, False, 0, False, self.weights, True)[0]

    def matrix(self, n_sources: int) -> csr_matrix:
        """The same as a scipy matrix [rows, n_sources]."""
        shape = (len(self.offsets) - 1, n_sources)
        return csr_matrix((self.weights.numpy(), self.sources.numpy(), self.offsets.numpy()), shape)

    def part(self, rows: slice) -> WeightedSums:
        """Some rows of a map whose rows have equally many entries; shares its memory."""
        per_row = len(self.sources) // (len(self.offsets) - 1)
        entries = slice(rows.start * per_row, rows.stop * per_row)
        return WeightedSums(self.sources[entries], self.weights[entries], self.offsets[: rows.stop - rows.start + 1])

    def to(self, device: torch.device) -> WeightedSums:
        return WeightedSums(self.sources.to(device), self.weights.to(device), self.offsets.to(device))


@dataclass(frozen=True)
class PermutohedralLattice:
    """V vertices touched by N points in d dimensions, as the three linear maps of the filter.

    Row V of a table of vertex values is always zero and stands for every missing neighbour.
    """

    splat: WeightedSums  # [N, K] -> [V + 1, K], barycentric weights
    blurs: tuple[WeightedSums, ...]  # d + 1 times [V + 1, K] -> [V + 1, K], weights (1, 1/2, 1/2)
    slice: WeightedSums  # [V + 1, K] -> [N, K], barycentric weights times alpha = 1 / (1 + 2^-d)

    @property
    def n_vertices(self) -> int:
        return len(self.splat.offsets) - 2

    def to(self, device: torch.device) -> PermutohedralLattice:
        """The same lattice with its tables on `device`."""
        return PermutohedralLattice(
            self.splat.to(device), tuple(blur.to(device) for blur in self.blurs), self.slice.to(device)
        )

    def gather(self, values: Tensor) -> Tensor:
        """Point values [N, K] -> blurred vertex values [V + 1, K], ready to be sliced."""
        table = self.splat(values)
        for blur in self.blurs:
            table = blur(table)
        return table

    def filter(self, values: Tensor) -> Tensor:
        """F: [N, K] point values -> [N, K], not normalised (the weights of a point do not sum to one)."""
        return self.slice(self.gather(values))

    def mass(self) -> NDArray[np.float32]:
        """F 1, the filter's response to ones [N]; the same as `filter` on one channel, several times faster."""
        mass = np.add.reduceat(self.splat.weights.numpy(), self.splat.offsets[:-2].numpy())
        mass = np.append(mass, np.float32(0))
        for blur in self.blurs:
            _, before, after = blur.sources.numpy().reshape(-1, 3).T
            mass = mass + np.float32(0.5) * (mass[before] + mass[after])
        shape = (-1, len(self.blurs))
        vertices, weights = self.slice.sources.numpy().reshape(shape), self.slice.weights.numpy().reshape(shape)
        return np.einsum("nc,nc->n", mass[vertices], weights)

    def between(self, sources: NDArray[np.int32], targets: NDArray[np.intp]) -> PermutohedralLattice:
        """The lattice for points numbered by `sources` [N] in a larger set, slicing at the points `targets` only."""
        n_corners = len(self.blurs)
        vertices, weights = (part.numpy().reshape(-1, n_corners) for part in (self.slice.sources, self.slice.weights))
        renumbered = torch.from_numpy(sources[self.splat.sources.numpy()])
        return replace(
            self,
            splat=replace(self.splat, sources=renumbered),
            slice=WeightedSums.of_equal_rows(vertices[targets], weights[targets]),
        )

    def reweighted(self, splat_scale: NDArray[np.float32], slice_scale: NDArray[np.float32]) -> PermutohedralLattice:
        """The lattice whose filter is slice_scale * F(splat_scale * x); scales per point that goes in and comes out."""
        splat_weights = self.splat.weights * torch.from_numpy(splat_scale[self.splat.sources.numpy()])
        slice_weights = self.slice.weights.view(-1, len(self.blurs)) * torch.from_numpy(slice_scale)[:, None]
        return replace(
            self,
            splat=replace(self.splat, weights=splat_weights),
            slice=replace(self.slice, weights=slice_weights.view(-1)),
        )


def composed(maps: Sequence[WeightedSums], n_sources: int) -> WeightedSums:
    """One map that does what `maps` do in turn, the first of them on `n_sources` rows."""
    product = maps[0].matrix(n_sources)
    for step in maps[1:]:
        product = step.matrix(product.shape[0]) @ product
    product.eliminate_zeros()
    product.sort_indices()
    indices, offsets = product.indices.astype(np.int32), product.indptr.astype(np.int32)
    return WeightedSums(*(torch.from_numpy(array) for array in (indices, product.data, offsets)))


def build_lattice(features: NDArray[np.float32]) -> PermutohedralLattice:
    """Lattice around N points given as features [d, N] float32, in units of the Gaussian's standard deviation.

    Corners weigh by barycentric coordinates; alpha = 1 / (1 + 2^-d), which undoes the mass that the blur adds, is folded
    into the weights that slice. Raises `InputError` if the points spread over more lattice cells than 64-bit names can
    tell apart.
    """
    quotients, ranks, weights = _enclosing_simplices(features)
    names, steps = _corner_names(quotients, ranks)
    sorted_names, origins = _sort_with_origin(names.ravel())
    is_first = np.append(True, sorted_names[1:] != sorted_names[:-1])
    starts = np.flatnonzero(is_first)
    corners = np.empty(weights.shape, np.int32)
    corners.ravel()[origins] = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    points = (origins // len(ranks)).astype(np.int32)
    offsets = np.append(starts, [len(origins)] * 2).astype(np.int32)
    splat = WeightedSums(*(torch.from_numpy(array) for array in (points, weights.ravel()[origins], offsets)))
    gain = np.float32(1 / (1 + 2.0 ** -len(features)))
    return PermutohedralLattice(
        splat, _blurs(sorted_names[starts], steps), WeightedSums.of_equal_rows(corners, weights * gain)
    )


def _enclosing_simplices(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.float32]]:
    """The simplex around each point.

    Returns quotients [d+1, N] (the remainder-0 corner has coordinates (d+1) * quotients), ranks [d+1, N] (0 for the
    coordinate farthest above that corner) and the barycentric weights [N, d+1] of the corners with remainder 0..d.
    """
    d, n_points = features.shape
    quotients = np.empty((d + 1, n_points), np.int32)
    ranks = np.empty((d + 1, n_points), np.int8)
    weights = np.empty((n_points, d + 1), np.float32)
    for start in range(0, n_points, BLOCK):
        block = slice(start, start + BLOCK)
        elevated = _elevate(features[:, block])
        quotients[:, block], ranks[:, block], above = _round_to_lattice(elevated)
        _barycentric_weights(above, out=weights[block])
    return quotients, ranks, weights


def _elevate(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions [d, N] -> [d+1, N] on the plane of coordinates summing to zero, unit Gaussian -> lattice's own width."""
    d, n_points = features.shape
    deviation = float(
        np.float32(math.sqrt(2 / 3) * (d + 1))
    )  # of splat, blur and slice together; rounded as pydensecrf
    elevated = np.empty((d + 1, n_points), np.float32)
    total = np.zeros(n_points, np.float32)
    for j in range(d, 0, -1):
        scale = np.float32(deviation / math.sqrt(j * (j + 1)))
        scaled = features[j - 1] * scale
        elevated[j] = total - np.float32(j) * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _round_to_lattice(
    elevated: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.float32]]:
    """Quotients and ranks of the enclosing simplices, and how far each coordinate lies above the remainder-0 corner."""
    n_corners = len(elevated)
    rounded = np.rint(elevated * np.float32(1 / n_corners))
    difference = elevated - rounded * np.float32(n_corners)
    ranks = np.arange(n_corners, dtype=np.int8)[:, None].repeat(elevated.shape[1], axis=1)
    for i in range(n_corners - 1):  # a tie raises the rank of the later coordinate
        smaller = (difference[i] < difference[i + 1 :]).view(np.int8)
        ranks[i] += smaller.sum(axis=0, dtype=np.int8)
        ranks[i + 1 :] -= smaller
    quotients = rounded.astype(np.int32)
    ranks += quotients.sum(axis=0).astype(np.int8)
    wrap = (ranks < 0).view(np.int8) - (ranks >= n_corners).view(np.int8)
    ranks += wrap * np.int8(n_corners)
    quotients += wrap
    difference -= wrap * np.float32(n_corners)
    return quotients, ranks, difference


def _barycentric_weights(above: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Weights [N, d+1] from the heights [d+1, N] above the remainder-0 corner; they sum to one."""
    n_corners = len(above)
    height = list(above * np.float32(1 / n_corners))
    for passes in range(n_corners):  # sort descending, so that row k has rank k (odd-even transposition network)
        for i in range(passes % 2, n_corners - 1, 2):
            height[i], height[i + 1] = np.maximum(height[i], height[i + 1]), np.minimum(height[i], height[i + 1])
    out[:, 0] = height[-1] + (1 - height[0])
    for remainder in range(1, n_corners):
        np.subtract(height[-1 - remainder], height[n_corners - remainder], out=out[:, remainder])


def _corner_names(
    quotients: NDArray[np.int32], ranks: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Names [N, d+1] of the corners of each point's simplex, and what each unit step of a quotient adds to a name.

    The corner with remainder r has quotients q - [rank > d - r]. Its name has the mixed-radix digits
    (f_1, ..., f_d, r) where f_j = q_0 + ... + q_{j-1} - j q_j is proportional to feature j, with q_d left out of f_d.
    """
    n_corners, n_points = ranks.shape
    d = n_corners - 1
    positions = np.array([[1] * j + [-j] + [0] * (d - j) for j in range(1, d + 1)])[:, :d]
    low, extent = _digit_ranges(positions, quotients[:d])
    place = np.array([n_corners * math.prod(extent[j + 1 :]) for j in range(d)], dtype=object)
    if n_corners * math.prod(extent) >= 2**62:
        raise InputError(
            f"The points spread over too many lattice cells for 64-bit names ({extent} along the features); "
            "use larger standard deviations."
        )
    steps = np.append(place @ positions, 0).astype(np.int64)
    names = np.empty((n_points, n_corners), np.int64)
    for start in range(0, n_points, BLOCK):
        block = slice(start, start + BLOCK)
        name = steps @ quotients[:, block] - int(place @ low)
        step_of_rank = np.empty(ranks[:, block].shape, np.int64)
        np.put_along_axis(step_of_rank, ranks[:, block].astype(np.intp), steps[:, None], axis=0)
        names[block, 0] = name
        for remainder in range(1, n_corners):
            name += 1 - step_of_rank[n_corners - remainder]
            names[block, remainder] = name
    return names, steps


def _digit_ranges(positions: NDArray[np.int64], quotients: NDArray[np.int32]) -> tuple[list[int], list[int]]:
    """Lowest value and number of values of each digit, with room for the corners and their neighbours."""
    low, extent = [], []
    for weights in positions:
        digit = weights.astype(np.int32) @ quotients
        margin = 2 * int(np.abs(weights).sum()) + 2
        low.append(int(digit.min()) - margin)
        extent.append(int(digit.max()) + margin - low[-1] + 1)
    return low, extent


def _sort_with_origin(names: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted names and where each came from, equal names in their original order. `names` is overwritten."""
    bits = (len(names) - 1).bit_length()
    if int(names.max()).bit_length() + bits > 63:
        order = np.argsort(names, kind="stable")
        return names[order], order
    names <<= bits  # sorting values that carry their index is several times faster than an argsort
    names |= np.arange(len(names))
    names.sort()
    return names >> bits, names & ((1 << bits) - 1)


def _blurs(names: NDArray[np.int64], steps: NDArray[np.int64]) -> tuple[WeightedSums, ...]:
    """Along each axis j: a vertex, its predecessor and its successor, or row V where there is none.

    The predecessor has all coordinates lower by one, but coordinate j higher by d.
    """
    n_vertices, n_corners = len(names), len(steps)
    own = np.arange(n_vertices, dtype=np.int32)
    down = np.where(names % n_corners == 0, n_corners - 1 - steps.sum(), -1)
    first = WeightedSums.of_equal_rows(
        np.empty((n_vertices + 1, 3), np.int32), np.tile(np.array([1, 0.5, 0.5], np.float32), (n_vertices + 1, 1))
    )
    blurs = []
    for step in steps:
        wanted = names + (down + step)
        found = np.minimum(np.searchsorted(names, wanted), n_vertices - 1)
        exists = names[found] == wanted
        sources = np.full((n_vertices + 1, 3), n_vertices, np.int32)
        sources[:-1, 0] = own
        sources[:-1, 1][exists] = found[exists]
        sources[found[exists], 2] = own[exists]
        blurs.append(replace(first, sources=torch.from_numpy(sources.ravel())))
    return tuple(blurs)
