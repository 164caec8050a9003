"""Stage: flow to the next frame and back, and the disparity of both eyes at both times (CUPS 3.2).

Decisions, ours:

* numbers are kept as int16 in 64ths of a pixel (KITTI's unit of flow), row by row as differences, which pack to a fraction;
  what is beyond ±511 pixels, or not finite, is unknown: NaN in a flow, and 0 in a disparity, which stands for no depth;
* a frame of which motion cannot be taken has a reason, and whatever can be had: at the end of a sequence the disparity of
  the frame itself, from which depth is made. The result is known by all four images and the camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.labelling.stage import Arrays, Run, Stage, Visit, as_numpy, never
from mbps_dataset.models.flow import Eye, FlowNetwork
from mbps_dataset.models.opencv_flow import OpenCvFlow
from mbps_dataset.recipe import Recipe
from mbps_dataset.sources import Camera, Frame
from mbps_dataset.sources.flow_files import DisparityFiles, FlowFiles
from mbps_dataset.sources.images import DIGESTS
from mbps_dataset.sources.stereo_checks import why_not_a_pair, why_unusable
from mbps_dataset.sources.stereo_video import (
    NO_CAMERA,
    NO_SECOND_EYE,
    StereoVideo,
    missing_for_stereo_video,
    read_stereo_video,
    stereo_video_digest,
)
from mbps_dataset.stage_settings import FlowSettings
from mbps_dataset.stages.motion.consistency import consistent_disparity
from mbps_dataset.stages.motion.photometric_test import StereoImages
from mbps_dataset.stages.motion.scene_flow import StereoMotion, depth_from_disparity
from mbps_dataset.store import digest_of


STEPS_PER_PX = 64
UNKNOWN = np.int16(-(2**15))

_FLOWS = ("flow_forward", "flow_backward")
_NOW = ("disparity_t", "right_disparity_t")
_LATER = ("disparity_t1", "right_disparity_t1")

Maps = dict[str, NDArray[np.float32]]


def pack(values: NDArray[np.floating]) -> NDArray[np.int16]:
    """Pixels [..., W] as int16 64ths, each but the first of a row as the difference from the one before."""
    with np.errstate(invalid="ignore"):
        steps = np.rint(values * STEPS_PER_PX)
        known = np.abs(steps) < 2**15
    whole = np.where(known, steps, UNKNOWN).astype(np.int16)
    return np.diff(whole, axis=-1, prepend=np.int16(0))  # wraps around, and back in `unpack`


def unpack(packed: NDArray[np.int16]) -> NDArray[np.float32]:
    """Inverse of `pack`: float32 [..., W], NaN where unknown."""
    whole = np.cumsum(packed, axis=-1, dtype=np.int16)
    return np.where(whole == UNKNOWN, np.float32(np.nan), whole.astype(np.float32) / STEPS_PER_PX)


def coded_text(text: str | None) -> NDArray[np.uint8]:
    """A reason as an array that a store keeps; empty for none."""
    return np.frombuffer((text or "").encode(), dtype=np.uint8)


def decoded_text(array: NDArray[np.uint8]) -> str | None:
    """Inverse of `coded_text`."""
    return array.tobytes().decode() or None


@dataclass(frozen=True)
class _Files:
    """Flow and disparity that somebody else made."""

    forward: FlowFiles | None
    backward: FlowFiles | None
    left: DisparityFiles
    right: DisparityFiles


def _opened_files(run: Run) -> _Files:
    settings, frames = run.recipe.flow, run.source_frames()
    following = (frame.next_frame() for frame in frames if frame.has().next_frame)
    image_ids = {frame.image_id for frame in frames} | {frame.image_id for frame in following if frame is not None}

    def flows(folder: str | None) -> FlowFiles | None:
        return None if folder is None else FlowFiles(folder, settings.kind, image_ids)

    left, right = (
        DisparityFiles(str(folder), settings.disparity_kind, image_ids)
        for folder in (settings.disparity, settings.right_disparity)
    )
    return _Files(flows(settings.forward), flows(settings.backward), left, right)


def _files(run: Run) -> _Files | None:
    """The files, if the recipe takes flow from files. Raises `InputError`."""
    if run.recipe.flow.method != "files":
        return None
    return run.once("flow files", lambda: _opened_files(run))


def _key(run: Run) -> tuple[object, ...]:
    weights = run.contents["raft"] if run.recipe.flow.method == "raft" else None
    return run.device_type, run.recipe.deciding_settings()["flow"], weights, run.recipe.needs_motion


def _inputs(run: Run, frame: Frame) -> str:
    video, files = stereo_video_digest(frame), _files(run)
    if files is None:
        return video
    following = frame.next_frame()
    paths = [store.path(frame.image_id) for store in (files.left, files.right)]
    if following is not None and run.recipe.needs_motion:
        paths += [store.path(following.image_id) for store in (files.left, files.right)]
        paths += [files.forward.path(frame.image_id)] if files.forward else []
        paths += [files.backward.path(following.image_id)] if files.backward else []
    return digest_of(video, [DIGESTS.digest(path) for path in paths])


def _compute(visit: Visit) -> Arrays:
    maps, reason = _found(visit)
    return {name: pack(values) for name, values in maps.items()} | {"reason": coded_text(reason)}


def _found(visit: Visit) -> tuple[Maps, str | None]:
    """What can be had of a frame, and why that is not everything. Raises `InputError` if the image itself is damaged."""
    frame, settings, image = visit.frame, visit.recipe.flow, visit.image
    reason, video = missing_for_stereo_video(frame), None
    try:
        if reason is None:
            video = read_stereo_video(frame)
        if reason in (NO_SECOND_EYE, NO_CAMERA):
            return {}, reason
        right = video.right if video is not None else frame.second_eye()
    except InputError as error:
        return {}, str(error).removeprefix(f"{frame.image_id}: ").rstrip(".")
    if right is None or right.shape != image.shape:
        return {}, "the right eye's image has another size"
    if video is not None and settings.check:
        reason = why_unusable(video)
    if reason is not None:
        if settings.check and (fault := why_not_a_pair(image, right)) is not None:
            return {}, reason if video is not None else fault
        video = None
    if not visit.recipe.needs_motion:
        video = None  # depth takes this moment's disparity alone
    files = _files(visit.run)
    maps = _computed(visit, image, right, video) if files is None else _read(visit, files, video is not None)
    return maps, reason if visit.recipe.needs_motion else None


def _read(visit: Visit, files: _Files, later: bool) -> Maps:
    """The maps of files, at the image's size. Raises `InputError`."""
    image_id, following, size_hw = visit.frame.image_id, visit.frame.next_frame(), visit.image.shape[:2]
    maps = dict(zip(_NOW, (store.read(image_id, size_hw=size_hw).disparity for store in (files.left, files.right))))
    if later and following is not None and files.forward is not None and files.backward is not None:
        next_id = following.image_id
        maps |= dict(zip(_LATER, (s.read(next_id, size_hw=size_hw).disparity for s in (files.left, files.right))))
        for name, store, start in zip(_FLOWS, (files.forward, files.backward), (image_id, next_id)):
            flow, known = store.read(start, size_hw=size_hw)
            maps[name] = np.where(known, flow, np.float32(np.nan))
    return maps


