from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels, as_labels, labels_from_segments, read_map
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.records import encode_ids
from tests.reading.test_formatted_rows import dataset


IDS = np.array([[0, 1, 1], [2, 2, 3]], np.int32)
SEGMENTS = [
    {"id": 1, "category_id": 0, "isthing": False, "score": 1.0},
    {"id": 2, "category_id": 13, "isthing": True, "score": 0.5},
    {"id": 3, "category_id": 13, "isthing": True, "score": 0.25},
]
SEMANTIC = [[255, 0, 0], [13, 13, 13]]


def png(array: np.ndarray) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.mark.parametrize("form", ["array", "pil", "bytes", "palette", "rgb", "tensor"])
def test_a_row_of_our_dataset(form: str) -> None:
    panoptic = {
        "array": lambda: IDS.astype(np.uint16),
        "pil": lambda: Image.fromarray(IDS.astype(np.uint16)),
        "bytes": lambda: png(IDS.astype(np.uint16)),
        "palette": lambda: {"bytes": encode_ids(IDS), "path": None},
        "rgb": lambda: np.stack([IDS, 0 * IDS, 0 * IDS], axis=-1).astype(np.uint8),
        "tensor": lambda: pytest.importorskip("torch").from_numpy(IDS),
    }[form]()
    labels = as_labels({"image_id": "a", "panoptic": panoptic, "segments_info": SEGMENTS, "semantic": "not read"})
    assert labels.image_id == "a" and labels.crowd is None
    assert labels.semantic.tolist() == SEMANTIC and labels.instance.tolist() == IDS.tolist()
    assert labels.scores == {1: 1.0, 2: 0.5, 3: 0.25}


@pytest.mark.parametrize("form", ["torch", "numpy", "pandas", "arrow"])
def test_a_row_in_a_format_of_datasets(form: str) -> None:
    plain, labels = as_labels(dataset()[0]), as_labels(dataset().with_format(form)[0])
    assert labels.image_id == "a" and labels.scores == plain.scores == {1: 0.5, 7: 0.5, 300: 0.5}
    np.testing.assert_array_equal(labels.semantic, plain.semantic)
    np.testing.assert_array_equal(labels.instance, plain.instance)
    semantic = as_labels(dataset().select_columns(["image_id", "semantic", "instance"]).with_format(form)[0])
    np.testing.assert_array_equal(semantic.semantic, plain.semantic)


def test_a_decoded_row() -> None:
    from mbps_dataset.records import DecodedRow

    row = DecodedRow("a", None, np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)), IDS.astype(np.uint16), SEGMENTS)
    assert as_labels(row).semantic.tolist() == SEMANTIC


def test_a_prediction_of_transformers() -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerForUniversalSegmentationOutput

    masks = torch.full((1, 2, 8, 8), -9.0)
    masks[0, 0, :, :4], masks[0, 1, :4, 4:] = 9.0, 9.0
    classes = torch.full((1, 2, 20), -9.0)
    classes[0, 0, 0] = classes[0, 1, 13] = 9.0
    output = Mask2FormerForUniversalSegmentationOutput(class_queries_logits=classes, masks_queries_logits=masks)
    processor = transformers.Mask2FormerImageProcessorPil()
    prediction = processor.post_process_panoptic_segmentation(output, target_sizes=[(8, 8)])[0]
    labels = as_labels(prediction, "a")
    assert labels.semantic[0].tolist() == [0, 0, 0, 0, 13, 13, 13, 13]
    assert labels.instance.tolist() == prediction["segmentation"].int().tolist()
    assert set(labels.scores) == {1, 2} == {int(segment["id"]) for segment in prediction["segments_info"]}


def test_minus_one_is_void_as_transformers_writes_it() -> None:
    labels = as_labels({"segmentation": np.full((2, 2), -1), "segments_info": []})
    assert labels.semantic.tolist() == [[255, 255]] * 2 and labels.instance.tolist() == [[0, 0]] * 2


