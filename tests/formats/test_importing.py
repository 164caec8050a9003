"""Exports as label sets again."""

from __future__ import annotations

import json

import datasets
import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import MARKER
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.importing import CHANGED, import_labels, labelled_image
from mbps_dataset.formats.own_exports import find_export
from mbps_dataset.formats.writing import export
from mbps_dataset.labelset.folder import LabelSetFolder
from tests.formats.label_sets import IDS, random_label_set


def there_and_back(built: LabelSetFolder, folder, format_name: str, **options) -> LabelSetFolder:
    export(built, folder / "out", format_name, **options)
    import_labels(find_export(folder / "out"), folder / "back")
    return LabelSetFolder(folder / "back")


@pytest.mark.parametrize("classes", [19, 27, 300])
@pytest.mark.parametrize("format_name", ["coco-panoptic", "maskformer"])
def test_rows_come_back_exactly(tmp_path, format_name, classes):
    built = random_label_set(tmp_path / "set", classes=classes, named=classes == 19)
    back = there_and_back(built, tmp_path, format_name)
    assert back.document["ground_truth_used"] == [] and not back.document["imported"]["changed_after_export"]
    assert back.calibration.class_names == built.calibration.class_names
    for split in IDS:
        mine, theirs = (sorted(b.rows(split), key=lambda row: row.image_id) for b in (built, back))
        for before, after in zip(mine, theirs, strict=True):
            assert after.image_id == before.image_id and after.segments == before.segments
            assert np.array_equal(after.panoptic, before.panoptic) and np.array_equal(after.instance, before.instance)
            assert not after.depth.any() and after.semantic.dtype == before.semantic.dtype
            assert format_name == "coco-panoptic" or np.array_equal(after.semantic, before.semantic)
            assert (after.semantic[after.panoptic == 0] == built.calibration.void).all() or format_name == "maskformer"


@pytest.mark.parametrize("format_name", ["coco-panoptic", "maskformer", "cityscapes", "cups"])
def test_an_imported_set_exports_to_the_files_it_came_from(tmp_path, format_name):
    options = {"size": (40, 64)} if format_name == "cups" else {}
    back = there_and_back(random_label_set(tmp_path / "set"), tmp_path, format_name, **options)
    export(back, tmp_path / "again", format_name, **options)
    first = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    again = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.png")}
    assert first == again and len(first) >= 8 / 2
    for path in (tmp_path / "out").rglob("*.json"):
        if path.name != MARKER:
            mine, theirs = (
                json.loads(p.read_text()) for p in (path, tmp_path / "again" / path.relative_to(tmp_path / "out"))
            )
            drop = ("score",) if format_name == "cityscapes" else ()

            def segments(data: dict, drop: tuple = drop) -> dict:
                return {a["file_name"]: sorted(sorted((k, v) for k, v in s.items() if k not in drop)
                                               for s in a["segments_info"]) for a in data["annotations"]}  # fmt: skip

            assert segments(mine) == segments(theirs)


