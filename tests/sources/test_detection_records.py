"""JSON of detections: what SAM's tools write is read, and whatever is wrong is one line with file, image, annotation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources.detection_records import finite_score, stated_origin
from mbps_dataset.sources.detections import read_detections


SHAPE = (20, 30)
RUNS = {"size": [20, 30], "counts": [10, 20, 570]}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def sam(iou: object = 0.9) -> dict[str, object]:
    return {
        "segmentation": RUNS,
        "area": 20,
        "bbox": [0, 10, 1, 10],
        "predicted_iou": iou,
        "point_coords": [[0.5, 12.0]],
        "stability_score": 0.95,
        "crop_box": [0, 0, 30, 20],
    }


def expected() -> np.ndarray:
    mask = np.zeros(600, bool)
    mask[10:30] = True
    return mask.reshape(30, 20).T


def test_a_list_of_sam_is_of_the_image_it_is_named_after(tmp_path: Path) -> None:
    path = write(tmp_path / "p0.json", [sam(0.9), sam(1.01)])
    found = read_detections(path, ["p0", "p1"])
    assert found.image_ids == ("p0",)
    instances = found.instances("p0", SHAPE)
    np.testing.assert_array_equal(instances.masks(), [expected(), expected()])
    assert instances.scores.tolist() == [0.9, 1.01]
    assert found.instances("p0", SHAPE, min_score=0.95).scores.tolist() == [1.01]


def test_sa_1b_is_read(tmp_path: Path) -> None:
    image = {"image_id": 1, "width": 30, "height": 20, "file_name": "sa_1.jpg"}
    path = write(tmp_path / "sa_1.json", {"image": image, "annotations": [sam() | {"id": 532}]})
    found = read_detections(path, ["sa_1"]).instances("sa_1", SHAPE)
    np.testing.assert_array_equal(found.masks(), [expected()])
    assert found.scores.tolist() == [0.9]
    with pytest.raises(InputError, match="says it is of the image 'sa_1.jpg'; a file must be named after its image"):
        read_detections(path.rename(tmp_path / "sa_2.json"), ["sa_1", "sa_2"])
    write(path, {"image": {}, "annotations": []})
    assert len(read_detections(path, ["sa_1"]).instances("sa_1", SHAPE)) == 0


def test_a_folder_of_them_is_opened_one_image_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "p0.json", [sam()])
    write(tmp_path / "p1.json", {"image": {"file_name": "p1.png"}, "annotations": [sam(0.5)]})
    write(tmp_path / "p2.json", [])
    (tmp_path / "p3.json").write_text("{")
    write(tmp_path / "p4.json", [sam() | {"image_id": 4}])
    found = read_detections(tmp_path, ["a/p0", *(f"p{k}" for k in range(1, 5))])
    assert found.image_ids == ("a/p0", "p1", "p2", "p3", "p4")
    assert [found.instances(k, SHAPE).scores.tolist() for k in ("a/p0", "p1", "p2")] == [[0.9], [0.5], []]
    with pytest.raises(InputError, match=r"image p3: .*p3.json: cannot be read as JSON"):
        found.instances("p3", SHAPE)
    with pytest.raises(
        InputError, match=r"image p4: p4.json is no list of masks of one image, .* a COCO file by itself"
    ):
        found.instances("p4", SHAPE)
    write(tmp_path / "p1.json", [sam(math.nan)])
    with pytest.raises(InputError, match="image p1: p1.json: annotation 0: the score is nan, but must be a finite"):
        found.instances("p1", SHAPE)


@pytest.mark.parametrize("record", [{}, {"score": None}, {"predicted_iou": None}, {"score": 1}])
def test_no_score_counts_as_one(tmp_path: Path, record: dict[str, object]) -> None:
    path = write(tmp_path / "r.json", [{"image_id": "p0", "segmentation": RUNS} | record])
    assert read_detections(path, ["p0"]).instances("p0", SHAPE, min_score=1.0).scores.tolist() == [1.0]


def test_a_score_goes_before_a_predicted_iou(tmp_path: Path) -> None:
    path = write(tmp_path / "p0.json", [sam(0.9) | {"score": 0.3}, sam(0.9) | {"score": None}])
    assert read_detections(path, ["p0"]).instances("p0", SHAPE).scores.tolist() == [0.3, 0.9]


def test_scores_are_finite_numbers() -> None:
    assert [finite_score(value) for value in (None, 0, 0.25)] == [1.0, 0.0, 0.25]


SCORE = r"image p0: annotation 1 \(id 7\): the score is {}, but must be a finite number, or absent\."


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"score": math.nan}, SCORE.format("nan")),
        ({"score": math.inf}, SCORE.format("inf")),
        ({"score": -math.inf}, SCORE.format("-inf")),
        ({"score": 10**400}, SCORE.format("1000000.*")),
        ({"score": "0.9"}, SCORE.format("'0.9'")),
        ({"score": [0.9]}, SCORE.format(r"\[0.9\]")),
        ({"score": True}, SCORE.format("True")),
        ({"predicted_iou": math.nan}, SCORE.format("nan")),
        ({"segmentation": None}, r"image p0: annotation 1 \(id 7\): the segmentation is neither run lengths"),
        ({"segmentation": {"size": [20, 30], "counts": None}}, r"image p0: annotation 1 \(id 7\): `counts` is None"),
        ({"segmentation": {"size": None, "counts": [600]}}, r"image p0: annotation 1 \(id 7\): `size` is None"),
        (
            {"segmentation": [[2, 2, math.nan, 2, 10, 10]]},
            r"image p0: annotation 1 \(id 7\): a polygon has the coordinate nan",
        ),
        (
            {"segmentation": [[0] * 30] * 20},
            r"image p0: annotation 1 \(id 7\): the segmentation is a mask as 20 rows of 30",
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_image_and_annotation(
    tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    right = {"image_id": 3, "id": 1, "segmentation": RUNS}
    content = {"images": [{"id": 3, "file_name": "p0.png"}], "annotations": [right, right | {"id": 7} | wrong]}
    found = read_detections(write(tmp_path / "r.json", content), ["p0"])
    with pytest.raises(InputError, match="r.json, " + message) as caught:
        found.instances("p0", SHAPE)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_masks_that_cover_the_image_over_and_over_are_refused(tmp_path: Path) -> None:
    whole = {"image_id": "p0", "segmentation": {"size": [20, 30], "counts": [0, 600]}}
    found = read_detections(write(tmp_path / "r.json", [whole] * 500), ["p0"])
    assert len(found.instances("p0", SHAPE)) == 500
    found = read_detections(write(tmp_path / "r.json", [whole] * 501), ["p0"])
    with pytest.raises(InputError, match="image p0: annotation 500: up to here the masks cover the image 500 times"):
        found.instances("p0", SHAPE)


IMAGES = [{"id": 1, "file_name": "p0.png"}]


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "a list of results, or an object"),
        (3, "a list of results, or an object"),
        ("masks", "a list of results, or an object"),
        ([3], "expected results with `image_id` and `segmentation`, but annotation 0 is 3"),
        ([{"image_id": "p0", "segmentation": RUNS}, None], "expected results .* but annotation 1 is None"),
        ([{"image_id": "p0", "segmentation": RUNS}, {"segmentation": RUNS}], "but annotation 1 is {'segmentation'"),
        (
            [{"image_id": None, "segmentation": RUNS}],
            "`image_id` of annotation 0 is None, but must be a text or a number",
        ),
        ([{"image_id": ["p0"], "segmentation": RUNS}], r"`image_id` of annotation 0 is \['p0'\], but"),
        ({"images": IMAGES, "annotations": None}, "`annotations` is None, but must be a list"),
        ({"images": IMAGES, "annotations": {"a": 1}}, "`annotations` is {'a': 1}, but must be a list"),
        ({"images": None, "annotations": []}, "expected `images` with `id` and `file_name`, but got None"),
        ({"images": [3], "annotations": []}, "expected `images` with `id` and `file_name`, but got 3"),
        ({"images": [{"id": 1, "file_name": None}], "annotations": []}, "expected `images` with .* but got {'id': 1"),
        (
            {"images": [{"id": [1], "file_name": "a"}], "annotations": []},
            r"expected `images` with .* but got {'id': \[1",
        ),
        (
            {"images": [*IMAGES, {"id": 1, "file_name": "p1.png"}], "annotations": []},
            "`images` has the id 1 twice, 'p0.png' and 'p1.png'; number them apart",
        ),
        ({"image": 3, "annotations": []}, "expected `image` to be an object and `annotations` a list, as in SA-1B"),
        ({"image": {}, "annotations": None}, "expected `image` to be an object and `annotations` a list, as in SA-1B"),
        ({"image": {}, "annotations": [{"id": 1}]}, "annotation 0 is {'id': 1}, but must have a `segmentation`"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=f"r.json: .*{message}"):
        read_detections(write(tmp_path / "r.json", content), ["p0", "p1"])


def test_json_that_no_reader_gets_through_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for text in ("[" * 100_000, "[" + "9" * 5000 + "]", "", "\ufeff{", '{"image": 1, "image": 2}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="r.json: cannot be read as JSON"):
            read_detections(path, ["p0"])


def test_an_empty_list_says_nothing(tmp_path: Path) -> None:
    assert read_detections(write(tmp_path / "r.json", []), ["p0"]).image_ids == ()


@pytest.mark.parametrize(("first_line", "stated"), [
    ('{"info": {"supervision": "noise", "ground_truth_used": ["boxes"]},', ("noise", ("boxes",))),
    ('{"info": {"supervision": "noise", "ground_truth_used": []},', ("noise", ())),
    ('{"info": {"supervision": "noise"},', None),
    ('{"info": {"supervision": 3, "ground_truth_used": []},', None),
    ('{"info": {"supervision": "x", "ground_truth_used": [1]},', None),
    ('{"info": {"description": "COCO 2017 Dataset"}, "images": [],', None),
    ('{"info": "x",', None),
    ('[{"image_id": 1},', None),
    ("", None),
])  # fmt: skip
def test_where_a_file_comes_from_is_read_from_its_first_line(first_line, stated, tmp_path) -> None:
    (tmp_path / "d.json").write_text(f'{first_line}\n"annotations": []}}\n')
    assert stated_origin(tmp_path / "d.json") == stated


def test_a_folder_does_not_say_where_it_comes_from(tmp_path) -> None:
    assert stated_origin(tmp_path) is stated_origin(tmp_path / "nothing.json") is None
