"""Mean-field inference in a dense CRF with Potts terms (Krähenbühl & Koltun, NeurIPS 2011).

    Q <- p;   repeat:  Q <- p exp(sum over terms of  w K Q), divided by its sum over classes

with K = n F n the symmetrically normalised Gaussian filter of a term, n = 1 / sqrt(F 1), and w > 0 its weight (Potts:
equal labels are rewarded). What is decided here, and where it comes from:

* the update is synchronous, a pixel sends a message to itself, and there is no convergence test (pydensecrf, measured);
* pixels are numbered tile by tile, and the update runs over one tile at a time, so that everything it touches fits the
  processor's cache. A term of short reach is filtered inside the tile and a margin around it, which gives the same
  numbers as filtering the whole image and needs no table of the image's size (ours).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbps_dataset.stages.permutohedral import PermutohedralLattice, WeightedSums, build_lattice, composed
from mbps_dataset.stages.tiling import Tiling


LARGEST_EXPONENT = 60.0
"""exp of it, times any number of classes, is still well inside the range of float32 (e^88)."""


@dataclass(frozen=True)
class GlobalTerm:
    """A term filtered over the whole image."""

    lattice: PermutohedralLattice
    tiling: Tiling

    @staticmethod
    def build(features: NDArray[np.float32], tiling: Tiling, weight: float) -> GlobalTerm:
        """`features` [d, H, W] float32 in standard deviations, `weight` in nats."""
        lattice = build_lattice(tiling.in_order(features))
        norm = _inverse_root(lattice.mass())
        return GlobalTerm(lattice.reweighted(norm, norm * np.float32(weight)), tiling)

    def to(self, device: torch.device) -> GlobalTerm:
        return GlobalTerm(self.lattice.to(device), self.tiling)

    def messages(self, marginals: Tensor) -> Iterator[Tensor]:
        """w K Q, one tile after the other."""
        table = self.lattice.gather(marginals)
        return (self.lattice.slice.part(places)(table) for places in self.tiling.ranges)


@dataclass(frozen=True)
class LocalTerm:
    """A term of short reach: per tile the linear maps, applied in turn, that take all marginals to the tile's messages."""

    maps: Sequence[tuple[WeightedSums, ...]]

    @staticmethod
    def build(features: NDArray[np.float32], tiling: Tiling, margin: int, weight: float, compose: bool) -> LocalTerm:
        """`features` [d, H, W] float32 in standard deviations, `weight` in nats; the filter reaches `margin` pixels away.

        `compose` multiplies the maps of a tile into one: a quarter less time and twice the memory where `margin` is 3.
        """
        lattices, mass = [], np.empty(tiling.height * tiling.width, np.float32)
        for window, places in zip(tiling.windows, tiling.ranges):
            rows, columns = (slice(max(part.start - margin, 0), part.stop + margin) for part in window)
            around = tiling.positions[rows, columns].ravel()
            lattice = build_lattice(features[:, rows, columns].reshape(len(features), -1))
            lattice = lattice.between(around, np.flatnonzero((around >= places.start) & (around < places.stop)))
            mass[places] = lattice.mass()
            lattices.append(lattice)
        norm = _inverse_root(mass)
        maps = []
        for lattice, places in zip(lattices, tiling.ranges):
            lattice = lattice.reweighted(norm, norm[places] * np.float32(weight))
            steps = (lattice.splat, *lattice.blurs, lattice.slice)
            maps.append((composed(steps, tiling.height * tiling.width),) if compose else steps)
        return LocalTerm(maps)

    def to(self, device: torch.device) -> LocalTerm:
        return LocalTerm([tuple(step.to(device) for step in steps) for steps in self.maps])

    def messages(self, marginals: Tensor) -> Iterator[Tensor]:
        """w K Q, one tile after the other."""
        for steps in self.maps:
            table = marginals
            for step in steps:
                table = step(table)
            yield table


def reach(sxy: float) -> int:
    """How many pixels the filter over positions of standard deviation `sxy` can reach.

    In two dimensions the lattice's triangles have sides of one standard deviation: a pixel is less than one from its
    corners, and the three axes of the blur, 120 degrees apart, add up to two at most. So less than four in all.
    """
    return math.ceil(4 * sxy) - 1


def mean_field(probs: Tensor, terms: Sequence[GlobalTerm | LocalTerm], tiling: Tiling, iterations: int) -> Tensor:
    """Marginals [N, K] float32 for `probs` [N, K] float32 > 0 after `iterations` updates; pixels in tile order."""
    marginals, updated = probs / probs.sum(dim=1, keepdim=True), torch.empty_like(probs)
    for _ in range(iterations):
        senders = [term.messages(marginals) for term in terms]
        for places, *messages in zip(tiling.ranges, *senders):
            _update(probs[places], messages, out=updated[places])
        marginals, updated = updated, marginals
    return marginals


def _update(probs: Tensor, messages: list[Tensor], out: Tensor) -> None:
    """out = p exp(sum of messages), divided by its sum over classes; `messages` is overwritten.

    Shifted by the largest message, which would double the cost, only where an exponential could overflow.
    """
    message = messages[0] if messages else torch.zeros_like(probs)
    for other in messages[1:]:
        message += other
    if message.max() > LARGEST_EXPONENT:
        message -= message.amax(dim=1, keepdim=True)
    message.exp_().mul_(probs)
    torch.mul(message, message.sum(dim=1, keepdim=True).reciprocal_(), out=out)


def _inverse_root(mass: NDArray[np.float32]) -> NDArray[np.float32]:
    """n = 1 / sqrt(F 1)."""
    return 1 / np.sqrt(mass + np.float32(1e-20))
