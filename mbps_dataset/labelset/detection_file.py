"""Detections of a cascade as a COCO file that `detections.files` reads: CutLER's and CuVLER's rows of the report in one command.

    FILE.json         `info` (weights, what they saw, licence, settings), `images`, `annotations` with compressed run lengths
    FILE.json.images/ what is found already, an image whole or not at all; goes when FILE.json is there

Decisions:

* several short sides are joined by mask-IoU suppression at 0.3 over all classes (the report's multi-scale rows); of one, everything
  that the network finds is kept (its own suppression is of boxes);
* the network's longest side, which was published together with its short side, bounds that one only: 800 becomes 667 x 1333 on an
  image of 1024 x 2048, and 1024 its native size, as the report's second scale is (ours). ``1024x1333`` bounds another;
* masks without a pixel are left out; boxes are those of the masks (ours);
* an image that cannot be read is no image without objects: it is not listed, and the next run of the command tries it again.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbps_dataset._version import __version__
from mbps_dataset.errors import InputError, RecipeError, WeightsError
from mbps_dataset.labelling.stage import one_thread
from mbps_dataset.labelling.workers import attempt, default_workers, why
from mbps_dataset.labelset.prediction import Prediction, content_of
from mbps_dataset.models.cascade import CascadeMaskRCNN
from mbps_dataset.models.cascade.preprocessing import network_size, resized_images
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.sources import Frame
from mbps_dataset.sources.detection_records import MOST_BYTES
from mbps_dataset.sources.mask_encoding import encode_segmentation
from mbps_dataset.stages.instances import Instances, merge_detections
from mbps_dataset.store import Failure, Store, digest_of
from mbps_dataset.store.progress import ProgressBar
from mbps_dataset.store.writing import replacing


VERSION = 1
"""Raised whenever a change of code changes what the same weights detect."""

JOINED_AT = 0.3
"""Mask-IoU above which the lower-scored of two detections of different scales goes (report, Table 6)."""

_MOST_SIDE = 16384
_STAGE = "detected"


@dataclass(frozen=True)
class Scale:
    """A size to look at images in: the short side in pixels (0: their own size), and the most of the long one."""

    short_side: int
    longest_side: int

    def __str__(self) -> str:
        if not self.short_side:
            return "own size"
        return str(self.short_side) if self.longest_side == _MOST_SIDE else f"{self.short_side}x{self.longest_side}"


def parse_scale(text: str) -> tuple[int, int | None]:
    """``800`` or ``800x1333``: short side and, if given, the most of the long one. Raises `InputError` if it is neither."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        raise InputError(
            f"--short-side is {text!r}, but must be pixels, such as 800, or 800x1333 with a longest side."
        )
    sides = [int(part) for part in parts]
    if not all(1 <= side <= _MOST_SIDE for side in sides) or sides != sorted(sides):
        raise InputError(
            f"--short-side is {text!r}, but must be 1 to {_MOST_SIDE} pixels, the longest side not below it."
        )
    return sides[0], sides[1] if len(sides) == 2 else None


@dataclass(frozen=True)
class Detecting:
    """A cascade applied to the images of `prediction` at some `scales`, in words as `parse_scale` reads them (none: its own).

    Raises `WeightsError` if the network is no cascade, `InputError` for a scale that cannot be or occurs twice, or if two splits
    have images of one id, since the file would not tell them apart.
    """

    prediction: Prediction
    sides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        network = self.prediction.network
        if not isinstance(network, CascadeMaskRCNN):
            raise WeightsError(
                f"{self.prediction.weights} is a {type(network).__name__}; --detections needs a Cascade Mask R-CNN, such as "
                "`mbps convert cutler` or `mbps convert cuvler` writes."
            )
        if len(set(self.scales)) != len(self.scales):
            raise InputError(f"--short-side names a scale twice: {', '.join(map(str, self.scales))}; leave one out.")
        ids = [frame.image_id for frame in self.frames]
        if len(set(ids)) != len(ids):
            raise InputError(
                "Two splits have images of the same id, which one file cannot tell apart; give one --split."
            )

    @property
    def network(self) -> CascadeMaskRCNN:
        network = self.prediction.network
        assert isinstance(network, CascadeMaskRCNN)  # seen to above
        return network

    @cached_property
    def frames(self) -> Sequence[Frame]:
        return [frame for split in self.prediction.splits for frame in self.prediction.frames(split)]

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """Sizes to look at images in; see the module for what bounds the long side."""
        config, scales = self.network.config, []
        for short, longest in map(parse_scale, self.sides):
            own = config.longest_side if short == config.short_side else _MOST_SIDE
            scales.append(Scale(short, longest or own))
        return tuple(scales) or (Scale(config.short_side, config.longest_side),)

    @cached_property
    def identity(self) -> str:
        """Digest of everything but the images' content that decides the file."""
        prediction = self.prediction
        return digest_of({
            "detections": VERSION, "weights": prediction.digest, "changed": dict(prediction.changed), "joined": JOINED_AT,
            "device": prediction.device.type, "scales": [str(each) for each in self.scales],
            "images": [frame.image_id for frame in self.frames],
        })  # fmt: skip

    def info(self) -> dict[str, Any]:
        """What stands in the file about where its masks come from."""
        prediction = self.prediction
        return {
            "description": f"detections of a {type(self.network).__name__} by mbps-dataset {__version__}",
            "identity": self.identity,
            "images": prediction.input_digest,
            "weights": prediction.digest,
            "supervision": self.network.supervision,
            "ground_truth_used": list(prediction.truth_used),
            "scales": [str(each) for each in self.scales],
            "settings": {"joined_above_iou": JOINED_AT if len(self.scales) > 1 else None, **prediction.changed},
        }

    def found_in(self, image: np.ndarray[Any, np.dtype[np.uint8]]) -> Instances:
        """Detections in an `image` uint8 [H, W, 3], at its size: all of one scale, or those of several joined."""
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        pixels = pixels.to(self.prediction.device).float() / 255
        own, parts = (image.shape[0], image.shape[1]), []
        for scale in self.scales:
            size = network_size(*own, short_side=scale.short_side, longest_side=scale.longest_side)
            instances = self.network.find(resized_images(pixels, size), own)[0].instances
            parts.append(instances.select(instances.areas > 0))
        return parts[0] if len(parts) == 1 else merge_detections(parts, max_iou=JOINED_AT)


