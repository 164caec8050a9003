"""Rows: what goes in comes out, on every route, and contradictions are refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mbps_dataset import records, taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.reading.image_files import decode_image
from mbps_dataset.records import LabelledImage
from tests.examples import examples


def labelled(seed: int = 0, classes: int = 5) -> LabelledImage:
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, classes, (12, 20)).astype(np.uint8)
    semantic[:2] = 255
    panoptic = np.where(semantic == 255, 0, semantic.astype(np.int32) + 1)
    segments = []
    for segment_id in np.unique(panoptic[panoptic > 0]).tolist():
        mask = panoptic == segment_id
        rows, columns = np.nonzero(mask)
        box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
        segments.append({"id": segment_id, "category_id": segment_id - 1, "isthing": segment_id > 3,
                         "area": int(mask.sum()), "bbox": box, "score": 0.5})  # fmt: skip
    instance = np.where(panoptic > 3, panoptic - 3, 0)
    depth = rng.uniform(0.01, 80, semantic.shape).astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)).save(buffer, "PNG")
    return LabelledImage("a", buffer.getvalue(), semantic, depth, instance, panoptic, segments)


def encode(record: LabelledImage, classes: int = 5) -> dict:
    return records.encode(record, classes, taxonomy.pseudo_class_palette(classes), with_image=record.image is not None)


def check(decoded: records.DecodedRow, record: LabelledImage) -> None:
    assert np.array_equal(decoded.semantic, record.semantic)
    assert np.array_equal(decoded.panoptic, record.panoptic)
    assert np.array_equal(decoded.instance, record.instance)
    assert np.abs(decoded.depth - record.depth).max() <= record.depth.max() / records.DEPTH_LEVELS / 2 + 1e-6
    assert decoded.segments == [dict(segment) for segment in record.segments]


def test_row_decodes_to_what_was_encoded():
    record = labelled()
    check(records.decode(encode(record)), record)


@pytest.mark.parametrize("scale", ["0.5", -1.0, 0, float("nan"), float("inf"), [], {}, [0.5, 1.0]])
def test_depth_needs_a_scale_that_is_a_positive_number(scale):
    with pytest.raises(InputError, match="a: `depth_scale` is .*, but must be a positive number"):
        records.decode(encode(labelled()) | {"depth_scale": scale})


@pytest.mark.parametrize("route", ["map", "parquet", "undecoded", "label-only"])
def test_every_route_gives_equal_arrays(route, tmp_path):
    record = labelled()
    if route == "label-only":
        record = replace(record, image=None)
    columns = records.features([f"c{k}" for k in range(5)], with_image=record.image is not None)
    dataset = Dataset.from_list([encode(record)], features=columns)
    if route == "parquet":
        dataset.to_parquet(tmp_path / "x.parquet")
        dataset = Dataset.from_parquet(str(tmp_path / "x.parquet"), cache_dir=str(tmp_path / "cache"))
        assert dataset.features == columns
    row = dataset.with_format("arrow")[0].to_pylist()[0] if route == "undecoded" else dataset[0]
    decoded = records.decode(row)
    check(decoded, record)
    assert (decoded.image is None) == (route == "label-only")


def test_original_image_bytes_pass_through():
    record = labelled()
    assert encode(record)["image"]["bytes"] == record.image


def test_semantic_is_a_palette_image_whose_pixels_are_ids():
    image = Image.open(io.BytesIO(encode(labelled())["semantic"]["bytes"]))
    assert image.mode == "P"
    assert tuple(image.getpalette()[:3]) == tuple(taxonomy.pseudo_class_palette(5)[0])


@pytest.mark.parametrize(("largest", "mode"), [(0, "P"), (1, "P"), (255, "P"), (256, "I;16"), (65_535, "I;16")])
def test_ids_are_pixels_of_a_palette_image_where_they_fit(largest, mode):
    ids = np.array([[0, largest], [largest // 2, largest]])
    data = records.encode_ids(ids)
    image = Image.open(io.BytesIO(data))
    assert image.mode == mode and np.array_equal(np.array(image), ids)
    assert records.shows_ids(image) == (mode == "P")
    if mode == "P":
        assert data[24:26] == bytes([8, 3])  # bits a pixel, and colours from a palette
        shown = np.array(image.convert("RGB"))
        assert shown[0, 0].tolist() == [0, 0, 0]
        assert np.array_equal(shown, taxonomy.id_palette(256)[ids])


def test_other_palette_images_do_not_show_ids():
    values = np.array([[0, 1, 2]], np.uint8)
    classes = records.encode_semantic(values, 19, taxonomy.class_palette(taxonomy.CLASSES_19))
    coloured = Image.fromarray(taxonomy.id_palette(3)[values]).quantize(3)
    for image in (Image.open(io.BytesIO(classes)), Image.fromarray(values), coloured):
        assert not records.shows_ids(image)


def many_ids() -> LabelledImage:
    """300 segments, whose ids need 16 bits."""
    panoptic = np.arange(1, 301).reshape(12, 25)
    segments = [{"id": k, "category_id": 0, "isthing": True, "area": 1, "score": 1.0,
                 "bbox": [(k - 1) % 25, (k - 1) // 25, 1, 1]} for k in range(1, 301)]  # fmt: skip
    empty = np.zeros((12, 25))
    return LabelledImage("many", None, empty.astype(np.uint8), empty.astype(np.float32), panoptic, panoptic, segments)


def read_by_pillow(row: dict) -> dict:
    """What `datasets` decodes, as any consumer reads it."""
    return {"read": [np.array(row[name]).tolist() for name in ("semantic", "instance", "panoptic")]}


@pytest.mark.parametrize("route", ["map", "processes", "streaming", "written again"])
def test_consumers_of_datasets_read_ids_of_either_form(route, tmp_path):
    made = [replace(labelled(), image=None), many_ids()]
    columns = records.features([f"c{k}" for k in range(5)], with_image=False)
    dataset = Dataset.from_list([encode(record) for record in made], features=columns)
    if route == "streaming":
        dataset.to_parquet(tmp_path / "x.parquet")
        stream = load_dataset("parquet", data_files=str(tmp_path / "x.parquet"), split="train", streaming=True)
        rows = list(stream.map(read_by_pillow))
    elif route == "written again":  # columns that are returned are encoded by `datasets`
        rows = list(dataset.map(lambda row: {"panoptic": row["panoptic"], **read_by_pillow(row)}))
    else:
        rows = list(dataset.map(read_by_pillow, num_proc=2 if route == "processes" else None))
    for row, record in zip(rows, made, strict=True):
        assert row["read"] == [getattr(record, name).tolist() for name in ("semantic", "instance", "panoptic")]
        assert np.array_equal(records.decode(row).panoptic, record.panoptic)
        assert records.decode(row).panoptic.dtype == np.uint16
    assert [row["panoptic"].mode for row in rows] == ["P", "I;16"]


@pytest.mark.parametrize("name", ["Mask2Former", "MaskFormer"])
def test_processors_take_the_palette_image_as_it_is(name):
    transformers = pytest.importorskip("transformers")
    record = labelled()
    row = Dataset.from_list([encode(record)], features=records.features([f"c{k}" for k in range(5)]))[0]
    process = getattr(transformers, f"{name}ImageProcessor")(do_resize=False, ignore_index=0)
    given = process(Image.fromarray(np.zeros((12, 20, 3), np.uint8)), segmentation_maps=row["panoptic"],
                    instance_id_to_semantic_id={s["id"]: s["category_id"] for s in record.segments},
                    return_tensors="pt")  # fmt: skip
    masks, classes = given["mask_labels"][0].numpy() > 0, given["class_labels"][0].tolist()
    assert sorted(classes) == [s["category_id"] for s in record.segments]
    for mask, category in zip(masks, classes):
        assert np.array_equal(mask[:12, :20], record.panoptic == category + 1)


def test_a_row_with_a_preview_decodes_to_its_labels_only():
    row = encode(labelled()) | {"preview": {"bytes": b"never read", "path": None}}
    check(records.decode(row), labelled())
    names = list(records.features(["a"], with_preview=True))
    assert names == [*records.features(["a"]), "preview"]


def test_more_than_254_classes_are_sixteen_bit():
    semantic = np.array([[0, 299], [255, 65535]], dtype=np.uint16)
    data = records.encode_semantic(semantic, 300, taxonomy.pseudo_class_palette(300))
    assert np.array_equal(np.array(Image.open(io.BytesIO(data))), semantic)
    assert Image.open(io.BytesIO(records.encode_semantic(semantic[:1] // 2, 300, semantic))).mode == "I;16"
    with pytest.raises(ValueError, match="must fit 16 bits, but go from 0 to 70000"):
        records.encode_semantic(np.array([[0, 70_000]]), 300, semantic)


@examples(60)
@given(st.lists(st.one_of(st.just(0.0), st.floats(2.0**-20, 1e5, width=32)), min_size=1, max_size=30))
def test_depth_survives_within_half_a_step(values):
    depth = np.array([values], dtype=np.float32)
    data, scale = records.encode_depth(depth)
    back = np.array(Image.open(io.BytesIO(data))).astype(np.float64) * scale
    assert (np.abs(back - depth) <= np.maximum(scale / 2, np.where(depth < scale, scale, 0)) * 1.001 + 1e-9).all()
    assert ((back > 0) == (depth > 0)).all()


@pytest.mark.parametrize(("farthest", "scale"), [(80.0, 1 / 256), (3.0, 2.0**-13), (1e5, 4.0), (0.0, 1.0)])
def test_depth_scale_is_a_power_of_two_that_fits_the_range(farthest, scale):
    data, found = records.encode_depth(np.array([[farthest]], dtype=np.float32))
    assert found == scale and np.array(Image.open(io.BytesIO(data))).max() <= 65_535


def test_unknown_depth_is_zero():
    data, _ = records.encode_depth(np.array([[np.nan, np.inf, 0.0, 3.0]], dtype=np.float32))
    assert np.array_equal(np.array(Image.open(io.BytesIO(data))) > 0, [[False, False, False, True]])


def test_report_map_keeps_road_and_void_apart():
    record = labelled()
    report = records.decode(encode(record)).report_map()
    assert (report[record.semantic == 255] == 255_000).all()
    assert (report[record.semantic == 0] == 0).all()
    assert set(np.unique(report[record.semantic == 4])) == {4001}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": np.zeros((3, 3), np.float32)}, r"a: depth is \(3, 3\), but semantic is \(12, 20\)"),
        ({"segments": []}, "a: segments_info lists ids"),
    ],
)
def test_contradictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        encode(replace(labelled(), **change))


def test_wrong_category_and_area_are_refused():
    record = labelled()
    with pytest.raises(ValueError, match="category 3 of 3"):
        encode(record, classes=3)
    wrong = [dict(segment, area=1) for segment in record.segments]
    with pytest.raises(ValueError, match="says area 1, not"):
        encode(replace(record, segments=wrong))
    with pytest.raises(ValueError, match="a: segments_info lists an id twice"):
        encode(replace(record, segments=[*record.segments, record.segments[0]]))


def test_ids_beyond_sixteen_bits_are_refused():
    for wrong in (70_000, -1):
        with pytest.raises(ValueError, match="must fit 16 bits"):
            records.encode_ids(np.array([[wrong]]))


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "P", "LA"])
def test_the_decoded_picture_is_the_one_that_was_labelled(mode):
    """16-bit grey, transparency and palettes; Pillow's own conversion makes 16-bit white."""
    values = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    picture = (
        Image.fromarray(values).convert(mode) if mode != "I;16" else Image.fromarray(values.view(np.uint16)[..., 0])
    )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    expected = decode_image(buffer.getvalue(), "x")
    assert expected.std() > 1
    row = encode(replace(labelled(), image=buffer.getvalue()))
    assert np.array_equal(records.decode(row).image, expected)
    loaded = Dataset.from_list([row], features=records.features([f"c{k}" for k in range(5)]))[0]
    assert np.array_equal(records.decode(loaded).image, expected)


