from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.label_source import LabelSource, pairs
from mbps_dataset.formats.segmentation_sets import open_labels, open_pair
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
    data = json.loads((COCO / "gt.json").read_text())
    (tmp_path / "gt.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"image '000': .*000\.png does not exist"):
        open_labels(tmp_path / "gt.json")["000"]


def saved(path: Path, labels: object, dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, dtype)).save(path, "PNG")
    return path


def test_what_belongs_to_a_folder_of_maps(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "seq1/a.png", "._a.png", ".hidden/c.png", "__MACOSX/._b.png"):
        saved(tmp_path / "maps" / name, [[0, 13]])
    (tmp_path / "link").mkdir()
    (tmp_path / "link/again").symlink_to(tmp_path / "link")
    (tmp_path / "link/maps").symlink_to(tmp_path / "maps")
    assert sorted(open_labels(tmp_path / "maps")) == ["a", "b", "seq1/a"]
    assert sorted(open_labels(tmp_path / "link")) == ["maps/a", "maps/b", "maps/seq1/a"]


def test_both_sides_take_suffixes_in_any_case(tmp_path: Path) -> None:
    for side, suffix in (("pred", "PNG"), ("true", "png")):
        saved(tmp_path / side / "a.png", [[0, 0]])
        saved(tmp_path / side / f"b.{suffix}", [[10, 10]] if side == "true" else [[0, 0]])
    result = scored(*open_pair(tmp_path / "pred", tmp_path / "true"))
    assert result.images == 2 and result.pq == pytest.approx((1 / 1.5 + 0) / 2)


@pytest.mark.parametrize("value", [19, 33, 254])
def test_ids_of_no_class_are_an_error_in_files_and_kept_as_clusters(tmp_path: Path, value: int) -> None:
    path = saved(tmp_path / "maps/a.png", [[0, value, 255]])
    for source in (tmp_path / "maps", path):
        with pytest.raises(InputError, match=rf"image 'a': .*a\.png: {value} is no id of the 19 classes"):
            open_labels(source)["a"]
        assert open_labels(source, clusters=True)["a"].semantic.tolist() == [[0, value, 255]]
    with pytest.raises(InputError, match=f"{value} is no id"):
        open_pair(tmp_path / "maps", tmp_path / "maps", clusters=True)[1]["a"]  # truth is never clusters
    assert open_labels({"a": np.array([[value]])})["a"].semantic.tolist() == [[value]]


def test_void_of_16_bits_is_void(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", [[3, 65_535]], np.uint16)
    assert open_labels(path)["a"].semantic.tolist() == [[3, 255]]
    assert open_labels(path, void=65_535, clusters=True)["a"].semantic.tolist() == [[3, 65_535]]
    saved(path, [[255, 65_535]], np.uint16)
    with pytest.raises(InputError, match="holds both 255 and 65535, and one of them is void"):
        open_labels(path)["a"]


def test_a_tree_without_instances_has_no_things(cityscapes: Path) -> None:
    [first, second] = sorted((cityscapes / "gtFine/val/frankfurt").glob("*_instanceIds.png"))
    first.unlink()
    source = open_labels(cityscapes)
    with pytest.raises(
        InputError, match=r"000000_gtFine_instanceIds\.png does not exist, so its things cannot be told"
    ):
        source["frankfurt_000000_000000"]
    saved(Path(str(first).replace("instanceIds", "labelIds")), [[7, 7, 23, 0]])
    assert source["frankfurt_000000_000000"].semantic.tolist() == [[0, 0, 10, 255]]
    for size in ((1, 4), (2, 1), (4, 2)):
        saved(second, np.full(size, 26_001), np.uint16)
        with pytest.raises(InputError, match=r"000001_gtFine_labelIds\.png: its map of instanceIds is .x., that of"):
            source["frankfurt_000000_000001"]


def test_ids_that_cityscapes_does_not_have_are_an_error(cityscapes: Path) -> None:
    path = min((cityscapes / "gtFine/val/frankfurt").glob("*_labelIds.png"))
    saved(path, [[7, 34, 200, 255]])
    with pytest.raises(InputError, match=r"labelIds\.png: \[34, 200\] are no label ids of Cityscapes \(0-33"):
        open_labels(cityscapes)["frankfurt_000000_000000"]


def test_splits_of_a_tree_are_chosen_and_those_of_other_forms_refused(cityscapes: Path, tmp_path: Path) -> None:
    saved(cityscapes / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png", [[7]])
    assert len(open_labels(cityscapes)) == 3 and len(open_labels(cityscapes, splits=["validation"])) == 2
    assert list(open_labels(cityscapes / "gtFine", splits=["train"])) == ["ulm_000000_000019"]
    with pytest.raises(InputError, match="no split 'test'; there is train, validation, val"):
        open_labels(cityscapes, splits=["test"])
    maps = saved(tmp_path / "maps/frankfurt_000000_000000.png", [[0]]).parent
    pred, true = open_pair(maps, cityscapes, splits=["val"])
    assert len(pred) == 1 and len(true) == 2
    for source in (maps, COCO / "pred.json"):
        with pytest.raises(InputError, match=r"has no splits, so 'val' cannot be chosen; leave out --split"):
            open_labels(source, splits=["val"])
        with pytest.raises(InputError, match=r"has no splits, so 'val' cannot be chosen; leave out --split"):
            open_pair(source, maps, splits=["val"])