@dataclass(frozen=True)
class DetectionsWritten:
    """What is in a file: images, detections, and images that could not be read."""

    images: int
    detections: int
    failures: tuple[Failure, ...]


def write_detections(
    detecting: Detecting, path: Path, *, workers: int | None = None, overwrite: bool = False, progress: bool = True
) -> DetectionsWritten:
    """Write the file, or go on with what is there, and return what is in it.

    Raises `InputError` if `path` is no .json file, or not one image could be read; `RecipeError` if it is another file, unless
    `overwrite`; `StoreError` if it cannot be written.
    """
    finished = _finished(detecting, path, overwrite)
    if finished is not None:
        return finished
    parts = path.with_name(f"{path.name}.images")
    store = Store(parts)
    failures = _detect(detecting, store, workers or default_workers(detecting.prediction.device.type), progress)
    failed = {failure.image_id for failure in failures}
    kept = [frame for frame in detecting.frames if frame.image_id not in failed]
    if not kept:
        raise InputError(f"Not one image could be read: {'; '.join(failure.reason for failure in failures[:3])}")
    written = _write(detecting, path, store, kept, failures)
    if not failures:
        shutil.rmtree(parts, ignore_errors=True)
    return written


def _finished(detecting: Detecting, path: Path, overwrite: bool) -> DetectionsWritten | None:
    """What is in the file if it is there already and whole."""
    if path.suffix.lower() != ".json" or path.is_dir():
        raise InputError(f"--detections is {path}, but must be a .json file, which `detections.files` reads.")
    if overwrite or not path.exists():
        return None
    try:
        there = read_json(path, most_bytes=MOST_BYTES, nan=True)
    except (OSError, ValueError):
        there = None
    there = there if isinstance(there, dict) else {}
    info = there.get("info")
    info = info if isinstance(info, dict) else {}
    same = info.get("identity") == detecting.identity
    if same and there.get("not_read"):
        return None
    if not same or info.get("images") != detecting.prediction.input_digest:
        raise RecipeError(
            f"{path} holds something else (other weights, images or scales). Choose another file, or pass --overwrite to replace it."
        )
    return DetectionsWritten(len(there["images"]), len(there["annotations"]), ())


def _detect(detecting: Detecting, store: Store, workers: int, progress: bool) -> list[Failure]:
    """Fill the store with the images that are missing; returns those that cannot be read."""
    key, frames = detecting.identity, detecting.frames

    def put(frame: Frame) -> None:
        store.put(_STAGE, key, frame.image_id, content_of(frame), detecting.found_in(frame.image()).to_arrays())

    left = [frame for frame in frames if not store.holds(_STAGE, key, frame.image_id, content_of(frame))]
    failures = []
    with (
        one_thread(),
        ThreadPoolExecutor(workers) as pool,
        ProgressBar("detecting", len(frames), done=len(frames) - len(left), show=progress) as bar,
    ):
        for frame, error in zip(left, pool.map(lambda frame: attempt(lambda: put(frame)), left)):
            bar.update()
            if isinstance(error, Exception):
                failures.append(Failure(frame.image_id, "detections", why(frame, error)))
    return failures


def _write(
    detecting: Detecting, path: Path, store: Store, frames: Sequence[Frame], failures: Sequence[Failure]
) -> DetectionsWritten:
    """The file from the store, image by image: all of a large set would not fit into memory."""
    images: list[dict[str, Any]] = []
    number = 0
    config = detecting.network.config
    categories = [{"id": each + 1, "name": config.class_names[each]} for each in config.thing_ids]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        # `info` is a line of its own and the first, for `sources.detection_records.stated_origin`
        stream.write(f'{{"info": {json.dumps(detecting.info())},\n"categories": {json.dumps(categories)},\n')
        stream.write(f'"not_read": {json.dumps([each.image_id for each in failures])},\n"annotations": [')
        for frame in frames:
            arrays = store.get(_STAGE, detecting.identity, frame.image_id, content_of(frame))
            if arrays is None:
                raise InputError(
                    f"{store.root}: what was found in {frame.image_id} is gone; run the same command again."
                )
            found, image = Instances.from_arrays(arrays), len(images) + 1
            height, width = found.shape
            images.append({"id": image, "file_name": frame.image_id, "height": height, "width": width})
            for record in records_of(found, image):
                number += 1
                stream.write(("\n" if number == 1 else ",\n") + json.dumps({"id": number, **record}))
        stream.write(f'],\n"images": {json.dumps(images)}}}\n')
    return DetectionsWritten(len(images), number, tuple(failures))


def records_of(found: Instances, image: int) -> Iterator[dict[str, Any]]:
    """COCO's records of detections in the image of that number."""
    for index, box in enumerate(found.boxes().tolist()):
        score = float(found.scores[index])
        assert math.isfinite(score)  # the network leaves out what is not
        yield {
            "image_id": image, "category_id": int(found.class_ids[index]) + 1, "bbox": box, "area": int(found.areas[index]),
            "iscrowd": 0, "score": score, "segmentation": encode_segmentation(found.pixels_of(index), found.shape),
        }  # fmt: skip
