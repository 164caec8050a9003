"""One labelled image: the columns, how they are encoded, and how to get arrays back.

Every map is encoded to PNG bytes here, once, and handed to `datasets` as ready bytes: left to itself, `datasets` writes
16-bit and float arrays as raw TIFF, and writes other bytes when streaming than when not (measured on datasets 5.2).
Maps of ids are palette images where the ids fit 8 bits, so that viewers show them in colour; pixels are the ids, and
consumers must not ``.convert("L")`` or ``.convert("RGB")`` them.

Void is 255 in `semantic` (65535 in the 16-bit form, used above 254 classes) and 0 in `instance` and `panoptic`, so that
``Mask2FormerImageProcessor(ignore_index=0)`` takes `panoptic` and `segments_info` as they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from mbps_dataset import taxonomy
from mbps_dataset.arrays import DepthMap, InstanceMap, SemanticMap
from mbps_dataset.errors import InputError
from mbps_dataset.reading.formatted_rows import as_row, id_map, picture, segment_entries
from mbps_dataset.reading.names import shown


if TYPE_CHECKING:
    from datasets import Features

FORMAT_VERSION = "1.1.0"
"""Version of the columns; a release that changes their meaning raises the first number.

1.1: `instance` and `panoptic` are palette images where ids fit 8 bits, and `preview` may follow.
"""

DEPTH_LEVELS = 20_480
"""Least number of steps between 0 and the farthest depth of an image: 256 a metre at 80 m."""

_DECODED = ("image", "semantic", "depth", "instance", "panoptic", "segments_info")

VOID_REPORT = 255_000
"""Void in the report's ``class_id * 1000 + instance_id`` encoding, where 0 would be road."""


@dataclass(frozen=True)
class LabelledImage:
    """What the pipeline knows about one image.

    `image` original file bytes or None; `semantic` [H, W] class ids with `void`; `depth` float32 [H, W], 0 = unknown;
    `panoptic` [H, W] segment ids with 0 = void; `instance` [H, W] with 0 = none; `segments` dicts of
    ``id, category_id, isthing, area, bbox (x, y, width, height), score``.
    """

    image_id: str
    image: bytes | None
    semantic: SemanticMap
    depth: DepthMap
    instance: InstanceMap
    panoptic: InstanceMap
    segments: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class DecodedRow:
    """A row as arrays: see `decode`. What belongs to a column that the row did not have is None."""

    image_id: str
    image: NDArray[np.uint8] | None
    semantic: SemanticMap
    depth: NDArray[np.float32]
    instance: NDArray[np.uint16]
    panoptic: NDArray[np.uint16]
    segments: list[dict[str, Any]]

    def report_map(self) -> NDArray[np.int32]:
        """The report's encoding, int32 [H, W]: ``class_id * 1000 + k`` (k = 0 for stuff), void = 255000.

        A class with more than 999 instances keeps 999 for all that follow; `panoptic` tells them apart. Raises
        `InputError` if the row had no `panoptic` or no `segments_info`.
        """
        if self.panoptic is None or self.segments is None:
            raise InputError(f"{self.image_id}: the report's map needs the columns `panoptic` and `segments_info`.")
        table = np.full(int(self.panoptic.max(initial=0)) + 1, VOID_REPORT, dtype=np.int32)
        counts: dict[int, int] = {}
        for segment in self.segments:
            category = segment["category_id"]
            counts[category] = counts.get(category, 0) + 1
            if segment["id"] < len(table):
                table[segment["id"]] = category * 1000 + (min(counts[category], 999) if segment["isthing"] else 0)
        return table[self.panoptic]


def features(class_names: Sequence[str], *, with_image: bool = True, with_preview: bool = False) -> Features:
    """The columns of a label set with these classes, the last one `preview` if asked for."""
    from datasets import ClassLabel, Features, Image, List, Value  # here: reading rows needs none of it

    columns: dict[str, Any] = {"image_id": Value("string")}
    if with_image:
        columns["image"] = Image()
    columns |= {
        "semantic": Image(),
        "depth": Image(),
        "depth_scale": Value("float32"),
        "instance": Image(),
        "panoptic": Image(),
        "segments_info": List(
            {
                "id": Value("int32"),
                "category_id": ClassLabel(names=list(class_names)),
                "isthing": Value("bool"),
                "area": Value("int32"),
                "bbox": List(Value("int32"), length=4),
                "score": Value("float32"),
            }
        ),
    }
    if with_preview:
        columns["preview"] = Image()
    return Features(columns)


