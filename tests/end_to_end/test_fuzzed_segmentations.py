"""Mangled segmentations: COCO panoptic files, folders of maps, Cityscapes trees, arrays and rows; see `fuzz_worker`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.end_to_end.fuzz_guard import Guard, fuzzed
from tests.end_to_end.fuzz_readers import SHAPE
from tests.end_to_end.mangling import documents, either, mangled, mangled_npy, mangled_png, odd_values


IDS = np.array([[1, 1, 3, 3], [2, 2, 9, 0]], np.uint8).repeat(SHAPE[0] // 2, 0)
CLASSES = np.array([[10, 10, 10, 10], [0, 0, 13, 255]], np.uint8).repeat(SHAPE[0] // 2, 0)
SEGMENTS = [{"id": 1, "category_id": 23, "area": 20, "bbox": [0, 0, 2, 10], "iscrowd": 0},
            {"id": 2, "category_id": 7, "area": 20, "bbox": [0, 10, 2, 10], "iscrowd": 0},
            {"id": 3, "category_id": 23, "area": 20, "bbox": [2, 0, 2, 10], "iscrowd": 0, "score": 0.5},
            {"id": 9, "category_id": 26, "area": 10, "bbox": [2, 10, 1, 10], "iscrowd": 0}]  # fmt: skip
PANOPTIC = {
    "images": [{"id": 7, "file_name": "a.jpg", "height": SHAPE[0], "width": 4}],
    "categories": [{"id": 23, "name": "sky", "isthing": 0}, {"id": 7, "name": "road", "isthing": 0},
                   {"id": 26, "name": "car", "isthing": 1}],
    "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": SEGMENTS}],
}  # fmt: skip
NUMBERED = [segment | {"category_id": {23: 10, 7: 0, 26: 13}[segment["category_id"]]} for segment in SEGMENTS]
"""The segments with class ids in place of categories."""


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


COLOURS = png(np.stack([IDS, IDS * 0, IDS * 0], -1))
GOOD = {"p.json": json.dumps(PANOPTIC).encode(), "p/a.png": COLOURS}
TRUTH = {"truth.json": GOOD["p.json"], "truth/a.png": COLOURS}
MAPS: Mapping[str, bytes] = {
    "a.png": png(CLASSES), "a.npy": npy(CLASSES), "a.npz": npz(panoptic=IDS, segments_info=np.array(json.dumps(NUMBERED))),
    "b.npz": npz(semantic=CLASSES, instance=IDS),
}  # fmt: skip
LABEL_IDS = png(np.array([[23, 23, 0, 24], [7, 7, 26, 26]], np.uint8))
INSTANCE_IDS = png(np.array([[23, 23, 0, 24001], [7, 7, 26001, 26]], np.uint16))
TREE = {"a_gtFine_labelIds.png": LABEL_IDS, "a_gtFine_instanceIds.png": INSTANCE_IDS}


@given(data=st.one_of(documents(PANOPTIC), mangled(GOOD["p.json"])))
@fuzzed
def test_coco_panoptic_documents(fuzz_guard: Guard, data: bytes):
    fuzz_guard.check("pair", GOOD | TRUTH | {"p.json": data}, ["p.json", "image "], arguments=["p.json", "truth.json"])


@given(data=st.one_of(documents(PANOPTIC), mangled(GOOD["p.json"])))
@fuzzed
def test_coco_panoptic_truth(fuzz_guard: Guard, data: bytes):
    fuzz_guard.check("labels", GOOD | {"p.json": data}, ["p.json", "image "], arguments="p.json")


@given(data=either(mangled_png, good=COLOURS))
@fuzzed
def test_coco_panoptic_pictures(fuzz_guard: Guard, data: bytes):
    fuzz_guard.check("labels", GOOD | {"p/a.png": data}, ["a.png", "'a'"], arguments="p.json")


@given(name=st.sampled_from(sorted(MAPS)), data=st.data())
@fuzzed
def test_folders_of_maps(fuzz_guard: Guard, name: str, data: st.DataObject):
    makers = {"png": mangled_png, "npy": mangled_npy, "npz": mangled}
    changed = data.draw(either(makers[name[-3:]], good=MAPS[name]))
    fuzz_guard.check("labels", {f"maps/{name}": changed}, ["maps", "'a'", "'b'"], arguments="maps")


@given(name=st.sampled_from(sorted(TREE)), data=st.data())
@fuzzed
def test_cityscapes_trees(fuzz_guard: Guard, name: str, data: st.DataObject):
    changed = data.draw(mangled_png(TREE[name]))
    files = {f"gt/val/ulm/{each}": content for each, content in (TREE | {name: changed}).items()}
    fuzz_guard.check("labels", files, [name, "'a'"], arguments="gt")


def arrays() -> st.SearchStrategy[Any]:
    """Maps of any type and shape, near to right ones."""
    return st.builds(
        _array,
        st.sampled_from([IDS, IDS.astype(np.int64) - 1, IDS == 1, CLASSES, IDS[:0], IDS[None], IDS[..., None], IDS[0]]),
        st.sampled_from(["uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", "bool", "complex64",
                         "object", "str"]),
        st.sampled_from([None, None, None, -1, -2, 0.5, np.nan, np.inf, 1e30, 2**31, 70_000]),
    )  # fmt: skip


def _array(values: np.ndarray, dtype: str, one: float | None) -> Any:
    with np.errstate(all="ignore"):
        array = values.astype(dtype)
        if one is not None and array.size:
            array.flat[-1] = np.asarray(one).astype(dtype)
    return array


def changed_segments() -> st.SearchStrategy[Any]:
    """``segments_info`` mangled as JSON is, where it still is JSON; also None and a dict of lists."""
    listed = {key: [segment.get(key) for segment in NUMBERED] for key in ("id", "category_id", "isthing")}
    fixed = st.sampled_from([NUMBERED, [], None, listed, np.array(NUMBERED, dtype=object), "text", {}])
    return st.one_of(fixed, odd_values(), documents(NUMBERED).map(_parsed), documents(listed).map(_parsed))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


@st.composite
def predictions(draw: st.DrawFn) -> Any:
    """What transformers, a data set or a notebook holds for one image, or nearly."""
    form = draw(st.sampled_from(["transformers", "row", "pair", "map", "other"]))
    if form == "transformers":
        segments = draw(changed_segments())
        return {"segmentation": draw(st.one_of(arrays(), st.none())), "segments_info": segments}
    if form == "row":
        keys = draw(
            st.sets(st.sampled_from(["panoptic", "segmentation", "label", "semantic", "instance"]), max_size=3)
        )
        return {key: draw(arrays()) for key in sorted(keys)} | {"segments_info": draw(changed_segments())}
    if form == "pair":
        return draw(arrays()), draw(arrays())
    return draw(arrays() if form == "map" else odd_values().filter(lambda value: not isinstance(value, str)))


@given(value=predictions())
@fuzzed
def test_predictions_in_memory(fuzz_guard: Guard, value: Any):
    fuzz_guard.check("array", {}, ["p0", "'image'"], arguments=value)


ROW = {"image_id": "p0", "image": {"bytes": png(np.zeros((*SHAPE, 3), np.uint8)), "path": None}, "semantic": {"bytes": MAPS["a.png"]},
       "depth": {"bytes": png(CLASSES.astype(np.uint16))}, "depth_scale": 0.5, "instance": {"bytes": png(IDS)},
       "panoptic": {"bytes": png(IDS)}, "segments_info": NUMBERED}  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> Any:
    """A row of a data set of ours with a column damaged, in another form, or missing."""
    row = dict(ROW)
    for column in draw(st.sets(st.sampled_from(sorted(ROW.keys() - {"image_id"})), min_size=1, max_size=2)):
        value = ROW[column]
        kinds = [st.none(), arrays(), odd_values()]
        if isinstance(value, dict):
            kinds += [mangled_png(value["bytes"]).map(lambda data: {"bytes": data, "path": None})]
            kinds += [st.builds(lambda path: {"bytes": None, "path": path}, odd_values())]
        if column == "segments_info":
            kinds += [changed_segments()]
        row[column] = draw(st.one_of(kinds))
    for column in draw(st.sets(st.sampled_from(sorted(ROW)), max_size=2)):
        del row[column]
    return row


@given(value=rows())
@fuzzed
def test_rows(fuzz_guard: Guard, value: Any):
    fuzz_guard.check("row", {}, [], arguments=value)