def test_semantic_and_instance_maps_in_every_wrapping(tmp_path: Path) -> None:
    semantic, instance = np.array([[0, 13], [13, 255]], np.uint8), np.array([[0, 1], [2, 0]], np.uint16)
    np.save(tmp_path / "a.npy", semantic)
    np.savez(tmp_path / "a.npz", semantic=semantic, instance=instance)
    Image.fromarray(semantic).save(tmp_path / "a.png")
    for value in (semantic, Image.fromarray(semantic), tmp_path / "a.npy", str(tmp_path / "a.png")):
        labels = as_labels(value)
        assert labels.semantic.tolist() == semantic.tolist() and labels.instance is None
    both = {"semantic": Image.fromarray(semantic), "instance": png(instance)}
    for value in ((semantic, instance), both, tmp_path / "a.npz"):
        labels = as_labels(value)
        assert labels.semantic.tolist() == semantic.tolist() and labels.instance.tolist() == instance.tolist()


def test_palette_images_keep_their_ids() -> None:
    image = Image.fromarray(np.array([[0, 13, 255]], np.uint8))
    image.putpalette([(k * 7) % 256 for k in range(768)])
    assert as_labels(image).semantic.tolist() == [[0, 13, 255]]


@pytest.mark.parametrize("ids", [(1, 2, 3), (1, 2, 255), (0x2D7896 + 1, 2, 3)])
def test_palette_images_of_segments_are_colours_unless_they_are_those_of_our_ids(ids) -> None:
    """An optimised COCO picture has any palette; read by index it would be other segments."""
    listed = [segment | {"id": k} for segment, k in zip(SEGMENTS, ids)]
    coloured = np.array([0, *ids])[IDS]
    rgb = np.stack([coloured & 255, coloured >> 8 & 255, coloured >> 16], axis=-1).astype(np.uint8)
    image = Image.fromarray(rgb).quantize(256)
    assert image.mode == "P" and np.array_equal(np.asarray(image.convert("RGB")), rgb)
    labels = as_labels({"panoptic": image, "segments_info": listed})
    assert labels.semantic.tolist() == SEMANTIC and labels.instance.tolist() == coloured.tolist()
    ours = Image.open(io.BytesIO(encode_ids(np.minimum(coloured, 9))))
    numbered = [segment | {"id": min(k, 9) if k > 3 else k} for segment, k in zip(SEGMENTS, ids)]
    assert as_labels({"panoptic": ours, "segments_info": numbered}).semantic.tolist() == SEMANTIC


def test_categories_map_to_classes_and_the_rest_to_void() -> None:
    labels = as_labels({"segmentation": IDS, "segments_info": SEGMENTS}, class_of={13: 5}, void=65535)
    assert labels.semantic.tolist() == [[65535, 65535, 65535], [5, 5, 5]]
    assert as_labels(np.array([[0, 13]]), class_of={13: 5}).semantic.tolist() == [[255, 5]]


def test_crowds_are_numbered_in_the_order_of_the_list() -> None:
    segments = [segment | {"iscrowd": int(segment["id"] > 1)} for segment in reversed(SEGMENTS)]
    assert labels_from_segments(IDS, segments, "a").crowd.tolist() == [[0, 0, 0], [2, 2, 1]]