def encode(
    labelled: LabelledImage, class_count: int, palette: NDArray[np.uint8], *, with_image: bool
) -> dict[str, Any]:
    """The row of a labelled image: PNG bytes for every map, ready for `datasets`.

    `palette` uint8 [class_count, 3] colours `semantic`. Raises `ValueError` if the record contradicts itself.
    """
    validate(labelled, class_count)
    depth_png, scale = encode_depth(labelled.depth)
    row: dict[str, Any] = {"image_id": labelled.image_id}
    if with_image:
        row["image"] = {"bytes": labelled.image, "path": None}
    return row | {
        "semantic": {"bytes": encode_semantic(labelled.semantic, class_count, palette), "path": None},
        "depth": {"bytes": depth_png, "path": None},
        "depth_scale": scale,
        "instance": {"bytes": encode_ids(labelled.instance), "path": None},
        "panoptic": {"bytes": encode_ids(labelled.panoptic), "path": None},
        "segments_info": [
            # rounded to the column's float32, or streaming, which does not cast, would give other digits
            dict(segment, bbox=list(segment["bbox"]), score=float(np.float32(segment["score"])))
            for segment in labelled.segments
        ],
    }


def validate(labelled: LabelledImage, class_count: int) -> None:
    """Raises `ValueError` naming the image if shapes, ids, classes or areas of a record disagree."""
    name, shape = labelled.image_id, labelled.semantic.shape
    for column in ("depth", "instance", "panoptic"):
        if getattr(labelled, column).shape != shape:
            raise ValueError(f"{name}: {column} is {getattr(labelled, column).shape}, but semantic is {shape}.")
    areas = _areas(labelled.panoptic)
    listed = {int(segment["id"]) for segment in labelled.segments}
    if len(listed) < len(labelled.segments):
        raise ValueError(f"{name}: segments_info lists an id twice.")
    present = set(np.flatnonzero(areas).tolist()) - {0}
    if listed != present:
        raise ValueError(f"{name}: segments_info lists ids {sorted(listed ^ present)[:5]} that the map lacks, or not.")
    for segment in labelled.segments:
        if not 0 <= segment["category_id"] < class_count:
            raise ValueError(
                f"{name}: segment {segment['id']} has category {segment['category_id']} of {class_count}."
            )
        if segment["area"] != areas[segment["id"]]:
            raise ValueError(
                f"{name}: segment {segment['id']} says area {segment['area']}, not {areas[segment['id']]}."
            )


def _areas(ids: InstanceMap) -> NDArray[np.int64]:
    """Pixels of each id, in strips, since `bincount` makes a 64-bit copy of what it counts."""
    areas = np.zeros(int(ids.max(initial=0)) + 1, dtype=np.int64)
    for top in range(0, len(ids), 256):
        areas += np.bincount(ids[top : top + 256].ravel(), minlength=len(areas))
    return areas


def encode_semantic(semantic: SemanticMap, class_count: int, palette: NDArray[np.uint8]) -> bytes:
    """PNG of a class map: 8-bit palette up to 254 classes, else 16-bit greyscale. Void is 255 or 65535."""
    if class_count > 254:
        return _grey_png(semantic)
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[: len(palette)] = palette
    return _palette_png(semantic, colours)


def encode_ids(ids: InstanceMap) -> bytes:
    """PNG of ids: 8-bit in the colours of `taxonomy.id_palette` up to 255, else 16-bit greyscale.

    Raises `ValueError` below 0 and beyond 65535.
    """
    largest = int(ids.max(initial=0))
    if largest > 255 or ids.min(initial=0) < 0:
        return _grey_png(ids)
    # of 16 colours or fewer Pillow makes less than 8 bits a pixel, which not every reader takes
    return _palette_png(ids, taxonomy.id_palette(max(largest, 16) + 1))


