"""Reads the segmentation of one image from the forms in which people have it, for scoring.

Accepted by `as_labels`:

* a dict of transformers' ``post_process_panoptic_segmentation``: ``segmentation`` and ``segments_info`` with ``label_id``;
* a row of our dataset, or of any dataset with ``panoptic`` (or ``segmentation``, ``label``) and ``segments_info`` with
  ``category_id``; without them ``semantic`` and ``instance``;
* ``(semantic, instance)``, or a semantic map alone: numpy, tensor, PIL image, path of a PNG or ``.npy``.

Decisions: RGB panoptic PNGs are decoded as ``R + 256 G + 65536 B``; areas of a JSON are not read, since they may
disagree with the PNG; an id in the map that ``segments_info`` does not list is an error naming the image, except 0 and
-1, which mean void; a Cityscapes region of a thing class without instances (``instanceId < 1000``) is a crowd, as in
cityscapesScripts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mbps_dataset import taxonomy
from mbps_dataset.arrays import DepthMap, InstanceMap, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import run_starts, unique_values


VOID = taxonomy.VOID
_UNLISTED_VOID = (0, -1)


@dataclass(frozen=True)
class Labels:
    """A segmentation of one image as `mbps_dataset.metrics.PanopticQuality.update` takes it.

    `semantic` [H, W] class ids, void as in `as_labels`; `instance` [H, W], 0 = none, or None; `crowd` [H, W], n on the n-th
    crowd region, or None; `scores` by instance id; `depth` float [H, W] where a reader knows it, 0 = unknown.
    """

    image_id: str
    semantic: SemanticMap
    instance: InstanceMap | None = None
    crowd: InstanceMap | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    depth: DepthMap | None = None

    def as_prediction(self) -> dict[str, Any]:
        """Arguments of `PanopticQuality.update` for a prediction."""
        return {"pred_semantic": self.semantic, "pred_instance": self.instance, "pred_scores": self.scores}

    def as_truth(self) -> dict[str, Any]:
        """Arguments of `PanopticQuality.update` for ground truth."""
        return {"true_semantic": self.semantic, "true_instance": self.instance, "true_crowd": self.crowd}


def as_labels(
    value: Any, image_id: str = "image", *, class_of: Mapping[int, int] | None = None, void: int = VOID
) -> Labels:
    """Labels of one image from any of the forms above.

    `class_of` maps the form's category ids to class ids, ids it does not name become void; None keeps ids. `void` marks
    pixels of no segment; take another than 255 for more than 255 pseudo-classes. Raises `InputError` naming `image_id`.
    """
    if isinstance(value, Labels):
        return value
    if isinstance(value, (str, Path)):
        return _read_file(Path(value), image_id, class_of, void)
    if isinstance(value, tuple) and len(value) == 2:
        semantic, instance = (read_map(item, image_id) for item in value)
        return Labels(image_id, _map_classes(semantic, class_of, void), instance)
    if hasattr(value, "panoptic") and hasattr(value, "segments"):  # a decoded row of our dataset
        return labels_from_segments(value.panoptic, value.segments, value.image_id, class_of, void)
    if isinstance(value, Mapping):
        return _from_mapping(value, str(value.get("image_id", image_id)), class_of, void)
    return Labels(image_id, _map_classes(read_map(value, image_id), class_of, void))


def read_map(value: Any, image_id: str) -> NDArray[np.integer]:
    """An id map [H, W] from an array, tensor, PIL image, ``{"bytes": ...}`` or path; RGB PNGs are decoded as COCO does."""
    if isinstance(value, Mapping) and "bytes" in value:
        value = Image.open(io.BytesIO(value["bytes"])) if value["bytes"] else value["path"]
    if isinstance(value, (str, Path)):
        value = _load(Path(value), image_id)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, Image.Image) and value.mode == "RGB":  # four bytes a pixel are one number
        return np.asarray(value.convert("RGBA")).view("<u4")[..., 0] & np.uint32(0xFFFFFF)
    array = np.asarray(value)
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8:
        red, green, blue = (array[..., channel].astype(np.int32) for channel in range(3))
        return red + (green << 8) + (blue << 16)
    if array.ndim != 2:
        raise InputError(f"image {image_id!r}: expected a map [H, W], but got shape {array.shape}.")
    return array


def _from_mapping(row: Mapping[str, Any], image_id: str, class_of: Mapping[int, int] | None, void: int) -> Labels:
    ids = next((row[key] for key in ("panoptic", "segmentation", "label") if row.get(key) is not None), None)
    if ids is not None and row.get("segments_info") is not None:
        return labels_from_segments(read_map(ids, image_id), row["segments_info"], image_id, class_of, void)
    if row.get("semantic") is not None:
        instance = row.get("instance")
        return Labels(
            image_id,
            _map_classes(read_map(row["semantic"], image_id), class_of, void),
            None if instance is None else read_map(instance, image_id),
        )
    raise InputError(
        f"image {image_id!r}: found the keys {sorted(map(str, row))}, but need `segmentation` or `panoptic` with "
        "`segments_info`, or `semantic` (and `instance`)."
    )


def labels_from_segments(
    ids: NDArray[np.integer],
    segments: Sequence[Mapping[str, Any]],
    image_id: str,
    class_of: Mapping[int, int] | None = None,
    void: int = VOID,
) -> Labels:
    """Every listed segment becomes an instance; whether its class is stuff is for the metric to know."""
    listed = {int(segment["id"]): segment for segment in segments}
    if ids.size and ids.min() < min(_UNLISTED_VOID):
        raise InputError(
            f"image {image_id!r}: the map of segments holds the negative id {ids.min()}; paint void as 0."
        )
    flat = np.ascontiguousarray(ids).ravel()
    starts = run_starts([flat])
    present, of_run = unique_values(flat[starts].astype(np.int64) + 1)  # -1 is a form of void
    present = present - 1
    missing = [int(k) for k in present if int(k) not in listed and int(k) not in _UNLISTED_VOID]
    if missing:
        raise InputError(
            f"image {image_id!r}: segment id {missing[0]} is in the map but not in `segments_info` "
            f"({len(missing)} such ids); list it, or paint void as 0."
        )
    lengths = np.diff(starts, append=flat.size)

    def painted(value_of: Callable[[int], int]) -> NDArray[np.integer]:
        values = np.array([value_of(k) for k in present.tolist()], np.int64)
        values = values.astype(np.min_scalar_type(values.max(initial=0)))
        return np.repeat(values[of_run], lengths).reshape(ids.shape)

    def class_of_segment(k: int) -> int:
        if k not in listed:
            return void
        category = _category(listed[k], image_id)
        return category if class_of is None else class_of.get(category, void)

    crowds = {k: n + 1 for n, k in enumerate(k for k, s in listed.items() if s.get("iscrowd"))}
    scores = {k: float(s["score"]) for k, s in listed.items() if s.get("score") is not None}
    instance = np.maximum(ids, 0) if present.min(initial=0) < 0 else ids
    crowd = painted(lambda k: crowds.get(k, 0)) if crowds else None
    return Labels(image_id, painted(class_of_segment), instance, crowd, scores)


def _category(segment: Mapping[str, Any], image_id: str) -> int:
    for key in ("category_id", "label_id"):
        if key in segment:
            return int(segment[key])
    raise InputError(f"image {image_id!r}: segment {segment['id']} has neither `category_id` nor `label_id`.")


def _map_classes(semantic: NDArray[np.integer], class_of: Mapping[int, int] | None, void: int) -> NDArray[np.integer]:
    if class_of is None:
        return semantic
    present, inverse = unique_values(semantic.ravel())
    return np.array([class_of.get(int(k), void) for k in present], np.int32)[inverse].reshape(semantic.shape)


def cityscapes_labels(
    label_ids: NDArray[np.integer], instance_ids: NDArray[np.integer] | None, table: NDArray[np.uint8], image_id: str
) -> Labels:
    """Labels from Cityscapes' two maps; `table` [256] takes label ids to class ids.

    Instances are ids >= 1000; pixels of a thing class without one are a crowd, numbered by label id.
    """
    semantic = table[label_ids]
    if instance_ids is None:
        return Labels(image_id, semantic)
    things = [c.label_id for c in taxonomy.CITYSCAPES if c.is_thing]
    is_crowd = np.isin(label_ids, things) & (instance_ids < 1000)
    instance = np.where(instance_ids >= 1000, instance_ids, 0).astype(np.int32)
    return Labels(image_id, semantic, instance, np.where(is_crowd, label_ids, 0).astype(np.int32))


def _read_file(path: Path, image_id: str, class_of: Mapping[int, int] | None, void: int) -> Labels:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return _from_mapping({**arrays}, image_id, class_of, void)
    return Labels(image_id, _map_classes(read_map(path, image_id), class_of, void))


def _load(path: Path, image_id: str) -> NDArray[Any] | Image.Image:
    try:
        if path.suffix == ".npy":
            return np.load(path)
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise InputError(f"image {image_id!r}: {path} does not exist; copy it, or remove its entry.") from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"image {image_id!r}: {path} cannot be read ({error}); copy it again.") from error
