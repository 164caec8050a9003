"""Gaussian filtering in any number of dimensions on the permutohedral lattice (Adams, Baek & Davis 2010).

Every pixel has a position in a d-dimensional feature space. Its value is *splatted* onto the d + 1 corners of the lattice
simplex around it, the lattice is *blurred* along each of its d + 1 axes, and the result is *sliced* back.

What is decided here, and where it comes from:

* rounding, tie rule, axis order, and "a missing neighbour counts as zero" follow pydensecrf, measured on it, because
  the filter is an approximation and another choice gives other labels. All positions are float32 for the same reason;
* corners are named by (remainder r, quotients q) with ``key = (d + 1) q + r``: 64-bit integers then suffice, and a
  neighbour is found by adding one constant to the integer (ours; pydensecrf hashes the keys);
* the three linear maps run as ``embedding_bag``: one weighted sum of table rows per output row, each sum in a fixed order,
  which makes results independent of the number of threads (ours);
* the lattice itself is built with numpy on the CPU and can then be moved to another device, so that every device filters
  on the same vertices (ours).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.errors import InputError


@dataclass(frozen=True)
class PermutohedralLattice:
    """Vertices touched by N points in d dimensions, as index tables for the three steps of the filter.

    ``corner_vertices`` [N, d+1] int32 and ``corner_weights`` [N, d+1] float32 say which vertices surround each point;
    ``splat_points``, ``splat_weights`` [N (d+1)] and ``splat_offsets`` [V + 2] say the same by vertex;
    ``neighbours`` [d+1, V + 1, 3] int32 lists vertex, predecessor, successor along each axis. Row V is a vertex that is
    always zero and stands for every missing neighbour.
    """

    corner_vertices: Tensor
    corner_weights: Tensor
    splat_points: Tensor
    splat_weights: Tensor
    splat_offsets: Tensor
    neighbours: Tensor

    @property
    def n_vertices(self) -> int:
        return self.neighbours.shape[1] - 1

    @property
    def gain(self) -> float:
        """alpha = 1 / (1 + 2^-d), the factor that undoes the mass added by splatting and blurring."""
        n_corners = self.corner_weights.shape[1]
        return 1.0 / (1.0 + 2.0 ** (1 - n_corners))

    def to(self, device: torch.device) -> PermutohedralLattice:
        """The same lattice with its tables on `device`."""
        return PermutohedralLattice(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def splat(self, values: Tensor) -> Tensor:
        """[N, K] point values -> [V + 1, K] vertex values, the last row zero."""
        return F.embedding_bag(
            self.splat_points,
            values,
            self.splat_offsets,
            mode="sum",
            per_sample_weights=self.splat_weights,
            include_last_offset=True,
        )

    def blur(self, vertex_values: Tensor) -> Tensor:
        """One pass of (1/2, 1, 1/2) along each axis, in axis order; [V + 1, K] -> [V + 1, K]."""
        weights = vertex_values.new_tensor([1.0, 0.5, 0.5]).repeat(self.neighbours.shape[1], 1)
        weights[-1] = 0
        for neighbours in self.neighbours:
            vertex_values = F.embedding_bag(neighbours, vertex_values, mode="sum", per_sample_weights=weights)
        return vertex_values

    def slice(self, vertex_values: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """[V + 1, K] vertex values -> values at points start..stop, [stop - start, K]."""
        vertices, weights = self.corner_vertices[start:stop], self.corner_weights[start:stop]
        return F.embedding_bag(vertices, vertex_values, mode="sum", per_sample_weights=weights)

    def filter(self, values: Tensor) -> Tensor:
        """Gaussian filter of [N, K] values, not normalised: the weights of a point do not sum to one."""
        return self.slice(self.blur(self.splat(values))) * self.gain

    def symmetrically_normalised(self) -> PermutohedralLattice:
        """The lattice whose filter is n F n with n = 1 / sqrt(F 1), gain included; n is folded into both weight tables."""
        ones = torch.ones(len(self.corner_weights), 1, device=self.corner_weights.device)
        norm = (self.filter(ones) + 1e-20).rsqrt()
        return replace(
            self,
            corner_weights=self.corner_weights * (norm * self.gain),
            splat_weights=self.splat_weights * norm[:, 0][self.splat_points.long()],
        )


def build_lattice(features: NDArray[np.float32]) -> PermutohedralLattice:
    """Lattice around N points given as features [d, N] float32, in units of the Gaussian's standard deviation."""
    quotients, ranks, weights = _enclosing_simplices(features)
    simplices, simplex_of_point = _pack_simplices(quotients, ranks)
    vertex_codes, corner_vertices, packing = _name_vertices(quotients[:, simplices], ranks[:, simplices])
    corner_vertices = corner_vertices[simplex_of_point]
    order = np.argsort(corner_vertices, axis=None, kind="stable")
    n_corners = len(ranks)
    counts = np.bincount(corner_vertices.ravel(), minlength=len(vertex_codes) + 1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return PermutohedralLattice(
        corner_vertices=torch.from_numpy(corner_vertices),
        corner_weights=torch.from_numpy(weights),
        splat_points=torch.from_numpy((order // n_corners).astype(np.int32)),
        splat_weights=torch.from_numpy(weights.ravel()[order]),
        splat_offsets=torch.from_numpy(offsets),
        neighbours=torch.from_numpy(_find_neighbours(vertex_codes, packing)),
    )


def _enclosing_simplices(features: NDArray[np.float32]):
    """For each point: quotients [d+1, N] of the remainder-0 vertex, ranks [d+1, N], corner weights [N, d+1]."""
    elevated = _elevate(features)
    n_corners, n_points = elevated.shape
    down = np.float32(1.0 / n_corners)
    rounded = np.rint(elevated * down)
    nearest = rounded * np.float32(n_corners)
    ranks = np.zeros((n_corners, n_points), np.int32)
    difference = elevated - nearest
    for i in range(n_corners):
        for j in range(i + 1, n_corners):
            smaller = difference[i] < difference[j]
            ranks[i] += smaller
            ranks[j] += ~smaller
    quotients = rounded.astype(np.int32)
    ranks += quotients.sum(axis=0, dtype=np.int32)
    wrap = (ranks < 0).astype(np.int32) - (ranks >= n_corners)
    ranks += n_corners * wrap
    quotients += wrap
    return quotients, ranks, _barycentric_weights(elevated, quotients)


def _elevate(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions [d, N] -> [d+1, N] on the plane of coordinates summing to zero, unit Gaussian -> lattice's own width."""
    d, n_points = features.shape
    elevated = np.empty((d + 1, n_points), np.float32)
    total = np.zeros(n_points, np.float32)
    for j in range(d, 0, -1):
        scale = np.float32(np.float32(np.sqrt(2.0 / 3.0) * (d + 1)) / np.sqrt(np.float64(j * (j + 1))))
        scaled = features[j - 1] * scale
        elevated[j] = total - np.float32(j) * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _barycentric_weights(elevated: NDArray[np.float32], quotients: NDArray[np.int32]) -> NDArray[np.float32]:
    """Weights [N, d+1] of the corners with remainder 0..d; they sum to one."""
    n_corners, n_points = elevated.shape
    down = np.float32(1.0 / n_corners)
    v = (elevated - (quotients * n_corners).astype(np.float32)) * down
    v = -np.sort(-v, axis=0)  # descending, so that row k belongs to rank k
    weights = np.empty((n_points, n_corners), np.float32)
    weights[:, 0] = v[-1] + (np.float32(1) - v[0])
    for remainder in range(1, n_corners):
        weights[:, remainder] = v[n_corners - 1 - remainder] - v[n_corners - remainder]
    return weights


def _pack_simplices(quotients, ranks):
    """Index of one point per distinct simplex, and the simplex of every point."""
    d = len(quotients) - 1
    code = np.zeros(quotients.shape[1], np.int64)
    for row in (*quotients[:d], *ranks[:d]):
        low, high = int(row.min()), int(row.max())
        code *= high - low + 1
        code += row - low
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    return first, inverse


def _name_vertices(quotients, ranks):
    """Distinct vertices of S simplices: sorted codes [V], ids of the corners [S, d+1] int32, and the packing strides."""
    n_corners = len(ranks)
    d = n_corners - 1
    low = quotients[:d].min(axis=1) - 2
    extent = (quotients[:d].max(axis=1) - low + 3).astype(object)
    strides = [int(np.prod(extent[:i], initial=1)) for i in range(d)]
    per_remainder = int(np.prod(extent, initial=1))
    if per_remainder * n_corners >= 2**62:
        raise InputError(
            f"The image spans too many lattice cells for 64-bit names ({extent.tolist()} per axis); "
            "use larger standard deviations (sxy, srgb) or a smaller image."
        )
    base = sum((quotients[i].astype(np.int64) - low[i]) * strides[i] for i in range(d))
    codes = np.empty((quotients.shape[1], n_corners), np.int64)
    for remainder in range(n_corners):
        codes[:, remainder] = base + remainder * per_remainder
        for i in range(d):
            codes[:, remainder] -= (ranks[i] > d - remainder) * strides[i]
    vertex_codes, ids = np.unique(codes, return_inverse=True)
    return vertex_codes, ids.reshape(codes.shape).astype(np.int32), (strides, per_remainder)


def _find_neighbours(vertex_codes, packing) -> NDArray[np.int32]:
    """[d+1, V + 1, 3] int32: the vertex itself, its predecessor and its successor along each axis; V where missing."""
    strides, per_remainder = packing
    d, n_vertices = len(strides), len(vertex_codes)
    own = np.arange(n_vertices, dtype=np.int32)
    neighbours = np.full((d + 1, n_vertices + 1, 3), n_vertices, np.int32)
    down = np.where(vertex_codes < per_remainder, d * per_remainder - sum(strides), -per_remainder)
    for axis in range(d + 1):
        wanted = vertex_codes + down + (strides[axis] if axis < d else 0)
        found = np.searchsorted(vertex_codes, wanted)
        found[found == n_vertices] = 0
        exists = vertex_codes[found] == wanted
        neighbours[axis, :-1, 0] = own
        neighbours[axis, :-1, 1][exists] = found[exists]
        neighbours[axis, found[exists], 2] = own[exists]
    return neighbours