def test_labels_feed_the_metric() -> None:
    labels = Labels("a", np.array(SEMANTIC), IDS)
    metric = PanopticQuality((13,), (0,))
    metric.update(**labels.as_prediction(), **labels.as_truth(), image_id="a")
    assert metric.compute().pq == 1.0 and metric.compute().per_class[13]["tp"] == 2


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"segmentation": IDS, "segments_info": SEGMENTS[:2]}, "image 'a': segment id 3 is in the map but not in `segments_info`"),
        ({"segmentation": IDS - 5, "segments_info": SEGMENTS}, "image 'a': the map of segments holds the negative id -5"),
        ({"segmentation": np.full((1, 2), 2**64 - 1, np.uint64), "segments_info": SEGMENTS},
         f"image 'a': segment id {2**64 - 1} is in the map but not in `segments_info`"),
        ({"segmentation": IDS, "segments_info": [{"id": k} for k in (1, 2, 3)]}, "segment 1 has neither `category_id` nor"),
        ({"masks": IDS}, r"image 'a': found the keys \['masks'\], but need `segmentation` or `panoptic`"),
        (np.zeros((2, 3, 4, 5), int), r"image 'a': expected a map \[H, W\], but got shape \(2, 3, 4, 5\)"),
        ("nowhere.png", "image 'a': nowhere.png does not exist"),
    ],
)  # fmt: skip
def test_errors_name_the_image(value, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        as_labels(value, "a")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"image 'a': .*a\.png: cannot be read as a PNG file"):
        read_map(tmp_path / "a.png", "a")


def test_maps_of_transformers_in_their_edge_forms() -> None:
    nothing = as_labels({"segmentation": np.full((2, 2), -1.0, np.float32), "segments_info": []})
    assert nothing.semantic.tolist() == [[255, 255]] * 2 and not nothing.instance.any()
    segments = [{"id": 0, "label_id": 13, "score": 0.9}, {"id": 1, "label_id": 11, "score": 0.8}]  # instances from 0
    found = as_labels({"segmentation": np.array([[[-1.0, 0.0], [1.0, 1.0]]]), "segments_info": segments})
    assert found.semantic.tolist() == [[255, 13], [11, 11]] and found.instance.tolist() == [[0, 1], [2, 2]]
    assert found.scores == {1: 0.9, 2: 0.8}


def test_nothing_found_without_a_map_is_all_void() -> None:
    for segments in ([], None):
        found = as_labels({"segmentation": None, "segments_info": segments}, "a", size_hw=(2, 3))
        assert found.semantic.tolist() == [[255] * 3] * 2 and not found.instance.any()
    metric = PanopticQuality((13,), (0,))
    metric.update(**found.as_prediction(), true_semantic=np.zeros((2, 3), int), true_instance=None)
    assert metric.compute().per_class[0]["fn"] == 1 and metric.compute().predicted_void_share == 1.0


def test_an_instance_of_transformers_that_another_covers_is_no_segment() -> None:
    entry = {"label_id": 13, "was_fused": False, "score": 0.9}
    found = as_labels({"segmentation": np.full((2, 2), 1.0), "segments_info": [{"id": k} | entry for k in (0, 1)]})
    assert found.semantic.tolist() == [[13, 13]] * 2 and found.instance.tolist() == [[2, 2]] * 2


def test_what_the_processors_give_where_nothing_or_instances_are_found() -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    output = SimpleNamespace(
        class_queries_logits=torch.zeros(1, 3, 20), masks_queries_logits=torch.full((1, 3, 8, 8), -5.0)
    )
    output.class_queries_logits[..., -1] = 50.0
    for name in ("Mask2Former", "MaskFormer", "OneFormer"):
        processor = getattr(transformers, f"{name}ImageProcessorPil")(
            **({"repo_path": None} if name == "OneFormer" else {})
        )
        for process in (processor.post_process_panoptic_segmentation, processor.post_process_instance_segmentation):
            found = as_labels(process(output, target_sizes=[(8, 8)])[0], "a")
            assert found.semantic.tolist() == [[255] * 8] * 8 and not found.instance.any()
    output.class_queries_logits[0, 0, 3] = output.class_queries_logits[0, 1, 5] = 99.0
    output.masks_queries_logits[0, 0, :4] = output.masks_queries_logits[0, 1, 6:] = 5.0
    result = transformers.Mask2FormerImageProcessorPil().post_process_instance_segmentation(
        output, target_sizes=[(8, 8)]
    )[0]
    found = as_labels(result, "a")
    assert sorted(np.unique(found.semantic)) == [3, 5, 255] and sorted(np.unique(found.instance)) == [0, 1, 2]
    assert set(found.semantic[6:].ravel()) == {5} and set(found.semantic[:4].ravel()) == {3}


