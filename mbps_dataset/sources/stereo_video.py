"""Stereo video of a frame: both eyes, now and one frame later, and the camera; and whether a source has it.

What a stage needs is looked for before anything runs (`require_stereo_video`), read when its turn comes
(`read_stereo_video`), and part of what its result is known by (`stereo_video_digest`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mbps_dataset.arrays import RGBImage
from mbps_dataset.errors import InputError
from mbps_dataset.sources.camera import Camera
from mbps_dataset.sources.frame import Frame, Source
from mbps_dataset.store import digest_of


NO_SECOND_EYE = "no image of the right eye"
NO_NEXT_FRAME = "no next frame in its sequence"
NO_NEXT_SECOND_EYE = "no image of the right eye at the next frame"
NO_CAMERA = "no camera file"


@dataclass(frozen=True)
class StereoVideo:
    """Images uint8 [H, W, 3] of one size: left and right eye of a frame and of the next one; and the left eye's camera."""

    left: RGBImage
    right: RGBImage
    next_left: RGBImage
    next_right: RGBImage
    camera: Camera


def missing_for_stereo_video(frame: Frame) -> str | None:
    """What a frame lacks, or None if it has everything; looks for files, and reads none."""
    has = frame.has()
    following = frame.next_frame() if has.next_frame else None
    if not has.second_eye:
        return NO_SECOND_EYE
    if following is None:
        return NO_NEXT_FRAME
    if not following.has().second_eye:
        return NO_NEXT_SECOND_EYE
    return None if has.camera else NO_CAMERA


def missing_for_stereo(frame: Frame) -> str | None:
    """What a frame lacks of two eyes and a camera, or None; looks for files, and reads none."""
    has = frame.has()
    return NO_SECOND_EYE if not has.second_eye else None if has.camera else NO_CAMERA


def require_stereo(source: Source, splits: tuple[str, ...] = ()) -> None:
    """As `require_stereo_video`, for two eyes at one moment."""
    _require(source, splits, missing_for_stereo, "stereo pairs", "Depth from stereo needs a right eye and a camera")


def require_stereo_video(source: Source, splits: tuple[str, ...] = ()) -> None:
    """Raises `InputError` if in one of the `splits` (default: all) no frame has what stereo video needs, saying what is
    missing in how many frames. Frames that lack it while others have it, such as the last of a sequence, are no error.
    """
    needs = "Labels from motion need a right eye, the next frame of both eyes and a camera"
    _require(source, splits, missing_for_stereo_video, "stereo video", needs)


def _require(
    source: Source, splits: tuple[str, ...], missing_for: Callable[[Frame], str | None], what: str, needs: str
) -> None:
    for split in splits or source.splits():
        frames = source.frames(split)
        missing: Counter[str] = Counter()
        for frame in frames:
            reason = missing_for(frame)
            if reason is None:
                break
            missing[reason] += 1
        else:
            reasons = ", ".join(f"{reason} ({count} of {len(frames)})" for reason, count in missing.most_common())
            raise InputError(
                f"The source {source.name!r} has no {what} in {split!r}: {reasons}. {needs}; see docs/stereo-video.md for "
                "the layouts."
            )


def read_stereo_video(frame: Frame) -> StereoVideo:
    """Read both eyes' images now and one frame later, and the camera.

    Raises `InputError` naming the frame and what is missing, unreadable, or of another size.
    """
    missing, following = missing_for_stereo_video(frame), frame.next_frame()
    if missing is not None or following is None:
        raise InputError(f"{frame.image_id}: {missing or NO_NEXT_FRAME}, which labels from motion need.")
    right, next_right, camera = frame.second_eye(), following.second_eye(), frame.camera()
    if right is None or next_right is None or camera is None:
        raise InputError(
            f"{frame.image_id}: a file of its stereo video has gone since the folder was listed; start again."
        )
    left, next_left = frame.image(), following.image()
    size = left.shape[:2]
    for name, image in (("right eye", right), ("next frame", next_left), ("next frame's right eye", next_right)):
        if image.shape[:2] != size:
            raise InputError(
                f"{frame.image_id}: {_size(size)}, but its {name} is {_size(image.shape[:2])}; give one size."
            )
    if camera.image_hw != size:
        raise InputError(f"{frame.image_id}: {_size(size)}, but its camera is of images of {_size(camera.image_hw)}.")
    return StereoVideo(left, right, next_left, next_right, camera)


def stereo_video_digest(frame: Frame) -> str:
    """Hex digest that changes with any of the files that `read_stereo_video` reads, and with which of them there are."""
    following = frame.next_frame()
    later = (None, None) if following is None else (following.digest(), following.second_eye_digest())
    return digest_of(frame.digest(), frame.second_eye_digest(), *later, frame.camera_digest())


def _size(hw: tuple[int, ...]) -> str:
    return f"{hw[1]}x{hw[0]}"