def _grey_png(ids: NDArray[np.integer]) -> bytes:
    if ids.size and (ids.min() < 0 or ids.max() > 65_535):
        raise ValueError(f"Ids must fit 16 bits, but go from {ids.min()} to {ids.max()}.")
    return _png(PILImage.fromarray(ids.astype(np.uint16)), level=9)


def _palette_png(ids: NDArray[np.integer], colours: NDArray[np.uint8]) -> bytes:
    image = PILImage.fromarray(ids.astype(np.uint8))
    image.putpalette(colours.tobytes())
    return _png(image, level=9)


def shows_ids(image: PILImage.Image) -> bool:
    """Whether this is a picture as `encode_ids` writes in 8 bits: its palette indices are ids, not its colours."""
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    return len(colours) > 16 and np.array_equal(colours, taxonomy.id_palette(len(colours)))


def encode_depth(depth: DepthMap) -> tuple[bytes, float]:
    """16-bit PNG and its scale: ``depth = png * scale``, 0 = unknown (also for NaN and infinite depth).

    The scale is the power of two that gives the farthest depth between `DEPTH_LEVELS` and twice as many steps: 1/256 at
    80 m, and as fine for depth up to an unknown scale. The error is at most half a step; a valid depth never becomes 0.
    """
    farthest = float(np.max(depth, initial=0.0, where=np.isfinite(depth)))
    scale = 2.0 ** np.floor(np.log2(farthest / DEPTH_LEVELS)) if farthest > 0 else 1.0
    steps = np.empty(depth.shape, dtype=np.uint16)
    for row, values in zip(steps, depth):  # in rows: large pictures must not fill the memory with 64-bit copies
        finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        row[:] = np.clip(np.round(finite / scale), 0, 65_535)
        row[(row == 0) & (finite > 0)] = 1
    return _png(PILImage.fromarray(steps), level=6), float(scale)


