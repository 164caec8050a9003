"""Every format there and back, and what happens when something does not fit or breaks off."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError, StoreError
from mbps_dataset.formats import writing
from mbps_dataset.formats.description import MARKER
from mbps_dataset.formats.layouts import LABEL_FORMATS
from mbps_dataset.formats.segmentation_sets import open_labels
from mbps_dataset.formats.writing import export
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.records import DecodedRow
from tests.formats.label_sets import IDS, random_label_set


@pytest.fixture(scope="module")
def sets(folder: Path, named: LabelSetFolder, clusters: LabelSetFolder) -> dict[str, LabelSetFolder]:
    many = random_label_set(folder / "many", classes=300, named=False)
    return {"named": named, "clusters": clusters, "many": many}


def rows_of(built: LabelSetFolder) -> dict[str, DecodedRow]:
    return {row.image_id: row for split in built.splits for row in built.rows(split)}


def classes_of(row: DecodedRow, void: int) -> np.ndarray:
    """Class per pixel of the panoptic map."""
    table = np.full(int(row.panoptic.max()) + 1, void)
    for segment in row.segments:
        table[segment["id"]] = segment["category_id"]
    return table[row.panoptic]


@pytest.mark.parametrize("which", ["named", "clusters", "many"])
@pytest.mark.parametrize("format_name", ["coco-panoptic", "maskformer"])
def test_segments_classes_things_and_scores_come_back_exactly(sets, tmp_path, format_name, which):
    built = sets[which]
    export(built, tmp_path / "out", format_name)
    back = open_labels(tmp_path / "out")
    rows, void = rows_of(built), built.calibration.void
    assert set(back) == set(rows) == {name for names in IDS.values() for name in names}
    assert back.label_set.things == built.calibration.things
    assert back.label_set.named == (which == "named") and back.label_set.class_names == built.calibration.class_names
    for image_id, row in rows.items():
        labels = back[image_id]
        assert np.array_equal(labels.instance, row.panoptic)
        assert np.array_equal(labels.semantic, classes_of(row, void))
        assert labels.scores == {segment["id"]: segment["score"] for segment in row.segments}
        assert (labels.semantic == void).any()


@pytest.mark.parametrize("which", ["named", "clusters"])
def test_cityscapes_gives_back_classes_and_instances_in_order(sets, tmp_path, which):
    built = sets[which]
    export(built, tmp_path / "out", "cityscapes")
    back = open_labels(tmp_path / "out")
    for image_id, row in rows_of(built).items():
        labels = back[image_id]
        assert np.array_equal(labels.semantic, classes_of(row, 255))
        assert np.array_equal(labels.instance >= 1000, row.instance > 0)
        assert np.array_equal(labels.instance > 0, row.panoptic > 0)
        numbers: dict[int, int] = {}
        for segment in row.segments:
            if segment["isthing"]:
                numbers[segment["category_id"]] = numbers.get(segment["category_id"], -1) + 1
                there = np.unique(labels.instance[row.panoptic == segment["id"]])
                assert len(there) == 1 and there[0] % 1000 == numbers[segment["category_id"]]


@pytest.mark.parametrize("which", ["named", "clusters"])
def test_cups_gives_back_aligned_classes_and_our_instance_column(sets, tmp_path, which):
    built = sets[which]
    export(built, tmp_path / "out", "cups", size=(40, 64))
    back = open_labels(tmp_path / "out")
    for image_id, row in rows_of(built).items():
        labels = back[image_id]
        assert np.array_equal(labels.instance, row.instance)
        inside = row.instance > 0
        assert np.array_equal(labels.semantic, np.where(inside, classes_of(row, 255), row.semantic))


@pytest.mark.parametrize("format_name", LABEL_FORMATS)
def test_a_part_of_an_export_is_read_as_that_split(sets, tmp_path, format_name):
    module = LABEL_FORMATS[format_name]
    result = export(sets["named"], tmp_path / "out", format_name)
    path = tmp_path / "out" / module.location(result.description, "validation")
    assert set(open_labels(path)) == set(IDS["validation"])
    assert set(open_labels(tmp_path / "out", splits=["train"])) == set(IDS["train"])
    only = export(sets["named"], tmp_path / "only", format_name, splits=["train"])
    assert dict(only.description.splits) == {"train": 3} and set(open_labels(tmp_path / "only")) == set(IDS["train"])
    with pytest.raises(InputError, match="no split 'test'; there is train, validation"):
        open_labels(tmp_path / "out", splits=["test"])


@pytest.mark.parametrize("format_name", LABEL_FORMATS)
def test_two_exports_are_the_same_bytes(sets, tmp_path, format_name):
    for name in ("one", "two"):
        export(sets["clusters"], tmp_path / name, format_name)
    one = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    two = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*") if p.is_file()}
    assert one == two and Path(MARKER) in one and Path("README.md") in one


def test_names_that_lead_outside_stay_inside(tmp_path):
    ids = {"train": ("../../../outside", "/etc/passwd", "..", "C:\\x", "nul\0l", "a%2Fb", "a/b")}
    built = random_label_set(tmp_path / "set", ids=ids)
    for format_name in LABEL_FORMATS:
        target = tmp_path / "deep/er" / format_name
        export(built, target, format_name)
        assert set(open_labels(target)) == set(ids["train"])
    inside = {tmp_path / "set", tmp_path / "deep"}
    assert set(tmp_path.iterdir()) == inside and not list(tmp_path.glob("deep/*.partial"))


def test_what_does_not_fit_is_refused_before_anything_is_written(sets, tmp_path):
    with pytest.raises(InputError, match="labelIds of Cityscapes hold 248 pseudo-classes, but this label set has 300"):
        export(sets["many"], tmp_path / "out", "cityscapes")
    with pytest.raises(InputError, match="CUPS' 8-bit class maps hold 255 classes, but this label set has 300"):
        export(sets["many"], tmp_path / "out", "cups")
    with pytest.raises(InputError, match="--size is for cups"):
        export(sets["named"], tmp_path / "out", "maskformer", size=(10, 10))
    with pytest.raises(InputError, match="no split 'test'"):
        export(sets["named"], tmp_path / "out", "maskformer", splits=["test"])
    high = random_label_set(tmp_path / "high", classes=100, named=False, things=(99,))
    with pytest.raises(InputError, match="instance 0 of class 99 does not fit the 16-bit instanceIds"):
        export(high, tmp_path / "out", "cityscapes")
    assert not list(tmp_path.glob("*out*")) and not list(tmp_path.glob(".out*"))


def test_cups_asks_for_the_size_where_labels_have_not_that_of_the_images(tmp_path):
    built = random_label_set(tmp_path / "set")
    recipe = built.document["recipe"]
    recipe["settings"]["output"]["size"] = "working"
    write_document(built.root / "labelset.json", built.document)
    with pytest.raises(InputError, match="labels at working size.*give it, e.g. --size 640x1280"):
        export(LabelSetFolder(built.root), tmp_path / "out", "cups")
    export(LabelSetFolder(built.root), tmp_path / "out", "cups", size=(40, 64))


def test_255_classes_fit_8_bits_with_void(tmp_path):
    built = random_label_set(tmp_path / "set", classes=255, named=False)
    assert built.calibration.void == 65_535
    export(built, tmp_path / "out", "cups", size=(40, 64))
    for image_id, labels in open_labels(tmp_path / "out").items():
        row = rows_of(built)[image_id]
        assert np.array_equal(labels.semantic == 65_535, (row.semantic == 65_535) & (row.instance == 0))
        assert labels.semantic[labels.semantic < 65_535].max() == 254


def test_a_target_that_holds_anything_is_refused(sets, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(InputError, match="full is not empty; an export never writes over files"):
        export(sets["named"], tmp_path / "full", "cups")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file is not a folder"):
        export(sets["named"], tmp_path / "file", "cups")
    (tmp_path / "empty").mkdir()
    export(sets["named"], tmp_path / "empty", "cups")
    assert (tmp_path / "empty" / MARKER).is_file()
    with pytest.raises(StoreError, match="cannot be written"):
        export(sets["named"], tmp_path / "file/below", "cups")


def test_damage_and_contradictions_are_said(tmp_path):
    built = random_label_set(tmp_path / "set")
    counts = built.document["counts"]
    write_document(
        built.root / "labelset.json", built.document | {"counts": counts | {"train": counts["train"] | {"rows": 9}}}
    )
    with pytest.raises(InputError, match="split 'train' has 3 rows, but labelset.json counts 9"):
        export(LabelSetFolder(built.root), tmp_path / "out", "cups")
    things = random_label_set(tmp_path / "other")
    calibration = things.document["calibration"]
    calibration["classes"][13]["isthing"] = not calibration["classes"][13]["isthing"]
    changed = things.document | {"calibration": calibration}
    write_document(things.root / "labelset.json", changed)
    with pytest.raises(InputError, match="its class 13 disagree about being a thing"):
        export(LabelSetFolder(things.root), tmp_path / "out", "coco-panoptic")
    twice = random_label_set(tmp_path / "twice", ids={"train": ("x", "x")})
    with pytest.raises(InputError, match="image 'x' occurs twice"):
        export(twice, tmp_path / "out", "coco-panoptic")
    damaged = random_label_set(tmp_path / "damaged")
    damaged.files("train")[0].write_bytes(b"PAR1")
    with pytest.raises(InputError, match="train-00000-of-00001.parquet: damaged"):
        export(damaged, tmp_path / "out", "cups")
    assert not (tmp_path / "out").exists()


def test_an_error_half_way_leaves_nothing(sets, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mbps_dataset.formats.cityscapes.save_segment_ids", fail)
    with pytest.raises(StoreError, match="No space left on device.*nothing was left there"):
        export(sets["named"], tmp_path / "out", "cityscapes")
    assert list(tmp_path.iterdir()) == []


def _export_in_child(built: LabelSetFolder, target: Path, format_name: str, kill_at: int, steps: Path) -> int:
    """Export in a forked process that kills itself at its n-th file, folder or renaming; returns its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def look(event: str, _: object) -> None:
        nonlocal count
        if event in ("open", "os.rename", "os.mkdir"):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(look)
        export(built, target, format_name)
        steps.write_text(str(count))
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("format_name", ["maskformer", "cityscapes"])
def test_a_kill_at_any_moment_leaves_no_target_and_the_next_export_cleans_up(sets, tmp_path, format_name):
    target, note = tmp_path / "folder/out", tmp_path / "steps"
    (tmp_path / "folder").mkdir()

    def run(kill_at: int) -> int:
        return _export_in_child(sets["named"], target, format_name, kill_at, note)

    assert run(10**9) == 0
    whole = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    steps = int(note.read_text())
    for step in (*range(2, steps, 7), steps - 2, steps - 1):
        shutil.rmtree(target, ignore_errors=True)
        if run(step) == 0:  # the step after the renaming is none of the export's
            assert step >= steps - 1
            continue
        assert not target.exists()
        assert len(list(target.parent.iterdir())) <= 1  # what earlier ones left is gone
    shutil.rmtree(target, ignore_errors=True)
    assert run(10**9) == 0
    assert whole == {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert list(target.parent.iterdir()) == [target]


def test_a_running_export_is_left_alone(sets, tmp_path):
    other = tmp_path / f".out.{socket.gethostname()}.{os.getppid()}.partial"
    elsewhere = tmp_path / ".out.another-machine.1.partial"
    for folder in (other, elsewhere):
        folder.mkdir()
    export(sets["named"], tmp_path / "out", "cups")
    assert other.is_dir() and elsewhere.is_dir()


def test_an_incomplete_copy_is_noticed(sets, tmp_path):
    export(sets["named"], tmp_path / "out", "cups")
    next((tmp_path / "out/train").glob("*_semantic.png")).unlink()
    with pytest.raises(InputError, match=f"split 'train' has 2 images, but {MARKER} counts 3"):
        open_labels(tmp_path / "out")
    (tmp_path / "out" / MARKER).write_text("{}")
    with pytest.raises(InputError, match="not the description of an export"):
        open_labels(tmp_path / "out")
    (tmp_path / "out" / MARKER).write_text('{"version": 99}')
    with pytest.raises(InputError, match="written by a later mbps-dataset"):
        open_labels(tmp_path / "out")


def test_the_page_in_the_folder_says_what_it_is(sets, tmp_path):
    export(sets["clusters"], tmp_path / "out", "cityscapes")
    page = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "as cityscapes" in page and "_gtFine_labelIds.png" in page and "Not held: segment ids" in page
    assert "pseudo-classes, whose numbers mean nothing" in page and sets["clusters"].document["identity"] in page
    assert writing.FORMATS.items() >= LABEL_FORMATS.items()