def _computed(visit: Visit, left: RGBImage, right: RGBImage, video: StereoVideo | None) -> Maps:
    """The maps that the recipe's networks find at the recipe's size."""
    size_hw = flow_size(visit.recipe.flow, left.shape[0], left.shape[1])
    images = [left, right] if video is None else [left, right, video.next_left, video.next_right]
    return find_maps(_network(visit.run), [_tensor(image, size_hw).to(visit.run.device) for image in images])


def find_maps(network: FlowNetwork, images: Sequence[torch.Tensor]) -> Maps:
    """Flow and disparities in pixels, float32 [H, W] and [2, H, W], from images [1, 3, H, W] in [0, 1].

    All six maps of left and right eye and of the next left and right eye, or the disparities of two eyes alone.
    """

    def disparity(first: int, second: int, eye: Eye) -> NDArray[np.float32]:
        return as_numpy(network.disparity(images[first], images[second], first_eye=eye)[0].float())

    def flow(first: int, second: int) -> NDArray[np.float32]:
        return as_numpy(network.flow(images[first], images[second])[0].float())

    maps = dict(zip(_NOW, (disparity(0, 1, "left"), disparity(1, 0, "right"))))
    if len(images) == 4:
        maps |= dict(zip(_LATER, (disparity(2, 3, "left"), disparity(3, 2, "right"))))
        maps |= dict(zip(_FLOWS, (flow(0, 2), flow(2, 0))))
    return maps


