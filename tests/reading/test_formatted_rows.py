"""The same row in every form that `datasets` gives it, and what is no row, map, picture or list of segments."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from mbps_dataset import records, taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.reading.formatted_rows import as_row, id_map, picture, segment_entries


SIZE = (40, 64)
CLASSES = 5


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def labelled(image_id: str, photo: np.ndarray) -> records.LabelledImage:
    semantic = np.zeros(SIZE, np.uint8)
    semantic[:9], semantic[20:30, 8:20], semantic[-2:] = 2, 4, 255
    panoptic = np.where(semantic == 255, 0, 1).astype(np.int32)
    panoptic[:9], panoptic[20:30, 8:20] = 300, 7
    boxes = {1: (0, 0, 64, 38), 7: (8, 20, 12, 10), 300: (0, 0, 64, 9)}
    segments = [
        {"id": k, "category_id": c, "isthing": k == 7, "area": int((panoptic == k).sum()), "bbox": list(boxes[k]), "score": 0.5}
        for k, c in ((1, 0), (7, 4), (300, 2))
    ]  # fmt: skip
    depth = np.linspace(1, 80, semantic.size, dtype=np.float32).reshape(SIZE)
    return records.LabelledImage(image_id, png(photo), semantic, depth, (panoptic == 7) * 1, panoptic, segments)


PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def dataset(photo: np.ndarray = PHOTO) -> Dataset:
    palette = taxonomy.pseudo_class_palette(CLASSES)
    rows = [records.encode(labelled(k, photo), CLASSES, palette, with_image=True) for k in ("a", "b")]
    return Dataset.from_list(rows, features=records.features([f"c{k}" for k in range(CLASSES)]))


def first(form: str) -> Any:
    if form == "pandas series":
        return dataset().with_format("pandas")[:2].iloc[0]
    if form == "torch floats":
        return dataset().remove_columns("image").with_format("torch", dtype=torch.float32)[0]
    return dataset().with_format(form or None)[0]


@pytest.mark.parametrize("form", ["", "numpy", "torch", "torch floats", "pandas", "pandas series", "arrow"])
def test_every_format_decodes_to_the_same_arrays(form: str) -> None:
    expected, decoded = labelled("a", PHOTO), records.decode(first(form))
    assert decoded.image_id == "a"
    plain = records.decode(dataset()[0])
    for name in ("image", "semantic", "depth", "instance", "panoptic")[form == "torch floats" :]:
        array = getattr(decoded, name)
        np.testing.assert_array_equal(array, getattr(plain, name), err_msg=name)
        assert array.dtype == getattr(plain, name).dtype, name
    np.testing.assert_array_equal(decoded.panoptic, expected.panoptic)
    np.testing.assert_array_equal(plain.image, PHOTO)
    assert decoded.segments == expected.segments
    assert type(decoded.segments[0]["id"]) is int and type(decoded.segments[0]["isthing"]) is bool


@pytest.mark.parametrize("form", ["", "numpy", "torch", "pandas", "arrow"])
def test_columns_that_were_not_selected_are_none(form: str) -> None:
    chosen = dataset().select_columns(["image_id", "panoptic", "segments_info"]).with_format(form or None)
    decoded = records.decode(chosen[0])
    assert [decoded.image, decoded.semantic, decoded.depth, decoded.instance] == [None] * 4
    assert decoded.report_map()[25, 10] == 4001
    alone = records.decode(dataset().select_columns(["semantic"]).with_format(form or None)[0])
    assert alone.image_id == "image" and alone.panoptic is None and alone.segments is None
    np.testing.assert_array_equal(alone.semantic, labelled("a", PHOTO).semantic)
    with pytest.raises(InputError, match="image: the report's map needs the columns `panoptic` and `segments_info`"):
        alone.report_map()


@pytest.mark.parametrize(
    "row, message",
    [
        (
            {"image_id": "a", "label": 3},
            r"a: found the columns \['image_id', 'label'\], but none of image, semantic, ",
        ),
        (
            {"image_id": "a", "depth": np.zeros(SIZE, np.uint16)},
            "a: `depth` is in steps of `depth_scale`; select both",
        ),
        (3, "expected a row of a data set, but got int; give one row, such as dataset"),
        ({"image_id": ["a", "b"]}, "expected one row, but got a batch of 2; give one row"),
        ({"image_id": np.array(["a", "b"])}, "expected one row, but got a batch of 2; give one row"),
        ({"image_id": "a", "panoptic": np.full(SIZE, 70_000)}, "a: a map holds 70000, but ids have 16 bits"),
    ],
)
def test_rows_that_cannot_be_decoded(row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        records.decode(row)


@pytest.mark.parametrize("form", ["arrow", "pandas"])
def test_a_table_of_several_rows_is_no_row(form: str) -> None:
    with pytest.raises(InputError, match="expected one row, but got a table of 2; give one row"):
        as_row(dataset().with_format(form)[:2])


def test_a_row_is_itself() -> None:
    row = {"image_id": "a"}
    assert as_row(row) is row


MAP = np.array([[0, 300], [7, 1]], np.uint16)


@pytest.mark.parametrize(
    "form",
    [
        lambda m: m[None],
        lambda m: m[..., None],
        lambda m: torch.tensor(m.astype(np.int64))[None],
        lambda m: m.astype(np.float32),
        lambda m: m.tolist(),
        lambda m: Image.fromarray(m),
        lambda m: {"bytes": png(m), "path": None},
    ],
)
def test_maps_in_any_form(form: Callable[[np.ndarray], Any]) -> None:
    np.testing.assert_array_equal(id_map(form(MAP), "a"), MAP)


def test_a_map_may_be_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(MAP))
    np.testing.assert_array_equal(id_map({"bytes": None, "path": str(tmp_path / "a.png")}, "a"), MAP)
    with pytest.raises(InputError, match="a: .*b.png cannot be read .*; load the data set again"):
        id_map({"bytes": None, "path": str(tmp_path / "b.png")}, "a")


@pytest.mark.parametrize(
    "value, message",
    [
        (np.zeros((2, 3, 4), np.uint8), r"a: expected a map \[H, W\] or \[1, H, W\], but got shape \(2, 3, 4\)"),
        (np.zeros(3, np.uint8), r"but got shape \(3,\)"),
        (np.array([[0.5]]), "a: expected a map of whole numbers from 0, but got float64"),
        (np.array([[np.nan]]), "a: expected a map of whole numbers from 0, but got float64"),
        (np.array([[-1]]), "a: expected a map of whole numbers from 0, but got int64"),
        (np.array([["x"]]), "a: expected a map of whole numbers from 0, but got <U1"),
    ],
)
def test_what_is_no_map(value: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        id_map(value, "a")


@pytest.mark.parametrize("form", ["", "torch", "numpy"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "grey of 16 bits"])
def test_pictures_in_any_order_of_axes(form: str, kind: str) -> None:
    photo = PHOTO if kind == "rgb" else np.dstack([PHOTO, np.full(SIZE, 255, np.uint8)])
    photo = PHOTO[..., 0].astype(np.uint16) * 257 if kind.startswith("grey") else photo
    expected = np.repeat(PHOTO[..., :1], 3, axis=2) if kind.startswith("grey") else PHOTO
    row = dataset(photo).with_format(form or None)[0]
    np.testing.assert_array_equal(picture(row["image"], "a"), expected)


def test_a_picture_whose_colours_cannot_be_told_is_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).convert("P", palette=Image.Palette.ADAPTIVE).save(buffer, "PNG")
    for array in (np.asarray(Image.open(buffer)), PHOTO[None, ..., 0], PHOTO.astype(np.float32), PHOTO[0, 0]):
        with pytest.raises(InputError, match=r"a: the picture is .* its colours cannot be told; take the row without"):
            picture(array, "a")


SEGMENTS = [{"id": 1, "category_id": 0, "bbox": [0, 0, 2, 1]}, {"id": 2, "category_id": 13, "bbox": [0, 1, 2, 1]}]


@pytest.mark.parametrize(
    "form",
    [
        SEGMENTS,
        tuple(SEGMENTS),
        np.array(SEGMENTS, dtype=object),
        [{key: np.array(value) for key, value in segment.items()} for segment in SEGMENTS],
        [{key: torch.tensor(value) for key, value in segment.items()} for segment in SEGMENTS],
        {key: [segment[key] for segment in SEGMENTS] for key in SEGMENTS[0]},
        {key: np.array([segment[key] for segment in SEGMENTS]) for key in SEGMENTS[0]},
    ],
)
def test_segments_in_any_form(form: Any) -> None:
    assert segment_entries(form, "a") == SEGMENTS


@pytest.mark.parametrize("nothing", [[], {}, {"id": [], "category_id": []}, np.array([])])
def test_no_segment_is_a_list_too(nothing: Any) -> None:
    assert segment_entries(nothing, "a") == []


@pytest.mark.parametrize(
    "value, message",
    [
        ({"id": [1, 2], "category_id": [0]}, "a: `segments_info` is a dict whose values are no lists of one length"),
        ({"id": 1, "category_id": 0}, "a: `segments_info` is a dict whose values are no lists of one length"),
        ({"id": np.array(1)}, "a: `segments_info` is a dict whose values are no lists of one length"),
        (np.array("[]"), "a: `segments_info` must be a list of segments, but is array"),
        ("[]", "a: `segments_info` must be a list of segments, but is '\\[\\]'"),
        (3, "a: `segments_info` must be a list of segments, but is 3"),
        ([3], "a: `segments_info` must hold dicts, but holds 3"),
    ],
)
def test_what_is_no_list_of_segments(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment_entries(value, "a")
