"""Reads the segmentation of one image from the forms in which people have it, for scoring.

Accepted by `as_labels`:

* a dict of transformers' ``post_process_panoptic_segmentation`` or ``post_process_instance_segmentation``: ``segmentation``
  and ``segments_info`` with ``label_id``;
* a row of our dataset, or of any dataset with ``panoptic`` (or ``segmentation``, ``label``) and ``segments_info`` with
  ``category_id``; without them ``semantic`` and ``instance``; in any format of `datasets` (see `formatted_rows`);
* ``(semantic, instance)``, or a semantic map alone: numpy, tensor, PIL image, path of a PNG or ``.npy``.

Decisions:

* a map that comes with ``segments_info`` holds colours if it is an image of 8 bits a channel: ``R + 256 G + 65536 B``
  whatever its mode, since optimisers turn RGB into palettes or grey; any other map holds ids, and so do palette images in
  the colours that our own rows give to ids;
* map and list must agree, as for panopticapi: every id but 0 and -1, which mean void, is listed, every listed id is in
  the map, and none is listed twice, unless transformers fused segments of one class (``was_fused``) or painted an
  instance over all of another, which then is no segment;
* areas of a JSON are not read, since they may disagree with the PNG;
* floats are ids where they are whole numbers, as transformers' maps are; where it numbers segments from 0, all ids move
  up by one; its documented ``segmentation`` None is an image in which nothing was found, of the size that is given;
* a Cityscapes region of a thing class without instances (``instanceId < 1000``) is a crowd, as in cityscapesScripts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.arrays import DepthMap, InstanceMap, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.metrics.overlap import run_starts, unique_values
from mbps_dataset.reading.formatted_rows import as_row, is_table
from mbps_dataset.reading.image_files import MAX_FILE_BYTES, opened_image
from mbps_dataset.reading.json_documents import read_regular
from mbps_dataset.reading.numpy_files import read_npy, read_npz
from mbps_dataset.reading.segments_info import Segment, listed_segments
from mbps_dataset.records import shows_ids


VOID = taxonomy.VOID
_UNLISTED_VOID = (0, -1)
_SEGMENTS = ("panoptic", "segmentation", "label")
_ARRAYS = (*_SEGMENTS, "segments_info", "semantic", "instance")


@dataclass(frozen=True)
class Labels:
    """A segmentation of one image as `mbps_dataset.metrics.PanopticQuality.update` takes it.

    `semantic` [H, W] class ids, void as in `as_labels`; `instance` [H, W], 0 = none, or None; `crowd` [H, W], n on the n-th
    crowd region, or None; `scores` by instance id; `depth` float [H, W] where a reader knows it, 0 = unknown; `listed`:
    every id of `instance` is a segment of its own, those of stuff too, else ids mean something on things only.
    """

    image_id: str
    semantic: SemanticMap
    instance: InstanceMap | None = None
    crowd: InstanceMap | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    depth: DepthMap | None = None
    listed: bool = False

    def as_prediction(self) -> dict[str, Any]:
        """Arguments of `PanopticQuality.update` for a prediction."""
        return {"pred_semantic": self.semantic, "pred_instance": self.instance, "pred_scores": self.scores}

    def as_truth(self) -> dict[str, Any]:
        """Arguments of `PanopticQuality.update` for ground truth."""
        return {"true_semantic": self.semantic, "true_instance": self.instance, "true_crowd": self.crowd}


def as_labels(
    value: Any,
    image_id: str = "image",
    *,
    class_of: Mapping[int, int] | None = None,
    void: int = VOID,
    size_hw: tuple[int, int] | None = None,
) -> Labels:
    """Labels of one image from any of the forms above.

    `class_of` maps the form's category ids to class ids, ids it does not name become void; None keeps ids. `void` marks
    pixels of no segment; take another than 255 for more than 255 pseudo-classes. `size_hw` is the size of the image, which
    a ``segmentation`` that is None does not have. Raises `InputError` naming `image_id`.
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
    if is_table(value):
        value = as_row(value)
    if isinstance(value, Mapping):
        image_id = str(value.get("image_id", image_id))
        if "segmentation" in value and value["segmentation"] is None:
            return _of_nothing(value.get("segments_info"), image_id, void, size_hw)
        return _from_mapping(value, image_id, class_of, void)
    return Labels(image_id, _map_classes(read_map(value, image_id), class_of, void))


def read_map(value: Any, image_id: str) -> NDArray[np.integer]:
    """An id map [H, W] from an array, tensor, PIL image, ``{"bytes": ...}`` or path; RGB is decoded as COCO does.

    Raises `InputError` naming the image for other shapes, and floats that are no whole numbers.
    """
    value = _loaded(value, image_id)
    if isinstance(value, Image.Image) and value.mode == "RGB":
        return _colours(value)
    return _as_ids(value, image_id)


