"""How many street scenes a second one process renders, and what larger pictures cost.

    python -m tests.benchmarks.bench_scenes

Prints images per second of processor time and of wall-clock time, on one thread, for several sizes. On a busy machine
the wall-clock rate says little; the processor rate says more.
"""

from __future__ import annotations

import argparse
import time

from mbps_dataset.scenes import SceneSettings, render


def rates(settings: SceneSettings, scenes: int, repeats: int) -> tuple[float, float]:
    """Images per second of processor time and of wall-clock time: mean over scenes of the best of `repeats`."""
    processor, wall = 0.0, 0.0
    for seed in range(scenes):
        times = []
        for _ in range(repeats):
            start = time.process_time(), time.perf_counter()
            render(seed, settings)
            times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        processor += min(t[0] for t in times)
        wall += min(t[1] for t in times)
    return scenes / processor, scenes / wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    render(0, SceneSettings(64, 128))  # makes the texture tables
    reference = None
    for height, width in ((512, 1024), (128, 256), (256, 512), (1024, 2048)):
        processor, wall = rates(SceneSettings(height, width), arguments.scenes, arguments.repeats)
        reference = reference or processor
        print(
            f"{height:5d} x {width:4d}: {processor:6.1f} images/s of processor time, {wall:6.1f} of wall-clock time "
            f"({processor / reference:.2f} x the rate at 512 x 1024)"
        )


if __name__ == "__main__":
    main()
