"""How well moving objects are found, on rendered stereo video whose seeds no training, demo or other measurement has.

    python builder_scripts/measure_motion.py --scenes 40 --static 20

Prints, for every way of finding them (`motion.method`), with flow and disparity estimated by OpenCV and with the true ones
(the ceiling of what any flow could give):

* the share of things that move by themselves, show at least 600 pixels and are within 30 m (median depth), of which an object
  was found with IoU > 0.5, and the mean IoU of those;
* false objects an image: objects of which less than half lies on things that move, of whatever size and distance; and the
  same in scenes in which only the camera moves;
* the time of a frame pair, by step: checks of the images, flow and disparity (six maps), scene flow, and objects.

Truth is read here to measure; none of it enters what is found. `--minutes` ends early, and says how many scenes it had;
`--rigid-scenes` runs the slow way on the first scenes only, moving and static in turn. The tables say of how many scenes.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.labelling.stage import one_thread
from mbps_dataset.labelling.stage_flow import find_maps, stereo_images
from mbps_dataset.labelling.stage_motion import find_moving_objects
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.scenes import SceneSettings, stereo_video_truth
from mbps_dataset.sources.rendered import SceneFrame
from mbps_dataset.sources.stereo_checks import why_unusable
from mbps_dataset.sources.stereo_video import StereoVideo, read_stereo_video
from mbps_dataset.stage_settings import FlowSettings, MotionSettings
from mbps_dataset.stages.motion.scene_flow import StereoMotion, scene_flow


UNSEEN_SEEDS = range(5_000_000, 6_000_000)
LEAST_PX, FARTHEST_M, LEAST_IOU = 600, 30.0, 0.5
METHODS = ("independent", "rigid")

Masks = Sequence[NDArray[np.bool_]]


@dataclass
class Tally:
    """What one method found: IoU of each thing's best object, false objects per image with and without motion."""

    overlaps: list[float] = field(default_factory=list)
    false_moving: list[int] = field(default_factory=list)
    false_static: list[int] = field(default_factory=list)

    def add(self, found: Masks, moving: Masks, counted: Sequence[bool], *, static: bool) -> None:
        """One image: masks [H, W] found, of all that moves, and which of those count."""
        for mask, counts in zip(moving, counted):
            if counts:
                self.overlaps.append(max((_iou(mask, other) for other in found), default=0.0))
        anything = np.logical_or.reduce(moving) if len(moving) else None
        false = sum(anything is None or 2 * int((mask & anything).sum()) < int(mask.sum()) for mask in found)
        (self.false_static if static else self.false_moving).append(false)

    def row(self, name: str) -> str:
        """A line of the table."""
        hits = [overlap for overlap in self.overlaps if overlap > LEAST_IOU]
        share = f"{len(hits)} of {len(self.overlaps)} ({len(hits) / max(len(self.overlaps), 1):.0%})"
        moving, static = (
            f"{sum(counts)} in {len(counts)} ({sum(counts) / max(len(counts), 1):.2f})"
            for counts in (self.false_moving, self.false_static)
        )
        return f"| {name} | {share} | {np.mean(hits) if hits else 0:.2f} | {moving} | {static} |"