def _read_segment_ids(value: Any, image_id: str, listed: Collection[int]) -> NDArray[np.integer]:
    """Like `read_map` for the map of segments that go with a list of ids: images of 8 bits a channel are colours.

    A grey image whose colours are not listed, but whose values are, holds the ids themselves; so does a palette image in
    the colours of our own ids.
    """
    value = _loaded(value, image_id)
    if not isinstance(value, Image.Image) or value.mode.startswith(("I", "F")) or shows_ids(value):
        return _as_ids(value, image_id)
    ids = _colours(value)
    if value.mode == "L" and not _are_listed(ids, listed):
        plain = _as_ids(value, image_id)
        return plain if _are_listed(plain, listed) else ids
    return ids


def _loaded(value: Any, image_id: str) -> Any:
    """The image or array behind a path, an encoded image or a tensor."""
    if isinstance(value, Mapping) and "bytes" in value:
        value = _opened(value["bytes"], f"image {image_id!r}") if value["bytes"] else value["path"]
    if isinstance(value, (str, Path)):
        value = _load(Path(value), image_id)
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _colours(image: Image.Image) -> NDArray[np.integer]:
    """``R + 256 G + 65536 B`` of an image in any mode; four bytes a pixel are read as one number."""
    return np.asarray(image.convert("RGB").convert("RGBA")).view("<u4")[..., 0] & np.uint32(0xFFFFFF)


def _are_listed(ids: NDArray[np.integer], listed: Collection[int]) -> bool:
    return {int(k) for k in np.unique(ids)} <= {*listed, *_UNLISTED_VOID}


def _as_ids(value: Any, image_id: str) -> NDArray[np.integer]:
    try:
        array = np.asarray(value)
    except ValueError:  # transformers' run lengths (`return_coco_annotation`), for one
        raise InputError(
            f"image {image_id!r}: expected a map [H, W], but got lists of unequal length; ask for a map, not for run "
            "lengths."
        ) from None
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8:
        red, green, blue = (array[..., channel].astype(np.int32) for channel in range(3))
        return red + (green << 8) + (blue << 16)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise InputError(f"image {image_id!r}: expected a map [H, W], but got shape {array.shape}.")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**31)
        if not whole.all():
            raise InputError(
                f"image {image_id!r}: expected a map of ids, but it holds {array[~whole][0]}; round or take the argmax "
                "first, ids must be exact."
            )
        return array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise InputError(f"image {image_id!r}: expected a map of integers, but got {array.dtype}.")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array  # one bit: a number, no choice of pixels


def _of_nothing(segments_info: Any, image_id: str, void: int, size_hw: tuple[int, int] | None) -> Labels:
    """Labels of an image in which transformers found nothing, where ``segmentation`` is None."""
    listed = listed_segments([] if segments_info is None else segments_info, f"image {image_id!r}")
    if listed or size_hw is None:
        wrong = f"`segments_info` lists {len(listed)} segments" if listed else "the size of the image is not known"
        raise InputError(
            f"image {image_id!r}: `segmentation` is None, which says that nothing was found, but {wrong}; "
            f"{'give the map' if listed else 'pass `size_hw`'}."
        )
    return Labels(image_id, np.full(size_hw, void), np.zeros(size_hw, np.uint8), listed=True)


def _from_mapping(row: Mapping[str, Any], image_id: str, class_of: Mapping[int, int] | None, void: int) -> Labels:
    ids = next((row[key] for key in _SEGMENTS if row.get(key) is not None), None)
    if ids is not None and row.get("segments_info") is not None:
        return labels_from_segments(ids, row["segments_info"], image_id, class_of, void)
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
    value: Any,
    segments_info: Any,
    image_id: str,
    class_of: Mapping[int, int] | None = None,
    void: int = VOID,
) -> Labels:
    """Every listed segment becomes an instance; whether its class is stuff is for the metric to know.

    `value` is the map in a form of `read_map`, `segments_info` its list. Raises `InputError` naming the image for what
    `read_map` and `listed_segments` refuse, and if map and list do not have the same ids.
    """
    segments = listed_segments(segments_info, f"image {image_id!r}")
    ids = _read_segment_ids(value, image_id, segments)
    flat = np.ascontiguousarray(ids).ravel()
    starts = run_starts([flat]) if flat.size else np.zeros(0, np.int64)
    if flat.size and flat[starts].min() < min(_UNLISTED_VOID):
        raise InputError(
            f"image {image_id!r}: the map of segments holds the negative id {flat.min()}; paint void as 0."
        )
    if flat.size and flat[starts].max() > np.iinfo(np.int32).max:  # listed ids are below
        raise InputError(
            f"image {image_id!r}: segment id {flat[starts].max()} is in the map but not in `segments_info`; list it, or "
            "paint void as 0."
        )
    present, of_run = unique_values(flat[starts].astype(np.int64) + 1)  # -1 is a form of void
    present = present - 1
    _require_same_ids(present.tolist(), segments, image_id)
    lengths = np.diff(starts, append=flat.size)

    def painted(value_of: Callable[[int], int]) -> NDArray[np.integer]:
        values = np.array([value_of(k) for k in present.tolist()], np.int64)
        values = values.astype(np.min_scalar_type(values.max(initial=0)))
        return np.repeat(values[of_run], lengths).reshape(ids.shape)

    def class_of_segment(k: int) -> int:
        if k not in segments:
            return void
        category = segments[k].category_id
        return category if class_of is None else class_of.get(category, void)

    shift = int(0 in segments)  # 0 is no instance
    crowds = {k: n + 1 for n, k in enumerate(k for k, s in segments.items() if s.is_crowd)}
    scores = {k + shift: s.score for k, s in segments.items() if s.score is not None}
    instance = np.maximum(ids.astype(np.int64) + shift, 0) if shift or present.min(initial=0) < 0 else ids
    crowd = painted(lambda k: crowds.get(k, 0)) if crowds else None
    return Labels(image_id, painted(class_of_segment), instance, crowd, scores, listed=True)


