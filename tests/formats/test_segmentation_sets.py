from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.segmentation_sets import LabelSource, check_pairs, class_names, open_labels, open_pair, pairs
from mbps_dataset.metrics import PanopticQuality
from tests.metrics import golden


COCO = golden.FOLDER / "02_permuted19" / "coco_panoptic"


def scored(predictions: LabelSource, truth: LabelSource, **settings):
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, **settings)
    for image_id, prediction, true in pairs(predictions, truth):
        metric.update(**prediction.as_prediction(), **true.as_truth(), image_id=image_id)
    return metric.compute()


def test_coco_files_score_as_panopticapi_scores_them_by_vectors() -> None:
    assert "categories" not in json.loads((COCO / "pred.json").read_text())  # they come from the truth
    result = scored(*open_pair(COCO / "pred.json", COCO / "gt.json"))
    expected = golden.load("02_permuted19").expected["panopticapi"]
    assert result.pq == pytest.approx(expected["pq"], abs=1e-12)
    assert [row["tp"] for row in result.per_class.values()] == expected["tp"]


def test_categories_without_known_names_keep_their_ids(tmp_path: Path) -> None:
    data = json.loads((COCO / "gt.json").read_text())
    data["categories"] = [{"id": k, "name": f"thing {k}"} for k in range(1, 20)]
    (tmp_path / "gt.json").write_text(json.dumps(data))
    (tmp_path / "gt").symlink_to(COCO / "gt")
    named, plain = open_labels(COCO / "gt.json")["000"], open_labels(tmp_path / "gt.json")["000"]
    assert np.array_equal(plain.semantic, np.where(named.semantic == 255, 255, named.semantic + 1))


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    folder = tmp_path / "gtFine" / "val" / "frankfurt"
    folder.mkdir(parents=True)
    labels = np.array([[7, 7, 26, 26], [26, 29, 9, 4]], np.uint8)
    instances = np.array([[7, 7, 26001, 26002], [26, 29000, 9, 4]], np.uint16)
    for number in range(2):
        stem = f"frankfurt_000000_{number:06d}_gtFine"
        Image.fromarray(labels).save(folder / f"{stem}_labelIds.png")
        Image.fromarray(instances).save(folder / f"{stem}_instanceIds.png")
    return tmp_path


@pytest.mark.parametrize(
    ("classes", "semantic"),
    [
        (19, [[0, 0, 13, 13], [13, 255, 255, 255]]),
        (27, [[0, 0, 19, 19], [19, 22, 2, 255]]),
        (7, [[0, 0, 6, 6], [6, 6, 0, 255]]),
    ],
)
def test_cityscapes_tree(cityscapes: Path, classes: int, semantic: list) -> None:
    for root in (cityscapes, cityscapes / "gtFine", cityscapes / "gtFine" / "val"):
        source = open_labels(root, classes=classes)
        assert list(source) == ["frankfurt_000000_000000", "frankfurt_000000_000001"]
    labels = source["frankfurt_000000_000000"]
    assert labels.semantic.tolist() == semantic
    assert labels.instance.tolist() == [[0, 0, 26001, 26002], [0, 29000, 0, 0]]
    assert labels.crowd.tolist() == [[0, 0, 0, 0], [26, 0, 0, 0]]


def test_a_folder_of_maps_and_collections_in_memory(tmp_path: Path) -> None:
    maps = {"a": np.array([[0, 1]], np.uint8), "b": np.array([[1, 255]], np.uint8)}
    for name, labels in maps.items():
        Image.fromarray(labels).save(tmp_path / f"{name}.png")
    rows = [{"image_id": name, "semantic": labels} for name, labels in maps.items()]
    for source in (tmp_path, str(tmp_path), maps, rows, iter(rows), [tmp_path / "a.png", tmp_path / "b.png"]):
        opened = open_labels(source)
        assert sorted(opened) == ["a", "b"] and len(opened) == 2
        assert opened["b"].semantic.tolist() == [[1, 255]]
    assert list(open_labels([maps["a"]])) == ["0"]
    assert open_labels(opened) is opened
    assert list(open_labels(tmp_path / "a.png")) == ["a"]


def test_images_are_read_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    source = open_labels(tmp_path)
    with pytest.raises(InputError, match="image 'a'"):
        source["a"]


def test_images_on_one_side_only_are_named() -> None:
    both, one = open_labels({"a": [[0]], "b": [[0]]}), open_labels({"a": [[0]]})
    with pytest.raises(InputError, match=r"image 'b' is predicted but has no ground truth \(1 of 2 images\)"):
        check_pairs(both, one)
    with pytest.raises(InputError, match=r"image 'b' has ground truth but no prediction \(1 of 2 images\)"):
        list(pairs(one, both))
    assert [image_id for image_id, *_ in pairs(one, both, only_predicted=True)] == ["a"]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; give a COCO panoptic JSON, a gtFine tree or a folder"):
        open_labels(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no \*_labelIds.png"):
        open_labels(tmp_path)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json has no `annotations`"):
        open_labels(tmp_path / "x.json")
    with pytest.raises(InputError, match="image 'a' occurs twice"):
        open_labels([{"image_id": "a"}, {"image_id": "a"}])
    with pytest.raises(InputError, match="not for 5"):
        class_names(5)
    data = json.loads((COCO / "gt.json").read_text())
    (tmp_path / "gt.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"image '000': .*000\.png does not exist"):
        open_labels(tmp_path / "gt.json")["000"]