@dataclass
class Clock:
    """Seconds of each step, one number an image."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - start)

    def rows(self) -> list[str]:
        """Lines of the table of times."""
        return [
            f"| {name} | {np.median(each):.2f} | {max(each):.2f} | {len(each)} |"
            for name, each in self.seconds.items()
        ]


def _iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((mask & other).sum() / max((mask | other).sum(), 1))


def what_moves(frame: SceneFrame) -> tuple[Masks, list[bool]]:
    """Masks of everything that moves by itself, and which are large and near enough to count."""
    truth = frame.truth()
    masks = [truth.instance_ids == number for number in sorted(truth.moving_ids or ())]
    depth = truth.depth_m
    assert depth is not None
    counted = [int(mask.sum()) >= LEAST_PX and float(np.median(depth[mask])) <= FARTHEST_M for mask in masks]
    return masks, counted


def estimated(video: StereoVideo, settings: FlowSettings) -> StereoMotion:
    """Flow and disparities by OpenCV."""
    images = [
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().div(255)
        for image in (video.left, video.right, video.next_left, video.next_right)
    ]
    return StereoMotion(**find_maps(OpenCvFlow.of(settings), images))


def true_motion(frame: SceneFrame) -> StereoMotion:
    """The true ones."""
    truth = stereo_video_truth(frame.scene())
    return StereoMotion(
        truth.flow,
        truth.backward_flow,
        truth.disparity,
        truth.right_disparity,
        truth.next_disparity,
        truth.next_right_disparity,
    )


def measure(
    frame: SceneFrame, methods: Sequence[str], flow_settings: FlowSettings, tallies: dict[str, Tally], clock: Clock
) -> dict[str, Masks]:
    """Add one scene to the tallies, and return the masks that each way found."""
    video, (moving, counted) = read_stereo_video(frame), what_moves(frame)
    with clock.step("checks of the images"):
        reason = why_unusable(video)
    if reason is not None:
        print(f"{frame.image_id}: {reason}")
    with clock.step("flow and disparity, OpenCV"):
        guessed = estimated(video, flow_settings)
    camera, all_found = video.camera, dict[str, Masks]()
    for source, motion in (("estimated", guessed), ("true", true_motion(frame))):
        with clock.step(f"scene flow, {source}"):
            flow = scene_flow(motion, camera.intrinsics, camera.baseline_m)
        for method in methods:
            name = f"{method}, {source} flow"
            with clock.step(f"objects: {name}"):
                images = stereo_images(video, flow_settings)
                objects = find_moving_objects(flow, MotionSettings(method=method), images).instances()
            all_found[name] = list(objects.masks())
            tallies[name].add(all_found[name], moving, counted, static=not frame.things_move)
    return all_found


def picture(frame: SceneFrame, found: dict[str, Masks]) -> Image.Image:
    """The image with what moves, and below it what each way found, in colours."""
    colours = np.array([(230, 60, 60), (60, 200, 60), (70, 110, 255), (240, 200, 40), (200, 60, 220), (60, 210, 210)])
    image = frame.image()
    rows = []
    for masks in ([*what_moves(frame)[0]], *found.values()):
        painted = image.astype(np.float32) * 0.5
        for number, mask in enumerate(masks):
            painted[mask] = 0.4 * image[mask] + 0.6 * colours[number % len(colours)]
        rows.append(painted.astype(np.uint8))
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40, help="scenes in which things move")
    parser.add_argument("--static", type=int, default=20, help="scenes in which only the camera moves")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--rigid-scenes", type=int, default=None, help="scenes, the first ones, on which 'rigid' runs; default all"
    )
    parser.add_argument("--preset", default=FlowSettings().preset, help="flow.preset, of OpenCV's flow")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after the scene that passes this")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each scene")
    arguments = parser.parse_args()
    size, clock = SceneSettings(height=arguments.height, width=arguments.width), Clock()
    flow_settings = FlowSettings(preset=arguments.preset)
    tallies: dict[str, Tally] = defaultdict(Tally)
    start = time.perf_counter()
    moving = [SceneFrame(f"moving_{seed}", seed, size) for seed in UNSEEN_SEEDS[: arguments.scenes]]
    still = [
        SceneFrame(f"static_{seed}", seed, size, things_move=False)
        for seed in UNSEEN_SEEDS[500_000 : 500_000 + arguments.static]
    ]
    every = max(len(moving) // len(still), 1) if still else 1
    mixed = []  # so that an early end leaves some of both
    for number, frame in enumerate(moving):
        mixed += [frame, still.pop(0)] if still and number % every == 0 else [frame]
    for number, frame in enumerate((*mixed, *still)):
        if time.perf_counter() - start > 60 * arguments.minutes:
            print("Out of time; the tables hold the scenes so far.")
            break
        without = arguments.rigid_scenes is not None and number >= arguments.rigid_scenes
        methods = [method for method in arguments.methods if not (without and method == "rigid")]
        with one_thread():
            found = measure(frame, methods, flow_settings, tallies, clock)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            picture(frame, found).save(arguments.pictures / f"{frame.image_id}.png")
    print("| method | found | mean IoU of those | false objects | false objects, only the camera moves |")
    print("|---|---|---|---|---|")
    print("\n".join(tally.row(name) for name, tally in tallies.items()))
    print(
        f"\n| seconds for a frame pair of {arguments.width}x{arguments.height}, one thread | median | most | scenes |\n|---|---|---|---|"
    )
    print("\n".join(clock.rows()))


if __name__ == "__main__":
    main()