def _require_same_ids(present: Sequence[int], segments: Mapping[int, Segment], image_id: str) -> None:
    unlisted = [k for k in present if k not in segments and k not in _UNLISTED_VOID]
    if unlisted:
        raise InputError(
            f"image {image_id!r}: segment id {unlisted[0]} is in the map but not in `segments_info` "
            f"({len(unlisted)} such ids); list it, or paint void as 0."
        )
    hidden = {k for k, segment in segments.items() if segment.may_be_hidden}
    if absent := sorted(set(segments) - set(present) - hidden):
        raise InputError(
            f"image {image_id!r}: segment id {absent[0]} is in `segments_info` but not in the map ({len(absent)} such "
            "ids); remove its entry, or use the map it was listed for."
        )


def _map_classes(semantic: NDArray[np.integer], class_of: Mapping[int, int] | None, void: int) -> NDArray[np.integer]:
    if class_of is None:
        return semantic
    present, inverse = unique_values(semantic.ravel())
    return np.array([class_of.get(int(k), void) for k in present], np.int32)[inverse].reshape(semantic.shape)


def cityscapes_labels(
    label_ids: NDArray[np.integer],
    instance_ids: NDArray[np.integer] | None,
    table: NDArray[np.uint8],
    image_id: str,
    file: str = "its label map",
) -> Labels:
    """Labels from Cityscapes' two maps; `table` [256] takes label ids to class ids.

    Instances are ids >= 1000; pixels of a thing class without one are a crowd, numbered by label id. Raises `InputError`
    naming the image and `file` for maps of different size and for ids that Cityscapes does not have.
    """
    unknown = (label_ids >= len(taxonomy.CITYSCAPES)) & (label_ids != VOID)
    if unknown.any() or label_ids.min(initial=0) < 0:
        strange = sorted({int(k) for k in np.unique(label_ids[unknown | (label_ids < 0)])})
        raise InputError(f"image {image_id!r}: {file}: {strange[:5]} are no label ids of Cityscapes (0-33, void 255); give label "
                         "ids, not colours or clusters.")  # fmt: skip
    semantic = table[label_ids]
    if instance_ids is None:
        return Labels(image_id, semantic)
    if instance_ids.shape != label_ids.shape:
        raise InputError(f"image {image_id!r}: {file}: its map of instanceIds is {_size(instance_ids)}, that of labelIds "
                         f"{_size(label_ids)} (height x width); give both in one size.")  # fmt: skip
    things = [c.label_id for c in taxonomy.CITYSCAPES if c.is_thing]
    is_crowd = np.isin(label_ids, things) & (instance_ids < 1000)
    instance = np.where(instance_ids >= 1000, instance_ids, 0).astype(np.int32)
    return Labels(image_id, semantic, instance, np.where(is_crowd, label_ids, 0).astype(np.int32))


def _size(labels: NDArray[np.integer]) -> str:
    return f"{labels.shape[0]}x{labels.shape[1]}"


def _read_file(path: Path, image_id: str, class_of: Mapping[int, int] | None, void: int) -> Labels:
    if path.suffix.lower() != ".npz":
        return Labels(image_id, _map_classes(read_map(path, image_id), class_of, void))
    return _from_mapping(_load_arrays(path, image_id), image_id, class_of, void)


def _load(path: Path, image_id: str) -> Any:
    """A PNG as an image, or what an ``.npy`` or ``.npz`` file holds."""
    if path.suffix.lower() in (".npy", ".npz"):
        return _load_arrays(path, image_id)
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"image {image_id!r}: {path} does not exist; copy it, or remove its entry.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"image {image_id!r}: {path} cannot be read ({error}); copy it again.") from error
    return _opened(data, f"image {image_id!r}: {path}")


def _opened(data: bytes, name: str) -> Image.Image:
    """Ids must be exact, which PNG alone promises of the formats that the package decodes."""
    with opened_image(data, name, ("PNG",), "cannot be read as a PNG file") as image:
        image.load()
    return image


def _load_arrays(path: Path, image_id: str) -> Any:
    try:
        return read_npy(path) if path.suffix.lower() == ".npy" else read_npz(path, *_ARRAYS)
    except FileNotFoundError as error:
        raise InputError(f"image {image_id!r}: {path} does not exist; copy it, or remove its entry.") from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"image {image_id!r}: {path} cannot be read ({error}); copy it again.") from error