def test_corrections_arrive_and_provenance_stays(tmp_path):
    built = random_label_set(tmp_path / "set")
    export(built, tmp_path / "out", "cityscapes")
    [labels] = (tmp_path / "out/gtFine/val/frankfurt").glob("*_labelIds.png")
    instances = labels.with_name(labels.name.replace("labelIds", "instanceIds"))
    for path, value in ((labels, 26), (instances, 26_900)):
        corrected = np.array(Image.open(path))
        corrected[16:24, 8:24] = value
        Image.fromarray(corrected).save(path)
    assert main(["export", str(tmp_path / "out"), str(tmp_path / "back"), "--format", "parquet"]) == 0
    back = LabelSetFolder(tmp_path / "back")
    [row] = back.rows("validation")
    assert set(row.semantic[16:24, 8:24].ravel().tolist()) == {13} and len(np.unique(row.instance[16:24, 8:24])) == 1
    assert back.document["imported"]["from_identity"] == built.document["identity"] != back.document["identity"]
    assert back.document["recipe"]["name"] == "mbps"
    assert back.document["ground_truth_used"] == [CHANGED] and back.document["imported"]["changed_after_export"]
    card = (back.root / "README.md").read_text(encoding="utf-8")
    assert CHANGED in card and "without a single human label" not in card
    loaded = datasets.load_dataset(str(tmp_path / "back"), split="validation", cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["image_id"] == row.image_id and "image" not in loaded.features


def test_only_exports_can_be_imported(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    assert main(["export", str(tmp_path / "x"), str(tmp_path / "y"), "--format", "parquet"]) == 1
    assert "x is no export" in capsys.readouterr().err
    export(random_label_set(tmp_path / "set"), tmp_path / "out", "cups")
    document = json.loads((tmp_path / "out" / MARKER).read_text())
    del document["origin"]["labelset"]
    (tmp_path / "out" / MARKER).write_text(json.dumps(document))
    for option, value in (("recipe", "mbps"), ("revision", "v1"), ("size", "4x8")):
        arguments = ["export", str(tmp_path / "out"), str(tmp_path / "y"), "--format", "parquet", f"--{option}", value]
        assert main(arguments) == 1
        assert f"--{option} has no meaning for `--format parquet`" in capsys.readouterr().err
    with pytest.raises(InputError, match="out: no split 'trian'; there is "):
        import_labels(find_export(tmp_path / "out"), tmp_path / "y", splits=("trian",))
    with pytest.raises(InputError, match="does not say what it was made from"):
        import_labels(find_export(tmp_path / "out"), tmp_path / "back")


@pytest.mark.parametrize(
    ("format_name", "pattern", "value", "sentence"),
    [
        ("cityscapes", "*_labelIds.png", 9, r"_labelIds\.png: holds 9, of which mbps_export\.json knows no class"),
        ("cups", "*_semantic.png", 19, r"_semantic\.png: holds 19, of which mbps_export\.json knows no class"),
        ("maskformer", "panoptic_semseg_*/*.png", 19, "the class map of .*: 19 is no id of the 19 classes"),
    ],
)
def test_corrections_of_no_class_do_not_become_void(tmp_path, format_name, pattern, value, sentence):
    export(random_label_set(tmp_path / "set"), tmp_path / "out", format_name, splits=["validation"],
           **({"size": (40, 64)} if format_name == "cups" else {}))  # fmt: skip
    [path] = (tmp_path / "out").rglob(pattern)
    changed = np.array(Image.open(path))
    changed[3, 5] = value
    Image.fromarray(changed).save(path)
    with pytest.raises(InputError, match=sentence):
        import_labels(find_export(tmp_path / "out"), tmp_path / "back")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"category_id": 19}, r"panoptic_val\.json: image 'frankfurt_.*': segment \d+ has the category 19 of 19"),
        ({"id": 1}, "segment id 1 is listed twice"),
        ({"id": 999}, "is in the map but not in `segments_info`"),
    ],
)
def test_corrections_that_contradict_the_map_are_refused(tmp_path, change, sentence):
    export(random_label_set(tmp_path / "set"), tmp_path / "out", "coco-panoptic", splits=["validation"])
    path = tmp_path / "out/panoptic_val.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["segments_info"][-1] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=sentence):
        import_labels(find_export(tmp_path / "out"), tmp_path / "back")


@pytest.mark.parametrize(("wrong", "what"), [(255, "is of void"), (None, "is of person and car")])
def test_an_instance_of_void_or_of_two_classes_is_refused(tmp_path, wrong, what):
    """Its class would be that of its first pixel."""
    semantic = np.full((8, 8), 11, np.uint8)
    instance = np.zeros((8, 8), np.int32)
    instance[2:5, 3:6] = 1
    semantic[2:5, 3:6] = 255 if wrong else 11
    semantic[4, 4] = 255 if wrong else 13
    export(random_label_set(tmp_path / "set"), tmp_path / "out", "coco-panoptic")
    description = find_export(tmp_path / "out").description
    with pytest.raises(InputError, match=f"image 'a': the instance around row 2, column 3 {what} in the class map"):
        labelled_image(Labels("a", semantic, instance), description)
