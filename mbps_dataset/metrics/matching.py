"""Which class each pseudo-class stands for: Hungarian with and without a thing/stuff split, majority vote.

Decisions and where they come from:

* one-to-one assignment of largest total overlap over the *whole* set, then every pseudo-class left over takes the class
  it overlaps most (CUPS, appendix B.2, and its code). With fewer pseudo-classes than classes some classes get none,
  where CUPS' code stops with an error (ours);
* rows and columns are sorted by id and counts are int64. CUPS' code accumulates float32, which loses single pixels
  beyond 2^24, and takes rows in set order;
* a Hungarian solution need not be unique: where a class is absent or a cluster is dead, pairs without a common pixel
  tie, and the published value then depends on how clusters are numbered (one scene: PQ 0.56 or 1.0). We compute every
  optimal solution's choice and report the pseudo-classes on which they differ as `undetermined` (ours);
* `drop_zero_overlap` sends pairs without a common pixel to the largest-overlap rule, which removes these ties, and
  leaves pseudo-classes without any overlap unmatched, i.e. void (ours). Without it, such a pseudo-class goes to the
  first class of its block, as in CUPS' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


MATCHINGS = ("none", "hungarian", "hungarian_split", "majority", "u2seg")

Overlap = NDArray[np.integer]
"""[K, C] common pixels of pseudo-class k and class c over the whole set, >= 0."""


@dataclass(frozen=True)
class Assignment:
    """`classes` maps a pseudo-class to its class; one that is absent counts as void.

    `undetermined` lists pseudo-classes with pixels that another, equally good solution would map elsewhere.
    """

    classes: dict[int, int] = field(default_factory=dict)
    undetermined: tuple[int, ...] = ()


def identity(class_ids: Sequence[int]) -> Assignment:
    """Predictions that are class ids already."""
    return Assignment({c: c for c in class_ids})


def hungarian(
    overlap: Overlap, pseudo_ids: Sequence[int], class_ids: Sequence[int], *, drop_zero_overlap: bool = False
) -> Assignment:
    """One-to-one over all pseudo-classes and classes, leftovers to their largest overlap.

    `overlap` [len(pseudo_ids), len(class_ids)]; ids in the order of its rows and columns.
    """
    choices = _block_choices(np.asarray(overlap, np.int64), drop_zero_overlap)
    return _as_assignment(choices, overlap, pseudo_ids, class_ids)


def hungarian_split(
    overlap: Overlap,
    pseudo_ids: Sequence[int],
    class_ids: Sequence[int],
    *,
    pseudo_things: Sequence[int],
    things: Sequence[int],
    drop_zero_overlap: bool = False,
) -> Assignment:
    """`hungarian` for things and for stuff apart; a thing pseudo-class never becomes stuff and vice versa."""
    counts = np.asarray(overlap, np.int64)
    row_is_thing, column_is_thing = np.isin(pseudo_ids, pseudo_things), np.isin(class_ids, things)
    choices: list[_Choice] = [_Choice(-1, False)] * len(pseudo_ids)
    for is_thing in (True, False):
        rows, columns = np.flatnonzero(row_is_thing == is_thing), np.flatnonzero(column_is_thing == is_thing)
        for row, choice in zip(rows, _block_choices(counts[np.ix_(rows, columns)], drop_zero_overlap)):
            column = int(columns[choice.column]) if choice.column >= 0 else -1
            choices[row] = _Choice(column, choice.undetermined)
    return _as_assignment(choices, counts, pseudo_ids, class_ids)


def majority(overlap: Overlap, pseudo_ids: Sequence[int], class_ids: Sequence[int]) -> Assignment:
    """Every pseudo-class takes the class it overlaps most, however many others do; none where it overlaps nothing.

    Ties go to the lowest class id and are reported as undetermined.
    """
    overlap = np.asarray(overlap, np.int64)
    choices = []
    for best in (_largest(row) for row in overlap):
        choices.append(_Choice(int(best[0]) if len(best) else -1, len(best) > 1))
    return _as_assignment(choices, overlap, pseudo_ids, class_ids)


@dataclass(frozen=True)
class _Choice:
    column: int  # -1 = unmatched
    undetermined: bool


def _as_assignment(
    choices: list[_Choice], overlap: Overlap, pseudo_ids: Sequence[int], class_ids: Sequence[int]
) -> Assignment:
    classes = {int(p): int(class_ids[c.column]) for p, c in zip(pseudo_ids, choices) if c.column >= 0}
    live = np.asarray(overlap).sum(axis=1) > 0
    return Assignment(classes, tuple(int(p) for p, c, on in zip(pseudo_ids, choices, live) if c.undetermined and on))


def _largest(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns that share the largest positive overlap of a row; empty where it overlaps nothing."""
    return np.flatnonzero(row == row.max()) if row.size and row.max() > 0 else np.zeros(0, np.int64)


def _block_choices(overlap: NDArray[np.int64], drop_zero_overlap: bool) -> list[_Choice]:
    """The column of every row of one block, and whether all optimal solutions agree on it."""
    from scipy.optimize import linear_sum_assignment  # here: `mbps --help` knows the names of the matchings

    count, columns = overlap.shape
    if not columns:
        return [_Choice(-1, False)] * count
    rows, solution = linear_sum_assignment(overlap, maximize=True)
    held = np.full(count, columns, np.int64)  # one column past the end stands for "left over"
    held[rows] = solution
    possible = _columns_of_optimal_solutions(overlap, held)
    choices = []
    for row in range(count):
        reachable = {
            end for c in np.flatnonzero(possible[row]) for end in _ends(overlap[row], int(c), drop_zero_overlap)
        }
        chosen = _ends(overlap[row], int(held[row]), drop_zero_overlap)[0]
        choices.append(_Choice(chosen, len(reachable) > 1))
    return choices


def _ends(row: NDArray[np.int64], column: int, drop_zero_overlap: bool) -> list[int]:
    """Where a row given `column` by the Hungarian finally goes; several columns are ties, -1 is unmatched."""
    if column < len(row) and (row[column] > 0 or not drop_zero_overlap):
        return [column]
    return _largest(row).tolist() or ([-1] if drop_zero_overlap else [0])


def _columns_of_optimal_solutions(overlap: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[K, C + 1]: whether row k holds column c in *some* solution as good as `held`; column C is "left over".

    Columns are nodes; the row that holds column a may move to b at a loss ``w[row, a] - w[row, b]``. Another optimum is
    a cycle of total loss zero. With shortest-path potentials every loss becomes >= 0, so that these cycles are the
    cycles of the zero-loss moves: moves inside one strongly connected component.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, columns = overlap.shape
    spare = np.setdiff1d(np.arange(columns), held)  # columns without a row get an imaginary one
    gain = np.zeros((count + len(spare), columns + 1), np.int64)
    gain[:count, :columns] = overlap
    held = np.concatenate([held, spare])
    loss = gain[np.arange(len(gain)), held][:, None] - gain

    cheapest = np.full((columns + 1, columns + 1), np.iinfo(np.int64).max // 4)
    np.minimum.at(cheapest, held, loss)
    distance = np.zeros(columns + 1, np.int64)
    for _ in range(columns + 1):
        distance = np.minimum(distance, (distance[:, None] + cheapest).min(axis=0))
    free = loss + distance[held][:, None] - distance == 0
    moves = np.zeros_like(cheapest, dtype=bool)
    np.logical_or.at(moves, held, free)
    _, component = connected_components(csr_array(moves), directed=True, connection="strong")
    return (free & (component[held][:, None] == component))[:count]
