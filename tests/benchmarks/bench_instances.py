"""How much faster the instance stages are than the same rules with one full-frame mask per instance.

    python -m tests.benchmarks.bench_instances

Prints processor seconds per image and ratios, all measured in this run on one thread, and fails if the results differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.stages.fusion import fuse
from mbps_dataset.stages.instances import merge_by_depth, split_by_depth
from tests.stages.instances import full_frame_oracle as oracle
from tests.stages.instances.scenes import THINGS, fragmented_street, street


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Shortest of `repeats` runs, in processor seconds: a busy machine must not decide the ratio."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def compare_scene(
    name: str,
    semantic: NDArray[np.uint8],
    depth: NDArray[np.float32],
    repeats: int,
    **settings: float,
) -> None:
    """Times the three stages on one scene, ours and the oracle's, and checks that they agree."""
    instances = split_by_depth(semantic, depth, THINGS, **settings)
    merged = merge_by_depth(instances, semantic, depth, THINGS)
    fused = fuse(semantic, merged, THINGS)
    slow_instances = oracle.split_by_depth(semantic, depth, THINGS, **settings)
    slow_merged = oracle.merge_by_depth(slow_instances, semantic, depth, THINGS)
    slow_map, _ = oracle.fuse(slow_merged, semantic, THINGS)
    np.testing.assert_array_equal(fused.segment_map, slow_map)
    stages = {
        "instances": (
            lambda: split_by_depth(semantic, depth, THINGS, **settings),
            lambda: oracle.split_by_depth(semantic, depth, THINGS, **settings),
        ),
        "merge": (
            lambda: merge_by_depth(instances, semantic, depth, THINGS),
            lambda: oracle.merge_by_depth(slow_instances, semantic, depth, THINGS),
        ),
        "fusion": (
            lambda: fuse(semantic, merged, THINGS),
            lambda: oracle.fuse(slow_merged, semantic, THINGS),
        ),
    }
    print(f"{name}: {len(instances)} instances, {len(merged)} after merging, {len(fused.segments)} segments")
    total = np.zeros(2)
    for stage, (ours, theirs) in stages.items():
        seconds = np.array([fastest(ours, repeats), fastest(theirs, max(1, repeats // 5))])
        total += seconds
        print(f"  {stage:<10}{seconds[0]:9.4f} s {seconds[1]:9.4f} s {seconds[1] / seconds[0]:7.1f} x")
    print(f"  {'all three':<10}{total[0]:9.4f} s {total[1]:9.4f} s {total[1] / total[0]:7.1f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    for seed in range(3):
        compare_scene(f"ordinary scene {seed}, 512 x 1024", *street(seed), arguments.repeats)
    compare_scene(
        "fragmented scene, 512 x 1024", *fragmented_street(0), arguments.repeats, min_area=20, grad_threshold=0.3
    )


if __name__ == "__main__":
    main()
