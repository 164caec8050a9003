"""Mean-field inference in a dense CRF with Potts terms (Krähenbühl & Koltun, NeurIPS 2011).

    Q <- softmax(-U);   repeat:  Q <- softmax(-U + sum over terms of  w K Q)

with K the symmetrically normalised Gaussian filter of the term and w > 0 its compatibility (Potts: equal labels are
rewarded). Decisions that follow pydensecrf, measured on it: the update is synchronous, a pixel sends a message to itself,
there is no convergence test.

The update runs over chunks of pixels small enough to stay in the processor's cache (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbps_dataset.stages.permutohedral import PermutohedralLattice


CHUNK = 16_384
"""Pixels updated at once."""


@dataclass(frozen=True)
class PottsTerm:
    """A normalised lattice and the weight (> 0, in nats) of agreeing with the neighbours it finds."""

    lattice: PermutohedralLattice
    compat: float


def mean_field(unary: Tensor, terms: Sequence[PottsTerm], iterations: int) -> Tensor:
    """Marginals [N, K] float32 for the unary energies [N, K] float32 (negative log-probabilities, nats)."""
    marginals = torch.softmax(-unary, dim=1)
    for _ in range(iterations):
        tables = [term.lattice.blur(term.lattice.splat(marginals)) for term in terms]
        for start in range(0, len(unary), CHUNK):
            stop = min(start + CHUNK, len(unary))
            energy = -unary[start:stop]
            for term, table in zip(terms, tables):
                energy.add_(term.lattice.slice(table, start, stop), alpha=term.compat)
            marginals[start:stop] = torch.softmax(energy, dim=1)
    return marginals