def _network(run: Run) -> FlowNetwork:
    settings = run.recipe.flow
    if settings.method == "raft":
        return run.network("raft")
    return run.once("opencv flow", lambda: OpenCvFlow.of(settings))


def flow_size(settings: FlowSettings, height: int, width: int) -> tuple[int, int]:
    """Height and width at which flow and disparity of an image are found."""
    if settings.short_side is None or settings.method == "files":
        return height, width
    scale = settings.short_side / min(height, width)
    return round(height * scale), round(width * scale)


def _tensor(image: RGBImage, size_hw: tuple[int, int]) -> torch.Tensor:
    """uint8 [H, W, 3] → float32 [1, 3, h, w] in [0, 1]."""
    return torch.from_numpy(np.array(_at_size(image, size_hw))).permute(2, 0, 1)[None].float().div(255)


def _at_size(image: RGBImage, size_hw: tuple[int, int]) -> RGBImage:
    if image.shape[:2] == size_hw:
        return image
    return np.asarray(Image.fromarray(image).resize(size_hw[::-1], Image.Resampling.BILINEAR))


def stereo_images(video: StereoVideo, settings: FlowSettings) -> StereoImages:
    """The four images at the size at which flow is found."""
    size_hw = flow_size(settings, *video.camera.image_hw)
    return StereoImages(
        *(_at_size(image, size_hw) for image in (video.left, video.right, video.next_left, video.next_right))
    )


def _runs(recipe: Recipe) -> bool:
    return recipe.needs_flow


FLOW = Stage("flow", "flow and disparity", 1, never, _key, _compute, _inputs, _runs)


def stereo_motion(visit: Visit) -> StereoMotion | str:
    """Flow and disparities of a frame, or the reason why there are none. Raises `InputError` for a damaged image."""
    result = visit.result(FLOW)
    if (reason := decoded_text(result["reason"])) is not None:
        return reason
    flows = {name: unpack(result[name]) for name in _FLOWS}
    return StereoMotion(**flows, **{name: _disparity(result, name) for name in (*_NOW, *_LATER)})


def flow_camera(visit: Visit) -> Camera | None:
    """The camera in pixels of flow and disparity, or None."""
    camera, (height, width) = visit.frame.camera(), visit.image.shape[:2]
    return None if camera is None else camera.resized(flow_size(visit.recipe.flow, height, width))


def stereo_depth(visit: Visit, *, confirmed: bool = True) -> NDArray[np.float32]:
    """Depth in metres from the left eye's disparity, float32 [h, w]; 0 where there is none, or the right eye's is to be, and
    is not, `confirmed`.
    """
    result, camera, (height, width) = visit.result(FLOW), flow_camera(visit), visit.image.shape[:2]
    if camera is None or "disparity_t" not in result:
        return np.zeros(flow_size(visit.recipe.flow, height, width), dtype=np.float32)
    left, right = (_disparity(result, name) for name in _NOW)
    depth = depth_from_disparity(left, camera.fx, camera.baseline_m)
    return np.where(consistent_disparity(left, right), depth, np.float32(0)) if confirmed else depth


def _disparity(result: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    return np.nan_to_num(unpack(result[name]), nan=0.0)