@pytest.mark.parametrize("column", ["image", "semantic", "panoptic", "depth"])
def test_bytes_of_another_format_never_reach_its_reader(column):
    """Pillow gives EPS to Ghostscript."""
    row = encode(labelled())
    row[column] = {"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n", "path": None}
    with pytest.raises(InputError, match="a: not a PNG"):
        records.decode(row)


def many_segments(count: int, first: int = 1) -> dict:
    """A row of `count` segments of 2, 3, … pixels with ids from `first`, and one line of void."""
    ids = np.repeat(np.arange(count), np.arange(2, count + 2)) + first
    panoptic = np.concatenate([ids, np.zeros(-len(ids) % 64 + 64, int)]).reshape(-1, 64).astype(np.uint16)
    return {"image_id": "a", "panoptic": panoptic,
            "segments_info": [{"id": first + k, "category_id": k % 7} for k in range(count)]}  # fmt: skip


def test_segments_are_numbered_by_falling_area():
    row = many_segments(3, first=298)
    ids, class_of = records.renumber_segments(row)
    assert ids.dtype == np.uint8 and class_of == {1: 2, 2: 1, 3: 0}
    assert np.array_equal(ids, np.choose(np.maximum(row["panoptic"].astype(int) - 297, 0), [0, 3, 2, 1]))
    whole = records.decode(encode(labelled()))
    ids, class_of = records.renumber_segments(whole)
    assert np.array_equal(np.array([255, *(class_of[k] for k in sorted(class_of))])[ids], whole.semantic)