def test_segments_as_a_dict_of_lists() -> None:
    columns = {"id": [1, 2, 3], "category_id": [0, 13, 13]}
    assert as_labels({"panoptic": IDS, "segments_info": columns}).semantic.tolist() == SEMANTIC


def test_only_listed_segments_of_stuff_are_segments() -> None:
    assert as_labels({"panoptic": IDS, "segments_info": SEGMENTS}).listed
    assert not as_labels((np.zeros((2, 3), int), IDS)).listed and not as_labels(np.zeros((2, 3), int)).listed


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.array([[0.5, 1.0]]), "image 'a': expected a map of ids, but it holds 0.5"),
        (np.array([[np.nan]]), "image 'a': expected a map of ids, but it holds nan"),
        (np.array([["x"]]), "image 'a': expected a map of integers, but got"),
        (
            {"segmentation": None, "segments_info": []},
            "image 'a': `segmentation` is None, .* but the size of the image is not known; pass `size_hw`",
        ),
        (
            {"segmentation": None, "segments_info": SEGMENTS},
            "image 'a': `segmentation` is None, .* but `segments_info` lists 3 segments; give the map",
        ),
        (
            {"segmentation": [[3, 4], [1, 2, 3]], "segments_info": []},
            r"image 'a': expected a map \[H, W\], but got lists of unequal length",
        ),
        (
            {"segmentation": np.ones((2, 5, 7)), "segments_info": []},
            r"image 'a': expected a map \[H, W\], but got shape \(2, 5, 7\)",
        ),
        (
            {"segmentation": IDS, "segments_info": [*SEGMENTS, {"id": 9, "label_id": 1}]},
            "segment id 9 is in `segments_info`",
        ),
        ({"segmentation": IDS, "segments_info": [*SEGMENTS, SEGMENTS[0]]}, "image 'a': segment id 1 is listed twice"),
    ],
)
def test_more_errors_name_the_image(value, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        as_labels(value, "a")


def test_files_that_are_no_maps_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    Image.new("RGB", (4, 4)).save(tmp_path / "jpeg.png", "JPEG")
    for name, sentence in (
        ("a.npy", "cannot be read"),
        ("a.npz", "it holds other"),
        ("jpeg.png", "cannot be read as a PNG"),
    ):
        with pytest.raises(InputError, match=rf"image 'a': .*{name}.*{sentence}"):
            as_labels(tmp_path / name, "a")
    with pytest.raises(InputError, match="does not exist"):
        as_labels(tmp_path / "gone.npz", "a")


def test_a_map_of_one_bit_holds_numbers() -> None:
    """As truth values it would choose from the table of classes, or stop there."""
    from mbps_dataset.formats.image_segmentation import cityscapes_labels

    bits = np.array([[True, False]])
    for value in (bits, png(bits), Image.fromarray(bits)):
        read = read_map(value, "a")
        assert read.dtype == np.uint8 and read.tolist() == [[1, 0]]
    assert cityscapes_labels(
        read_map(png(bits), "a"), None, np.arange(256, dtype=np.uint8), "a"
    ).semantic.tolist() == [[1, 0]]


def test_cityscapes_maps_must_be_of_one_size_and_of_its_ids() -> None:
    from mbps_dataset import taxonomy
    from mbps_dataset.formats.image_segmentation import cityscapes_labels

    labels = np.array([[7, 26]], np.uint8)
    with pytest.raises(
        InputError, match="image 'a': its label map: its map of instanceIds is 1x1, that of labelIds 1x2"
    ):
        cityscapes_labels(labels, np.array([[26_000]]), taxonomy.LABEL_ID_TO_TRAIN_ID, "a")
    with pytest.raises(InputError, match=r"image 'a': x\.png: \[77\] are no label ids of Cityscapes"):
        cityscapes_labels(labels + 70 - 19 * (labels > 7), None, taxonomy.LABEL_ID_TO_TRAIN_ID, "a", "x.png")
