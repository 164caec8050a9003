"""How much faster the Lanczos method cuts patch features than the dense generalised eigensolver of the publications.

    python -m tests.benchmarks.bench_normalised_cut            900 patches (240 pixels, patches of 8)
    python -m tests.benchmarks.bench_normalised_cut --full     3600 patches (480 pixels), a minute for the dense solver

Prints processor seconds per cut and the ratio, measured in this run, and fails if the two cuts differ.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mbps_dataset.stages.instances.normalised_cut import Solver, affinity, foreground, second_eigenvector
from tests.stages.instances.feature_scenes import feature_scene


def seconds_of(weights: np.ndarray, solver: Solver, repeats: int) -> tuple[float, np.ndarray]:
    """Shortest time of a cut, and its eigenvector."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        vector = second_eigenvector(weights, solver)
        times.append(time.process_time() - start)
    return min(times), vector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="3600 patches instead of 900")
    scale = 2 if parser.parse_args().full else 1
    side = 30 * scale
    _, features = feature_scene(0, noise=0.8, scale=scale)
    weights = affinity(features.reshape(side * side, -1), 0.15)
    fast, vector = seconds_of(weights, "lanczos", 3)
    slow, reference = seconds_of(weights, "dense", 1)
    np.testing.assert_array_equal(foreground(vector, side, side), foreground(reference, side, side))
    print(f"{side * side} patches: Lanczos {fast:.3f} s, dense {slow:.3f} s, {slow / fast:.0f} x, same bipartition")


if __name__ == "__main__":
    main()
