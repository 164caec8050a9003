"""What each step of labels from motion costs for one frame pair, and whether memory grows with the number of pairs.

    python -m tests.benchmarks.bench_motion --pairs 6 --raft

Prints, for the recipe `demo-motion` on rendered street pairs of 640x1280 (the size CUPS takes of Cityscapes), or on those of a
folder as the source `stereo` reads it:

* processor and wall-clock seconds of a frame pair (medians): the steps of flow and of moving objects one by one, both ways
  of finding objects, and the recipe's stages as a build runs them, results written to the store included. OpenCV uses every core,
  which the wall clock shows; all else has one thread;
* beside flow and disparity what CUPS' network takes (RAFT-large, 16 updates: 41 s a pass on two cores of a CPU as measured when
  the reference was studied, two passes for flow and four for disparity); with ``--raft`` one pass of this package's own, of that size
  with drawn weights, on the same machine in the same run, and six times that: nobody needs to wait for six;
* the memory of the process after each pair, read when its visit has been let go.

On a busy machine processor seconds say more than the wall clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.road import stages_of
from mbps_dataset.labelling.stage import Run, one_thread
from mbps_dataset.labelling.stage_flow import _tensor, stereo_images
from mbps_dataset.labelling.stage_motion import find_moving_objects
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.models.raft import RaftConfig, RaftFlow
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import Frame, ScenesSource, StereoFolderSource
from mbps_dataset.sources.stereo_checks import why_unusable
from mbps_dataset.sources.stereo_video import missing_for_stereo_video, read_stereo_video
from mbps_dataset.stages.motion.scene_flow import StereoMotion, scene_flow
from mbps_dataset.store import Store


REFERENCE_PASS_S, REFERENCE_HW = 41.0, (640, 1280)
PASSES = {"flow, both ways": 2, "disparity, four maps": 4}
"""Passes of the reference's network for each step that it does."""


class Clock:
    """Processor and wall-clock seconds by step, one pair of numbers a frame pair."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.process_time(), time.perf_counter()
        yield
        self.seconds[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))

    def rows(self, size_hw: tuple[int, ...]) -> list[str]:
        """Lines of the table; the reference's numbers only at their size."""
        lines = []
        for name, each in self.seconds.items():
            processor, wall = np.median(each, axis=0)
            passes = PASSES.get(name, 0) * (size_hw == REFERENCE_HW)
            reference = f"{passes * REFERENCE_PASS_S:.0f}" if passes else ""
            lines.append(f"| {name} | {processor:.2f} | {wall:.2f} | {reference} |")
        return lines


def write_pairs(folder: Path, pairs: int, height: int, width: int) -> Path:
    """Rendered frame pairs in the layout of the source `stereo`; every pair is a sequence of its own."""
    frames = ScenesSource(pairs, 0, height, width).frames("train")
    for frame in frames:
        for number, moment in enumerate((frame, frame.next_frame())):
            assert moment is not None
            for eye, image in (("left", moment.image()), ("right", moment.second_eye())):
                path = folder / eye / frame.image_id / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.asarray(image)).save(path, compress_level=1)
    camera = frames[0].camera()
    numbers = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy, "baseline": camera.baseline_m}
    (folder / "calibration.json").write_text(json.dumps(numbers))
    return folder


def measure_steps(frame: Frame, run: Run, clock: Clock) -> None:
    """Flow and moving objects of one frame, step by step, both ways of finding objects."""
    network, settings = OpenCvFlow.of(run.recipe.flow), run.recipe.motion
    with clock.step("reading four images"):
        video = read_stereo_video(frame)
    with clock.step("checks of the images"):
        why_unusable(video)
    left, right, next_left, next_right = (
        _tensor(image, image.shape[:2]) for image in (video.left, video.right, video.next_left, video.next_right)
    )
    with clock.step("flow, both ways"):
        flows = [network.flow(left, next_left), network.flow(next_left, left)]
    with clock.step("disparity, four maps"):
        disparities = [
            network.disparity(left, right),
            network.disparity(right, left, first_eye="right"),
            network.disparity(next_left, next_right),
            network.disparity(next_right, next_left, first_eye="right"),
        ]
    now, right_now, later, right_later = (each[0].numpy() for each in disparities)
    motion = StereoMotion(flows[0][0].numpy(), flows[1][0].numpy(), now, right_now, later, right_later)
    with clock.step("scene flow"):
        flow = scene_flow(motion, video.camera.intrinsics, video.camera.baseline_m)
    with clock.step("moving objects, independent"):
        find_moving_objects(flow, replace(settings, method="independent"), stereo_images(video, run.recipe.flow))
    with clock.step("moving objects, rigid (8 runs)"):
        find_moving_objects(flow, replace(settings, method="rigid"))


def measure_stages(frame: Frame, run: Run, clock: Clock) -> None:
    """The recipe's stages, as a worker runs them."""
    visit = run.visit(frame)
    with clock.step("stage: reading the image"):
        visit.image  # noqa: B018 - decoded here
    for stage in stages_of(run.recipe):
        with clock.step(f"stage: {stage.title}"):
            visit.result(stage)


def memory_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def raft_pass(frame: Frame, clock: Clock) -> None:
    """One pass of RAFT-large with drawn weights over the left images of a pair."""
    torch.manual_seed(0)
    network, video = RaftFlow(RaftConfig()).eval(), read_stereo_video(frame)
    images = [_tensor(image, image.shape[:2]) for image in (video.left, video.next_left)]
    with torch.inference_mode(), clock.step("RAFT, one pass"):
        network.flow(*images)


def measure(data_dir: Path, scratch: Path, pairs: int, *, raft: bool) -> None:
    """Take and print every number."""
    recipe, source = get_recipe("demo-motion"), StereoFolderSource(data_dir)
    frames: Sequence[Frame] = [f for f in source.frames("train") if missing_for_stereo_video(f) is None][:pairs]
    clock, memory = Clock(), []
    with one_thread():
        label_set = Labelling(recipe, source, Store(scratch / "warm"), limit=2)  # what is loaded once must not count
        run = Run(recipe, Store(scratch / "timed"), "cpu", source, label_set.calibrated_run(isolate=False).calibration)
        for frame in frames:
            measure_steps(frame, run, clock)
            measure_stages(frame, run, clock)
            memory.append(memory_mb())
    height, width = frames[0].image().shape[:2]
    print(f"{len(frames)} frame pairs of {height}x{width}, recipe demo-motion, {torch.get_num_threads()} cores\n")
    print("| seconds for a frame pair | processor | wall clock | the reference's network |\n|---|---|---|---|")
    print("\n".join(clock.rows((height, width))))
    if raft:
        alone = Clock()
        raft_pass(frames[0], alone)
        ((processor, wall),) = alone.seconds["RAFT, one pass"]
        for name, passes in (("one pass", 1), ("six passes: six times that", 6)):
            reference = f"{passes * REFERENCE_PASS_S:.0f}" if (height, width) == REFERENCE_HW else ""
            print(f"| RAFT of this package, {name} | {passes * processor:.1f} | {passes * wall:.1f} | {reference} |")
    print(f"\nmemory after each pair, MB: {', '.join(f'{each:.0f}' for each in memory)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--height", type=int, default=640)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--data-dir", type=Path, help="a folder of stereo video, in place of rendered pairs")
    parser.add_argument("--raft", action="store_true", help="one pass of RAFT too: a minute, and 2 GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folder = given.data_dir or write_pairs(root / "pairs", given.pairs, given.height, given.width)
        measure(folder, root, given.pairs, raft=given.raft)


if __name__ == "__main__":
    main()
