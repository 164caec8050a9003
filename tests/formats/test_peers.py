"""Exports as the tools they are for read them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats import cups
from mbps_dataset.formats.image_segmentation import cityscapes_labels
from mbps_dataset.formats.writing import export
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.records import DecodedRow
from mbps_dataset.scoring.score import score
from mbps_dataset.sources import open_source
from mbps_dataset.taxonomy import LABEL_ID_TO_TRAIN_ID
from tests.formats.label_sets import random_label_set


@pytest.fixture(scope="module")
def truth(folder: Path, named: LabelSetFolder) -> Path:
    """Ground truth to score against: the same images with some of the labels changed, as a Cityscapes tree."""
    other = random_label_set(folder / "other", seed=1)
    export(other, folder / "truth", "cityscapes")
    for path in (folder / "truth/gtFine").rglob("*Ids.png"):
        ours = np.array(Image.open(path))
        theirs_path = _exported(named, folder / "ours", "cityscapes") / path.relative_to(folder / "truth")
        theirs = np.array(Image.open(theirs_path))
        ours[:, :48] = theirs[:, :48]
        Image.fromarray(ours).save(path)
    return folder / "truth/gtFine"


def _exported(built: LabelSetFolder, target: Path, format_name: str) -> Path:
    if not target.exists():
        export(built, target, format_name)
    return target


def all_rows(built: LabelSetFolder, split: str) -> dict[str, DecodedRow]:
    return {row.image_id: row for row in built.rows(split)}


def test_panopticapi_takes_the_coco_files_and_counts_what_we_count(named, folder, tmp_path):
    """The evaluator of cityscapesScripts is that of panopticapi, word for word, with its checks of ids and categories."""
    panoptic = pytest.importorskip("cityscapesscripts.evaluation.evalPanopticSemanticLabeling")
    for name, built in (("pred", named), ("true", random_label_set(tmp_path / "set", seed=1))):
        export(built, tmp_path / name, "coco-panoptic")
    pred, true = (json.loads((tmp_path / name / "panoptic_train.json").read_text()) for name in ("pred", "true"))
    categories = {category["id"]: category for category in true["categories"]}
    assert [image["file_name"] for image in pred["images"]] == [image["file_name"] for image in true["images"]]
    for data in (pred, true):
        for image, annotation in zip(data["images"], data["annotations"]):
            assert image["id"] == annotation["image_id"] and isinstance(image["id"], int)
            for segment in annotation["segments_info"]:
                assert set(segment) >= {"id", "category_id", "area", "bbox", "iscrowd"}
    pictures = [str(tmp_path / name / "panoptic_train") for name in ("true", "pred")]
    pairs = list(zip(true["annotations"], pred["annotations"]))
    counted = panoptic.pq_compute_single_core(0, pairs, *pictures, categories)
    average, per_class = counted.pq_average(categories, isthing=None)
    ours = score(tmp_path / "pred/panoptic_train.json", tmp_path / "true/panoptic_train.json").result
    assert ours.pq == pytest.approx(average["pq"], abs=1e-12) and 0 < ours.pq < 1
    perfect = panoptic.pq_compute_single_core(0, list(zip(pred["annotations"], pred["annotations"])),
                                              pictures[1], pictures[1], categories)  # fmt: skip
    assert perfect.pq_average(categories, isthing=None)[0]["pq"] == 1.0
    assert score(tmp_path / "pred", tmp_path / "pred").result.pq == 1.0


def test_areas_and_boxes_of_the_coco_files_are_those_of_the_pictures(clusters, tmp_path):
    export(clusters, tmp_path / "out", "coco-panoptic")
    data = json.loads((tmp_path / "out/panoptic_train.json").read_text())
    for annotation in data["annotations"]:
        picture = np.array(Image.open(tmp_path / "out/panoptic_train" / annotation["file_name"])).astype(int)
        ids = picture @ [1, 256, 65536]
        listed = {segment["id"]: segment for segment in annotation["segments_info"]}
        assert set(np.unique(ids)) - {0} == set(listed)
        for number, segment in listed.items():
            rows, columns = np.nonzero(ids == number)
            x, y = columns.min(), rows.min()
            assert segment["area"] == len(rows)
            assert segment["bbox"] == [x, y, columns.max() - x + 1, rows.max() - y + 1]
    things = [category["id"] for category in data["categories"] if category["isthing"]]
    assert tuple(things) == clusters.calibration.things and len(data["categories"]) == 27
    assert data["categories"][3]["name"] == "pseudo-class 3"


@pytest.mark.parametrize("which", ["named", "clusters"])
def test_cityscapes_scripts_make_our_panoptic_files_from_our_tree(which, request, tmp_path, capsys):
    scripts = pytest.importorskip("cityscapesscripts.preparation.createPanopticImgs")
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    built = request.getfixturevalue(which)
    export(built, tmp_path / "out", "cityscapes")
    (tmp_path / "theirs").mkdir()
    scripts.convert2panoptic(str(tmp_path / "out/gtFine"), str(tmp_path / "theirs"), setNames=["train", "val"])
    for split in ("train", "val"):
        name = f"cityscapes_panoptic_{split}"
        ours = json.loads((tmp_path / f"out/gtFine/{name}.json").read_text())
        theirs = json.loads((tmp_path / f"theirs/{name}.json").read_text())
        keys = ["id", "category_id", "area", "bbox"] + ["iscrowd"] * (which == "named")
        ignored = {label.id for label in labels.labels if label.ignoreInEval}

        def described(data: dict, keys: list[str] = keys, ignored: set[int] = ignored) -> dict:
            segments = {a["file_name"]: [s for s in a["segments_info"] if s["category_id"] not in ignored]
                        for a in data["annotations"]}  # fmt: skip
            return {name: sorted([s[key] for key in keys] for s in listed) for name, listed in segments.items()}

        assert described(ours) == described(theirs)
        assert {a["image_id"] for a in ours["annotations"]} == {a["image_id"] for a in theirs["annotations"]}
        if which == "named":
            known = {
                (c["id"], c["name"], c["isthing"], c["supercategory"], tuple(c["color"])) for c in ours["categories"]
            }
            assert known == {
                (c["id"], c["name"], c["isthing"], c["supercategory"], tuple(c["color"])) for c in theirs["categories"]
            }
        for path in (tmp_path / "theirs" / name).glob("*.png"):
            mine, made = np.array(Image.open(tmp_path / "out/gtFine" / name / path.name)), np.array(Image.open(path))
            kept = made.any(axis=2)
            assert np.array_equal(mine[kept], made[kept]) and kept.any()
            assert which == "clusters" or np.array_equal(mine, made)


def test_cityscapes_scripts_count_our_instances(named, tmp_path):
    instances = pytest.importorskip("cityscapesscripts.evaluation.instances2dict")
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    export(named, tmp_path / "out", "cityscapes")
    [path] = (tmp_path / "out/gtFine/val/frankfurt").glob("*_instanceIds.png")
    assert path.name == "frankfurt_000001_000294_gtFine_instanceIds.png"
    found = instances.instances2dict([str(path)], verbose=False)[str(path.absolute())]
    [row] = all_rows(named, "validation").values()
    for category, segments in Counter(s["category_id"] for s in row.segments if s["isthing"]).items():
        assert len(found[labels.trainId2label[category].name]) == segments
    train_ids = np.array(Image.open(path.with_name(path.name.replace("instanceIds", "labelTrainIds"))))
    label_ids = np.array(Image.open(path.with_name(path.name.replace("instanceIds", "labelIds"))))
    assert np.array_equal(train_ids == 255, row.panoptic == 0)
    for label_id in np.unique(label_ids[label_ids > 0]):
        assert set(np.unique(train_ids[label_ids == label_id])) == {labels.id2label[label_id].trainId}


@pytest.mark.parametrize("which", ["named", "clusters"])
def test_mask2former_finds_its_files_and_masks(which, request, tmp_path):
    """The steps of its COCO registration and panoptic mapper, which need detectron2, done by hand."""
    built = request.getfixturevalue(which)
    export(built, tmp_path / "out", "maskformer")
    data = json.loads((tmp_path / "out/annotations/panoptic_train.json").read_text())
    rows, classes = all_rows(built, "train"), len(built.calibration.classes)
    for annotation, row in zip(data["annotations"], rows.values()):
        assert int(annotation["image_id"]) > 0
        picture = Image.open(tmp_path / "out/panoptic_train" / annotation["file_name"])
        assert picture.mode == "RGB"
        ids = np.array(picture).astype(np.int64) @ [1, 256, 65536]
        class_map = np.asarray(Image.open(tmp_path / "out/panoptic_semseg_train" / annotation["file_name"]))
        assert class_map.ndim == 2 and np.array_equal(class_map, row.semantic)
        assert set(np.unique(class_map)) <= {*range(classes), 255}
        for segment in annotation["segments_info"]:
            assert segment["iscrowd"] == 0 and 0 <= segment["category_id"] < classes
            assert (ids == segment["id"]).any()


def test_class_maps_for_mask2former_are_our_own_bytes_also_in_16_bits(tmp_path):
    import pyarrow.parquet as parquet

    built = random_label_set(tmp_path / "set", classes=300, named=False)
    export(built, tmp_path / "out", "maskformer")
    for row in parquet.read_table(built.files("validation")[0]).to_pylist():
        [written] = (tmp_path / "out/panoptic_semseg_val").iterdir()
        assert written.read_bytes() == row["semantic"]["bytes"]
        class_map = np.asarray(Image.open(written))
        assert class_map.dtype == np.uint16 and 65_535 in class_map and class_map[class_map < 65_535].max() == 299


def test_transformers_processor_takes_the_maskformer_files(clusters, tmp_path):
    transformers = pytest.importorskip("transformers")
    export(clusters, tmp_path / "out", "maskformer")
    data = json.loads((tmp_path / "out/annotations/panoptic_train.json").read_text())
    annotation = data["annotations"][0]
    ids = np.array(Image.open(tmp_path / "out/panoptic_train" / annotation["file_name"])).astype(int) @ [1, 256, 65536]
    processor = transformers.Mask2FormerImageProcessorPil(
        do_resize=False, size={"height": ids.shape[0], "width": ids.shape[1]}, ignore_index=0
    )
    classes = {segment["id"]: segment["category_id"] for segment in annotation["segments_info"]}
    photo = np.zeros((*ids.shape, 3), np.uint8)
    batch = processor([photo], [ids.astype(np.int32)], instance_id_to_semantic_id=classes, return_tensors="pt")
    assert batch["class_labels"][0].tolist() == [classes[k] for k in sorted(classes)]
    areas = {segment["id"]: segment["area"] for segment in annotation["segments_info"]}
    assert batch["mask_labels"][0].flatten(1).sum(1).tolist() == [areas[k] for k in sorted(classes)]


def test_cups_statistics_are_those_of_the_files(clusters, tmp_path):
    torch = pytest.importorskip("torch")
    result = export(clusters, tmp_path / "out", "cups")
    for split in ("train", "val"):
        statistics = torch.load(tmp_path / f"out/{split}/pseudo_classes_split_1.pt", weights_only=True)
        everything, inside, masks = (np.zeros(27, np.int64) for _ in range(3))
        files = sorted((tmp_path / "out" / split).glob("*_semantic.png"))
        for path in files:
            semantic = np.array(Image.open(path))
            instance = np.array(Image.open(path.with_name(path.name.replace("_semantic", "_instance"))))
            assert semantic.shape == instance.shape == (25, 40) and semantic.dtype == instance.dtype == np.uint8
            assert set(np.unique(instance)) == set(range(instance.max() + 1))
            everything += np.bincount(semantic[semantic != 255], minlength=27)
            inside += np.bincount(semantic[instance > 0], minlength=27)
            for k in range(1, instance.max() + 1):
                [category] = np.unique(semantic[instance == k])
                masks[category] += 1
        assert statistics["distribution all pixels"].dtype == torch.int64
        assert statistics["distribution all pixels"].tolist() == everything.tolist()
        assert statistics["distribution inside object proposals"].tolist() == inside.tolist()
        assert statistics["distribution per object proposal"].tolist() == masks.tolist()
        assert masks.sum() > 0 and len(statistics) == 3
    assert (tmp_path / "out/train/ulm_000000_000019_leftImg8bit_semantic.png").is_file()
    assert (tmp_path / "out/train/a%2Fb c_semantic.png").is_file()
    assert result.notes and "CUPS will take" in result.notes[0]  # nine thing classes of 27


def test_cups_rule_for_things():
    all_px, inside = np.array([100, 100, 100, 0]), np.array([90, 8, 40, 0])
    assert cups.things_for_cups(all_px, inside) == (0, 2)  # shares .65 .06 .29 0
    assert cups.things_for_cups(all_px, np.zeros(4)) == ()
    assert cups.things_for_cups(np.array([10, 10]), np.array([10, 10])) == ()  # all pass: none, as the reference code


def test_instances_too_many_for_cups_are_refused(tmp_path):
    from mbps_dataset.formats.description import Description, LabelRow

    description = Description("cups", ("a",), (0,), False, 255)
    ids = np.arange(1, 301, dtype=np.int32).reshape(15, 20)
    segments = [{"id": k, "category_id": 0, "isthing": True} for k in range(1, 301)]
    row = LabelRow("x", b"", np.zeros((15, 20), np.uint8), ids, segments)
    writer = cups.Writer(tmp_path, Description(**{**vars(description), "options": {"size": [15, 20]}}), "train")
    with pytest.raises(InputError, match="x: 300 instances do not fit the 8-bit instance maps of CUPS"):
        writer.write(row)
    cups.Writer(tmp_path, description, "train").write(row)  # at 0.625, 117 of them survive
    assert np.array(Image.open(tmp_path / "train/x_instance.png")).max() == 9 * 12


@pytest.mark.parametrize("format_name", ["coco-panoptic", "cityscapes", "maskformer"])
@pytest.mark.parametrize("which", ["named", "clusters"])
def test_an_export_scores_as_the_label_set_it_is(which, format_name, request, truth, tmp_path):
    built = request.getfixturevalue(which)
    export(built, tmp_path / "out", format_name)
    direct, back = score(built.root, truth), score(tmp_path / "out", truth)
    assert back.result.to_dict() == direct.result.to_dict() and 0 < direct.result.pq < 1
    assert back.images == 4 and back.identity == built.document["identity"]
    assert direct.result.matching == ("none" if which == "named" else "hungarian")
    groups = [score(path, truth, classes=7).result.pq for path in (built.root, tmp_path / "out")]
    assert groups[0] == groups[1] > 0


def test_one_split_of_an_export_can_be_scored(named, truth, tmp_path, capsys):
    export(named, tmp_path / "out", "cups", size=(40, 64))
    assert main(["eval", str(tmp_path / "out"), "--split", "validation", "--truth", str(truth)]) == 0
    assert "1 images (validation)" in capsys.readouterr().out
    assert main(["eval", str(tmp_path / "out")]) == 1
    assert (
        "is an export, which does not know its source; give the ground truth with --truth" in capsys.readouterr().err
    )


def test_the_command_says_what_is_held(named, tmp_path, capsys):
    arguments = ["export", str(named.root), str(tmp_path / "out"), "--format", "cityscapes", "--split", "train"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "3 images exported as cityscapes" in out and "not held  segment ids" in out
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "is not empty" in told and told.count("\n") == 1
    assert main(["export", "/nowhere", str(tmp_path / "x"), "--format", "cups"]) == 1
    assert "/nowhere does not exist; give a folder written by `mbps build`, or OWNER/NAME" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", str(named.root), str(tmp_path / "x"), "--format", "cups", "--size", "640"])
    assert "'640' is no size; write HEIGHTxWIDTH" in capsys.readouterr().err


def test_our_own_cityscapes_source_reads_the_tree_once_images_lie_beside_it(named, tmp_path):
    export(named, tmp_path / "out", "cityscapes", splits=["validation"])
    images = tmp_path / "out/leftImg8bit/val/frankfurt"
    images.mkdir(parents=True)
    Image.new("RGB", (64, 40)).save(images / "frankfurt_000001_000294_leftImg8bit.png")
    source = open_source("cityscapes", data_dir=tmp_path / "out")
    [frame] = source.frames("validation")
    [row] = named.rows("validation")
    labels = cityscapes_labels(frame.truth().label_ids, frame.truth().instance_ids, LABEL_ID_TO_TRAIN_ID, "x")
    assert source.has_truth and frame.image_id == row.image_id
    assert np.array_equal(labels.instance > 0, row.instance > 0)
    assert np.array_equal(labels.semantic == 255, row.panoptic == 0)