def _png(image: PILImage.Image, level: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def decode(row: Any) -> DecodedRow:
    """Arrays of a dataset row, however it was loaded and formatted.

    `row` is a mapping with decoded images, arrays, tensors or ``{"bytes": …}`` (``decode=False``), or a pandas or arrow table
    of one row (``dataset.with_format(…)[0]``). What belongs to columns that the row has not is None; a depth map needs its
    scale.

    `semantic` uint8 or uint16, `depth` float32 in the units of the depth source with 0 = unknown, `instance` and
    `panoptic` uint16, `image` uint8 [H, W, 3] as it was labelled (see `mbps_dataset.to_rgb`). Raises `InputError` if a
    picture or map is damaged or was changed, for several rows at once, and for a row with none of the columns.

    >>> semantic = np.array([[0, 0, 255]], np.uint8)
    >>> road = dict(id=1, category_id=0, isthing=False, area=2, bbox=(0, 0, 2, 1), score=1.0)
    >>> street = LabelledImage("street", None, semantic, np.array([[4.0, 8.0, 0.0]], np.float32),
    ...                        np.zeros((1, 3), np.uint16), np.array([[1, 1, 0]], np.uint16), [road])
    >>> row = encode(street, class_count=19, palette=np.zeros((19, 3), np.uint8), with_image=False)
    >>> decoded = decode(row)
    >>> decoded.semantic.tolist(), decoded.panoptic.tolist(), decoded.depth.round(2).tolist()
    ([[0, 0, 255]], [[1, 1, 0]], [[4.0, 8.0, 0.0]])
    >>> decoded.report_map().tolist()
    [[0, 0, 255000]]
    """
    row = as_row(row)
    image_id = str(row.get("image_id", "image"))
    if not any(row.get(column) is not None for column in _DECODED):
        raise InputError(
            f"{image_id}: found the columns {sorted(map(str, row))[:9]}, but none of {', '.join(_DECODED)}."
        )
    if row.get("depth") is not None and row.get("depth_scale") is None:
        raise InputError(f"{image_id}: `depth` is in steps of `depth_scale`; select both columns.")

    def column(name: str, read: Callable[[Any, str], Any]) -> Any:
        return None if row.get(name) is None else read(row[name], image_id)

    return DecodedRow(
        image_id=image_id,
        image=column("image", picture),
        semantic=column("semantic", lambda value, name: _in(value, name, np.uint8)),
        depth=column("depth", lambda value, name: decode_depth(value, row["depth_scale"], name)),
        instance=column("instance", lambda value, name: _in(value, name, np.uint16)),
        panoptic=column("panoptic", lambda value, name: _in(value, name, np.uint16)),
        segments=column("segments_info", segment_entries),
    )


def renumber_segments(row: Any, *, most: int = 255) -> tuple[NDArray[np.unsignedinteger], dict[int, int]]:
    """A row's segments as transformers' processors take them: a map [H, W] with ids 1, 2, … and the class of each id.

    The processors resize maps as 8-bit pictures, so ids above 255 stop them, also where an image has few segments. Ids are
    given by falling area in the map, 0 stays void; of more than `most` segments the smallest become void, which training
    ignores. The map is uint8, above 255 ids uint16 (for ``do_resize=False``, where processors take any id).

    `row` is what `decode` takes, or gives. Raises `InputError` if it lacks `panoptic` or `segments_info`, if an id of the
    map is not listed, and for `most` outside 1 to 65535.

    >>> row = {"panoptic": np.array([[300, 300, 7, 0]]),
    ...        "segments_info": [{"id": 7, "category_id": 13}, {"id": 300, "category_id": 0}]}
    >>> ids, class_of = renumber_segments(row)
    >>> ids.tolist(), class_of
    ([[1, 1, 2, 0]], {1: 0, 2: 13})
    """
    if not 1 <= most <= 65_535:
        raise InputError(f"Expected `most` to be 1 to 65535, but got {most}.")
    held = {"panoptic": row.panoptic, "segments_info": row.segments} if isinstance(row, DecodedRow) else as_row(row)
    name = row.image_id if isinstance(row, DecodedRow) else str(held.get("image_id", "image"))
    if held.get("panoptic") is None or held.get("segments_info") is None:
        raise InputError(f"{name}: renumbering segments needs the columns `panoptic` and `segments_info`.")
    ids = _in(held["panoptic"], name, np.uint16)
    listed = {int(each["id"]): int(each["category_id"]) for each in segment_entries(held["segments_info"], name)}
    areas = _areas(ids)
    present = np.flatnonzero(areas[1:]) + 1
    if unlisted := sorted(set(present.tolist()) - set(listed)):
        raise InputError(f"{name}: segment id {unlisted[0]} is in the map but not in `segments_info`; list it.")
    kept = present[np.argsort(-areas[present], kind="stable")][:most]
    table = np.zeros(len(areas), np.uint8 if len(kept) <= 255 else np.uint16)
    table[kept] = np.arange(1, len(kept) + 1)
    return table[ids], {number: listed[k] for number, k in enumerate(kept.tolist(), 1)}


def decode_depth(column: Any, scale: float, image_id: str = "image") -> NDArray[np.float32]:
    """Column `depth` as float32 [H, W] in the units of the depth source, 0 = unknown; `scale` is `depth_scale`.

    Raises `InputError` for a damaged map, and a scale that is no positive number.
    """
    try:
        step = np.float32(0 if isinstance(scale, (str, bytes)) else scale)
    except (TypeError, ValueError, OverflowError):
        step = np.float32(0)
    if step.ndim or not 0 < step < np.inf:
        raise InputError(f"{image_id}: `depth_scale` is {shown(scale)}, but must be a positive number.")
    return id_map(column, image_id).astype(np.float32) * step


def _in(column: Any, image_id: str, smallest: type[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """A map in `smallest`, or in 16 bits where it was written so or needs them. Raises `InputError` beyond them."""
    ids = id_map(column, image_id)
    largest = ids.max(initial=0)
    if largest > 65_535:
        raise InputError(f"{image_id}: a map holds {largest}, but ids have 16 bits; take the row as it is.")
    return ids.astype(np.uint16 if ids.dtype == np.uint16 or largest > 255 else smallest)