def test_of_more_segments_than_fit_the_smallest_become_void():
    row = many_segments(300)
    ids, class_of = records.renumber_segments(row)
    assert ids.dtype == np.uint8 and len(class_of) == ids.max() == 255
    assert np.array_equal(ids == 0, row["panoptic"] <= 45)  # 0 and the 45 smallest
    ids, class_of = records.renumber_segments(row, most=65_535)
    assert ids.dtype == np.uint16 and len(class_of) == 300 and np.array_equal(ids == 0, row["panoptic"] == 0)
    ids, class_of = records.renumber_segments({"panoptic": np.zeros((2, 2), np.uint16), "segments_info": []})
    assert not ids.any() and class_of == {}


@pytest.mark.parametrize("name", ["Mask2Former", "MaskFormer", "OneFormer"])
def test_renumbered_segments_go_through_the_processors(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    ids, class_of = records.renumber_segments(many_segments(300, first=400))
    ids = np.pad(ids, ((0, -len(ids) % 64), (0, 0)))  # the processors make sides multiples of 32
    height, width = ids.shape[0] // 2, ids.shape[1] // 2
    options, inputs = {"size": {"height": height, "width": width}, "ignore_index": 0}, {}
    if name == "OneFormer":
        (tmp_path / "classes.json").write_text(json.dumps({k: {"name": f"c{k}", "isthing": 1} for k in range(7)}))
        options |= {"repo_path": str(tmp_path), "class_info_file": "classes.json", "num_text": 300}
        inputs = {"task_inputs": ["panoptic"]}
    processor = getattr(transformers, f"{name}ImageProcessorPil")(**options)
    batch = processor(images=[np.zeros((*ids.shape, 3), np.uint8)], segmentation_maps=[ids],
                      instance_id_to_semantic_id=[class_of], return_tensors="pt", **inputs)  # fmt: skip
    small = np.asarray(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))
    left = np.unique(small[small > 0])
    assert len(left) > 200 and batch["class_labels"][0].tolist() == [class_of[k] for k in left.tolist()]
    assert np.array_equal(batch["mask_labels"][0].numpy(), small == left[:, None, None])


def test_renumbering_says_what_it_lacks():
    row = many_segments(3)
    for missing in ("panoptic", "segments_info"):
        with pytest.raises(
            InputError, match="a: renumbering segments needs the columns `panoptic` and `segments_info`"
        ):
            records.renumber_segments({key: value for key, value in row.items() if key != missing})
    with pytest.raises(InputError, match="a: segment id 3 is in the map but not in `segments_info`; list it"):
        records.renumber_segments(row | {"segments_info": row["segments_info"][:2]})
    for most in (0, 65_536):
        with pytest.raises(InputError, match=f"Expected `most` to be 1 to 65535, but got {most}"):
            records.renumber_segments(row, most=most)
