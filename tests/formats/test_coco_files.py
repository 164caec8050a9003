"""COCO panoptic files as panopticapi, detectron2 and mmdetection write them, and as they get damaged on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.formats.coco_files import read_coco
from mbps_dataset.formats.label_source import pair_images
from mbps_dataset.formats.segmentation_sets import open_labels, open_pair
from mbps_dataset.scoring.score import score


CATEGORIES = [{"id": 23, "name": "sky", "isthing": 0}, {"id": 7, "name": "road", "isthing": 0},
              {"id": 26, "name": "car", "isthing": 1}]  # fmt: skip
SKY, ROAD, CAR = 10, 0, 13
IDS = np.array([[1, 1, 1, 1], [2, 2, 900, 0]])
SEGMENTS = ((1, 23), (2, 7), (900, 26))


def colours(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)


def segments(*pairs: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"id": number, "category_id": category, "iscrowd": 0} for number, category in pairs]


def write_coco(
    path: Path,
    ids: np.ndarray = IDS,
    listed: Any = None,
    *,
    categories: Any = CATEGORIES,
    name: str = "a.png",
    **annotation: Any,
) -> Path:
    """``path`` with one image; `annotation` changes its entry."""
    picture = path.with_suffix("") / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours(ids)).save(picture)
    listed = segments(*SEGMENTS) if listed is None else listed
    entry = {"image_id": 1, "file_name": name, "segments_info": listed} | annotation
    document = {"images": [], "annotations": [entry]} | ({} if categories is None else {"categories": categories})
    path.write_text(json.dumps(document))
    return path


def test_categories_are_taken_by_name(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "x.json")
    labels = open_labels(path)["a"]
    assert labels.semantic.tolist() == [[SKY] * 4, [ROAD, ROAD, CAR, 255]] and labels.listed
    assert labels.instance.tolist() == IDS.tolist()
    assert open_labels(path, classes=7)["a"].semantic.tolist() == [[4] * 4, [0, 0, 6, 255]]
    assert open_labels(path, clusters=True)["a"].semantic.tolist() == [[23] * 4, [7, 7, 26, 255]]


def test_a_class_of_cityscapes_that_is_void_among_the_19_is_void(tmp_path: Path) -> None:
    parking = [*CATEGORIES[:2], {"id": 26, "name": "parking"}]
    assert open_labels(write_coco(tmp_path / "x.json", categories=parking))["a"].semantic[1, 2] == 255


@pytest.mark.parametrize("side", ["prediction", "truth"])
def test_unknown_names_are_an_error_on_either_side(tmp_path: Path, side: str) -> None:
    right = write_coco(tmp_path / "right.json")
    wrong = write_coco(tmp_path / "wrong.json", categories=[CATEGORIES[0] | {"name": "Sky"}, *CATEGORIES[1:]])
    with pytest.raises(InputError, match=r"wrong\.json: no class of Cityscapes .* category 23 'Sky' \('sky'\?\)"):
        score(*((wrong, right) if side == "prediction" else (right, wrong)))
    strange = write_coco(tmp_path / "strange.json", categories=[c | {"name": f"x{c['id']}"} for c in CATEGORIES])
    with pytest.raises(InputError, match=r"strange\.json: no class .* 23 'x23', 7 'x7', 26 'x26'"):
        open_pair(strange, right)  # and not those of the other side


def test_a_prediction_without_categories_has_those_of_the_truth_or_class_ids(tmp_path: Path) -> None:
    truth, bare = write_coco(tmp_path / "truth.json"), write_coco(tmp_path / "bare.json", categories=None)
    assert open_pair(bare, truth)[0]["a"].semantic.tolist() == [[SKY] * 4, [ROAD, ROAD, CAR, 255]]
    with pytest.raises(InputError, match=r"bare\.json: image 'a': segment 1 has the category 23, which is not in"):
        open_labels(bare)["a"]
    own = write_coco(tmp_path / "own.json", listed=segments((1, 10), (2, 0), (900, 13)), categories=None)
    assert open_labels(own)["a"].semantic.tolist() == [[SKY] * 4, [ROAD, ROAD, CAR, 255]]
    nameless = write_coco(tmp_path / "nameless.json", categories=[{"id": 10}, {"id": 40}])
    with pytest.raises(
        InputError, match=r"nameless\.json: category 40 has no name and is no class id of the 19 classes"
    ):
        open_labels(nameless)


def test_train_ids_against_label_ids_are_an_error(tmp_path: Path) -> None:
    truth = write_coco(tmp_path / "truth.json")
    train_ids = write_coco(tmp_path / "pred.json", listed=segments((1, 10), (2, 0), (900, 13)), categories=None)
    with pytest.raises(InputError, match=r"pred\.json: image 'a': segment 1 has the category 10, which is not in"):
        score(train_ids, truth)


@pytest.mark.parametrize("mode", ["palette", "RGBA", "grey", "grey with alpha", "plain ids"])
def test_colours_are_ids_whatever_the_mode(tmp_path: Path, mode: str) -> None:
    ids, listed = IDS, SEGMENTS
    if mode in ("grey", "grey with alpha"):  # what an optimiser makes of red = green = blue
        ids = np.array([[1, 1, 1, 1], [2, 2, 3, 0]]) * 65_793
        listed = tuple((int(k), c) for k, c in zip((65_793, 131_586, 197_379), (23, 7, 26)))
    if mode == "plain ids":
        ids, listed = np.array([[1, 1, 1, 1], [2, 2, 3, 0]]), ((1, 23), (2, 7), (3, 26))
    path = write_coco(tmp_path / "x.json", ids, segments(*listed))
    picture = tmp_path / "x/a.png"
    image = Image.open(picture).convert("RGB")
    made = {
        "palette": lambda: image.quantize(16),
        "RGBA": lambda: image.convert("RGBA"),
        "grey": lambda: image.convert("L"),
        "grey with alpha": lambda: image.convert("LA"),
        "plain ids": lambda: Image.fromarray(ids.astype(np.uint8)),
    }[mode]()
    made.save(picture)
    assert Image.open(picture).mode == {"palette": "P", "RGBA": "RGBA", "grey with alpha": "LA"}.get(mode, "L")
    labels = open_labels(path)["a"]
    assert labels.semantic.tolist() == [[SKY] * 4, [ROAD, ROAD, CAR, 255]] and labels.instance.tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (
            segments((1, 23), (2, 7)),
            r"image 'a': segment id 900 is in the map but not in `segments_info` \(1 such ids\)",
        ),
        (
            segments(*SEGMENTS, (5, 7)),
            r"image 'a': segment id 5 is in `segments_info` but not in the map \(1 such ids\)",
        ),
        (segments(*SEGMENTS, (2, 23)), "image 'a': segment id 2 is listed twice .*, as category 7 and as category 23"),
        (segments(*SEGMENTS, (2, 7)), "image 'a': segment id 2 is listed twice"),
        (
            segments(*SEGMENTS[:2], (900, 99)),
            "image 'a': segment 900 has the category 99, which is not in `categories`",
        ),
        (segments(*SEGMENTS, (0, 7)), "image 'a': a segment has the id 0, which is void"),
    ],
)
def test_map_and_list_must_agree_on_either_side(tmp_path: Path, listed: list, sentence: str) -> None:
    right, wrong = write_coco(tmp_path / "right.json"), write_coco(tmp_path / "wrong.json", listed=listed)
    for pair in ((wrong, right), (right, wrong)):
        with pytest.raises(InputError, match=sentence):
            score(*pair)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("[]", "has no `annotations`"),
        ("", r"is no COCO panoptic file \(empty\)"),
        ('{"annotations": [', "is no COCO panoptic file .not JSON"),
        ('{"annotations": ' + "[" * 5000 + "]" * 5000 + "}", "is no COCO panoptic file .nested"),
        ({"annotations": {}}, "has no `annotations`"),
        ({"annotations": [1]}, "annotation 0 has no `file_name`"),
        ({"annotations": [{"segmentation": [], "image_id": 1}]}, "annotation 0 has no `file_name`.* --detections"),
        ({"annotations": [{"file_name": "."}]}, "annotation 0 has no `file_name`"),
        ({"annotations": [{"file_name": "a.png", "image_id": [1]}]}, r"image 'a' has the image_id \[1\]"),
        ({"annotations": [{"file_name": "a.png"}] * 2}, r"image 'a' \(image_id a\) occurs twice"),
        (
            {"annotations": [{"file_name": f"{k}.png", "image_id": 1} for k in "ab"]},
            r"image 'b' \(image_id 1\) occurs twice",
        ),
        ({"annotations": [], "categories": {"1": "road"}}, "`categories` must be a list, but is dict"),
        ({"annotations": [], "categories": ["road"]}, "a category has no `id`"),
        ({"annotations": [], "categories": [{"id": "x"}]}, "the id of a category must be an integer, but is 'x'"),
        ({"annotations": [], "categories": [{"id": 1, "name": 3}]}, "category 1 is called 3, which is no text"),
        (
            {"annotations": [], "categories": [{"id": 1, "name": "road"}, {"id": 1, "name": "sky"}]},
            "have one id or one name",
        ),
        (
            {"annotations": [], "categories": [{"id": 1, "name": "road"}, {"id": 2, "name": "road"}]},
            "have one id or one name",
        ),
        ({"annotations": [], "categories": [{"id": 1, "name": "road"}, {"id": 2}]}, "category 2 has no name"),
    ],
)
def test_broken_and_foreign_documents_are_one_line(tmp_path: Path, capsys, document: Any, sentence: str) -> None:
    from mbps_dataset.cli import main

    path = tmp_path / "x.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(InputError, match=rf"x\.json.*{sentence}"):
        open_labels(path)
    assert main(["eval", str(path), "--truth", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "listed", [None, 5, "ab", [1], [{"id": None, "category_id": 7}], [{"id": 1.5, "category_id": 7}], [{"id": 1}],
               [{"id": 1, "category_id": None}], [{"id": 1, "category_id": "7"}], [{"id": True, "category_id": 7}],
               [{"id": -1, "category_id": 7}], [{"id": 10**30, "category_id": 7}],
               [{"id": 1, "category_id": 7, "score": "high"}]],
)  # fmt: skip
def test_broken_segments_are_one_line_that_names_file_and_image(tmp_path: Path, listed: Any) -> None:
    path = write_coco(tmp_path / "x.json", segments_info=listed)
    with pytest.raises(InputError, match=r"x\.json: image 'a': ") as error:
        open_labels(path)["a"]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("predicted", "true"),
    [
        ({"name": "other.png", "image_id": 7}, {"name": "a.png", "image_id": 7}),
        ({"name": "frankfurt_000000_000294_leftImg8bit.png", "image_id": 4},  # detectron2 and mmdetection
         {"name": "frankfurt_000000_000294_gtFine_panoptic.png", "image_id": "frankfurt_000000_000294"}),
        ({"name": "frankfurt_000000_000294_leftImg8bit.png", "image_id": "frankfurt_000000_000294"},
         {"name": "frankfurt_000000_000294_gtFine_panoptic.png", "image_id": "frankfurt_000000_000294"}),
        ({"name": "000000000139.png", "image_id": 139}, {"name": "000000000139.png", "image_id": 139}),
        ({"name": "val/a.png", "image_id": None}, {"name": "a.png", "image_id": 3}),
    ],
)  # fmt: skip
def test_images_are_paired_by_image_id_or_else_by_name(tmp_path: Path, predicted: dict, true: dict) -> None:
    pair = [write_coco(tmp_path / name, **side) for name, side in (("p.panoptic.json", predicted), ("t.json", true))]
    assert score(*pair).result.pq == 1.0


def test_image_id_comes_before_the_name(tmp_path: Path) -> None:
    sides = []
    for side, numbers in (("pred", {"a": 2, "b": 1}), ("true", {"a": 1, "b": 2})):
        parts = [write_coco(tmp_path / f"{side}.json", name=f"{k}.png", image_id=n) for k, n in numbers.items()]
        entries = [
            {"image_id": n, "file_name": f"{k}.png", "segments_info": segments(*SEGMENTS)} for k, n in numbers.items()
        ]
        parts[0].write_text(json.dumps({"annotations": entries, "categories": CATEGORIES}))
        sides.append(parts[0])
    assert dict(pair_images(*open_pair(*sides)).both) == {"a": "b", "b": "a"}


def test_a_coco_file_is_paired_with_other_forms(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "x.json", name="frankfurt_000000_000294_leftImg8bit.png")
    tree = tmp_path / "gtFine/val/frankfurt"
    tree.mkdir(parents=True)
    labels, instances = [[23] * 4, [7, 7, 26, 0]], [[23] * 4, [7, 7, 26_000, 0]]
    for name, values, dtype in (("labelIds", labels, np.uint8), ("instanceIds", instances, np.uint16)):
        Image.fromarray(np.array(values, dtype)).save(tree / f"frankfurt_000000_000294_gtFine_{name}.png")
    assert score(path, tmp_path / "gtFine").result.pq == 1.0


def test_stuff_in_several_segments_counts_as_panopticapi_counts_it(tmp_path: Path) -> None:
    ids = np.array([[1, 1, 3, 3], [2, 2, 900, 900]])
    whole = np.where(ids == 3, 1, ids)
    truth = write_coco(tmp_path / "truth.json", whole)
    apart = write_coco(tmp_path / "apart.json", ids, segments(*SEGMENTS, (3, 23)))
    for pair in ((apart, truth), (truth, apart)):
        result = score(*pair).result
        assert result.pq == pytest.approx(2 / 3) and result.per_class[SKY]["tp"] == 0
    assert score(apart, apart).result.per_class[SKY]["tp"] == 2
    assert score(apart, truth, convention="cups").result.pq == 1.0  # torchmetrics merges stuff
    assert score(apart, truth, classes=7).result.pq == pytest.approx(2 / 3)
    assert score(apart, truth, matching="hungarian").result.pq == 1.0  # clusters that become one class are merged


def test_clusters_of_a_file_may_have_any_number_of_ids(tmp_path: Path) -> None:
    clusters = [{"id": k, "name": f"c{k}", "isthing": int(k == 300)} for k in (0, 255, 300)]
    path = write_coco(tmp_path / "x.json", listed=segments((1, 0), (2, 255), (900, 300)), categories=clusters)
    opened = open_labels(path, clusters=True)
    assert opened["a"].semantic.tolist() == [[0] * 4, [255, 255, 300, 65_535]] and opened.void == 65_535
    assert opened.is_thing == {0: False, 255: False, 300: True}
    result = score(path, write_coco(tmp_path / "truth.json"), matching="hungarian_split").result
    assert result.pq == 1.0 and result.assignment == {0: SKY, 255: ROAD, 300: CAR}


def test_annotations_are_known_by_the_path_of_the_png(tmp_path: Path) -> None:
    assert list(read_coco(write_coco(tmp_path / "x.json", name="city/a_gtFine_panoptic.png")).annotations) == [
        "city/a"
    ]
