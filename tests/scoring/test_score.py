"""Scoring label sets and other forms against truth."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import cityscapes_labels
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.scoring.measures import Measures
from mbps_dataset.scoring.score import score
from mbps_dataset.scoring.sides import Sides
from mbps_dataset.sources import ScenesSource


@pytest.fixture(scope="module")
def truth():
    frame = ScenesSource(train=1, validation=0, height=128, width=256).frames("train")[0]
    return cityscapes_labels(
        frame.truth().label_ids, frame.truth().instance_ids, taxonomy.LABEL_ID_TO_TRAIN_ID, frame.image_id
    )


def quality(predicted, true):
    sides = Sides(LabelSource({"a": lambda: predicted}, "p"), LabelSource({"a": lambda: true}, "t"))
    measures = Measures(sides, convention="coco", matching="none", classes=19)
    measures.add("a", predicted, true)
    return measures.compute(0).result


def test_truth_scores_one_against_itself(truth):
    result = quality(truth, truth)
    assert result.pq == result.sq == result.rq == result.miou == 1.0


def test_predictions_of_half_size_are_brought_to_the_size_of_the_truth(truth):
    half = replace(truth, semantic=truth.semantic[1::2, 1::2], instance=truth.instance[1::2, 1::2])
    assert 0.4 < quality(half, truth).pq < 1


def test_a_built_set_is_scored_and_unnamed_clusters_are_matched(built):
    scored = score(built.root)
    assert scored.images == 5 and scored.result.matching == "hungarian" and not scored.skipped
    assert scored.identity == built.document["identity"]
    assert 0 < scored.result.pq < 1 and set(scored.result.per_class) == set(range(19))
    assert json.loads(json.dumps(scored.to_dict(), allow_nan=False))["classes"] == 19
    assert "5 images (train, validation), 19 classes" in scored.table()


def test_conventions_classes_and_intervals_are_named(built):
    scored = score(built.root, splits=("validation",), convention="cups", classes=7, bootstrap=20)
    assert scored.images == 2 and set(scored.result.per_class) == set(range(7))
    assert "cups" in scored.table() and scored.result.intervals["pq"][0] <= scored.result.pq


def test_scoring_by_table_equals_scoring_by_row(built):
    """The same numbers from decoded rows and truth maps, without the readers; a listed segment is a segment."""
    source = {f.image_id: f for f in built.open_source().frames("validation")}
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, matching="hungarian",
                             pseudo_things=built.calibration.things,
                             pseudo_stuff=[k for k in range(27) if k not in built.calibration.things])  # fmt: skip
    for row in built.rows("validation"):
        table = np.full(int(row.panoptic.max()) + 1, 255)
        for segment in row.segments:
            table[segment["id"]] = segment["category_id"]
        true = source[row.image_id].truth()
        semantic = taxonomy.LABEL_ID_TO_TRAIN_ID[true.label_ids]
        metric.update(table[row.panoptic], row.panoptic.astype(int), semantic,
                      np.where(true.instance_ids >= 1000, true.instance_ids, 0), image_id=row.image_id,
                      true_crowd=np.where((true.instance_ids < 1000) & (semantic >= 11) & (semantic < 19),
                                          true.label_ids.astype(int), 0))  # fmt: skip
    assert metric.compute().pq == pytest.approx(score(built.root, splits=("validation",)).result.pq, abs=1e-12)


def test_ranges_of_distance_are_scored_apart(built, capsys, tmp_path):
    arguments = ["eval", str(built.root), "--split", "validation", "--by-distance", "0,15,inf"]
    assert main([*arguments, "--json", str(tmp_path / "q.json")]) == 0
    out = capsys.readouterr().out
    assert "by distance, in metres of the ground truth" in out and "\n15 and more " in out
    text = (tmp_path / "q.json").read_text()
    written = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    ranges = written["by_distance"]["ranges"]
    assert [(each["near"], each["far"]) for each in ranges] == [(0, 15), (15, None)]
    assert ranges[0]["assignment"] == written["assignment"] and ranges[0]["matching"] == "given"
    assert ranges[0]["per_class"]["10"]["tp"] == 0 and written["per_class"]["10"]["tp"] > 0  # the sky has no distance


def test_without_true_depth_distances_are_those_of_the_label_set(built, photos, tmp_path):
    truth_dir = tmp_path / "truth"
    truth_dir.mkdir()
    for frame in built.open_source().frames("train"):
        Image.fromarray(frame.truth().label_ids).save(truth_dir / f"{frame.image_id}.png")
    depth = np.concatenate([row.depth.ravel() for row in built.rows("train")])
    edges = (0, float(np.median(depth)), float(depth.max()) + 1)
    scored = score(moved(built, tmp_path / "set", photos, truth_dir), distances=edges)
    assert scored.distance_unit == "the unit of the label set's own depth" and len(scored.by_distance) == 2
    assert all(0 < each.accuracy < 1 for each in scored.by_distance.values())
    with pytest.raises(InputError, match="Convention 'report' has no rule for void"):
        score(built.root, convention="report", distances=(0, 5))
    maps = tmp_path / "maps"
    maps.mkdir()
    Image.new("L", (8, 8)).save(maps / "a.png")
    with pytest.raises(InputError, match="neither ground truth nor labels hold depth"):
        score(maps, maps, distances=(0, 5))


def test_groups_of_classes_are_scored_from_the_same_labels(truth):
    """Named labels against truth in 7 groups: a car taken for a truck is right."""
    wrong = replace(truth, semantic=np.where(truth.semantic == 13, 14, truth.semantic))
    assert quality(wrong, truth).pq < 1
    table = np.append(taxonomy.TRAIN_ID_TO_7[:19], np.full(237, 255))
    grouped = PanopticQuality(taxonomy.THINGS_7, taxonomy.STUFF_7)
    sides = [replace(labels, semantic=table[labels.semantic]) for labels in (wrong, truth)]
    grouped.update(**sides[0].as_prediction(), **sides[1].as_truth())
    assert grouped.compute().pq == 1.0


def moved(built: LabelSetFolder, folder: Path, photos: Path, truth_dir: Path | None = None) -> Path:
    """A copy of the set that says it was made from a folder of photographs."""
    shutil.copytree(built.root, folder)
    source = {"name": "folder", "data_dir": str(photos), "truth_dir": str(truth_dir) if truth_dir else None}
    document = dict(built.document, source=source, splits=["train"])
    write_document(folder / "labelset.json", document)
    return folder


@pytest.fixture
def photos(built, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for frame in built.open_source().frames("train"):
        (folder / f"{frame.image_id}.png").write_bytes(frame.image_bytes())
    return folder


def test_no_truth_is_an_error_that_says_where_it_is_needed(built, photos, tmp_path):
    with pytest.raises(InputError, match="no image has ground truth to score against; labelling does not need it"):
        score(moved(built, tmp_path / "set", photos))


def test_truth_that_does_not_fit_is_an_error_or_skipped_with_its_reason(built, photos, tmp_path):
    truth_dir = tmp_path / "truth"
    truth_dir.mkdir()
    frames = built.open_source().frames("train")
    for frame in frames[:2]:
        Image.fromarray(frame.truth().label_ids).save(truth_dir / f"{frame.image_id}.png")
    Image.new("L", (5, 5)).save(truth_dir / f"{frames[1].image_id}.png")
    folder = moved(built, tmp_path / "set", photos, truth_dir)
    for missing in ("error", "void"):  # nothing makes up ground truth
        with pytest.raises(InputError, match=r"is predicted but has no ground truth \(1 of 3 images\)"):
            score(folder, missing=missing)
    scored = score(folder, missing="skip")
    assert (scored.images, scored.predicted, scored.true) == (1, 3, 2) and len(scored.skipped) == 2
    assert "no ground truth" in scored.skipped[0] and "5x5, but the image" in scored.skipped[1]
    Image.fromarray(frames[2].truth().label_ids).save(truth_dir / f"{frames[2].image_id}.png")
    with pytest.raises(InputError, match="5x5, but the image"):
        score(folder)


def folder_of_maps(folder: Path, **maps: np.ndarray) -> Path:
    folder.mkdir()
    for name, labels in maps.items():
        Image.fromarray(np.asarray(labels, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_an_image_on_one_side_only_is_an_error_missed_or_skipped(tmp_path, capsys):
    road = np.zeros((4, 4))
    both, one = folder_of_maps(tmp_path / "both", a=road, b=road), folder_of_maps(tmp_path / "one", a=road)
    assert main(["eval", str(one), "--truth", str(both)]) == 1
    assert "image 'b' has ground truth but no prediction (1 of 2 images)" in capsys.readouterr().err
    assert main(["eval", str(one), "--truth", str(both), "--missing", "void"]) == 0
    told = capsys.readouterr()
    assert "2 images, 19 classes; predictions of 1 images, ground truth of 2" in told.out
    assert "counted as missed: image 'b': no prediction" in told.err
    scored = score(one, both, missing="void")
    assert (scored.images, scored.predicted, scored.true) == (2, 1, 2) and len(scored.missed) == 1
    assert scored.result.pq == pytest.approx(2 / 3) and scored.result.miou_penalised == 0.5
    assert score(one, both, missing="skip").result.pq == 1.0
    assert main(["eval", str(both), "--truth", str(one)]) == 1
    assert "image 'b' is predicted but has no ground truth (1 of 2 images)" in capsys.readouterr().err
    assert score(both, one, missing="skip").images == 1


def test_a_prediction_that_cannot_be_read_follows_the_same_rule(tmp_path):
    road = np.zeros((4, 4))
    truth, broken = (folder_of_maps(tmp_path / name, a=road, b=road) for name in ("truth", "broken"))
    (broken / "b.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"image 'b': .*b\.png: cannot be read as a PNG file"):
        score(broken, truth)
    scored = score(broken, truth, missing="void")
    assert scored.images == 2 and scored.result.pq == pytest.approx(2 / 3) and "b.png" in scored.missed[0]
    assert score(broken, truth, missing="skip").images == 1
    for missing in ("error", "void"):
        with pytest.raises(InputError, match=r"b\.png: cannot be read"):
            score(truth, broken, missing=missing)
    assert "b.png" in score(truth, broken, missing="skip").skipped[0]
    with pytest.raises(InputError, match="missing must be one of error, void, skip"):
        score(truth, truth, missing="guess")


def test_a_transposed_prediction_is_refused(tmp_path):
    labels = np.zeros((20, 40))
    labels[:5] = 10
    truth = folder_of_maps(tmp_path / "truth", a=labels)
    assert score(folder_of_maps(tmp_path / "half", a=labels[::2, ::2]), truth).images == 1
    for name, wrong in {"turned": labels.T, "cropped": labels[:, :30], "almost": np.zeros((20, 44))}.items():
        with pytest.raises(InputError, match="image 'a': its prediction is .* its ground truth 20x40"):
            score(folder_of_maps(tmp_path / name, a=wrong), truth)
    near = folder_of_maps(tmp_path / "near", a=np.zeros((40, 41)))
    with pytest.raises(InputError, match="its prediction is 41x40, its ground truth 40x41"):
        score(folder_of_maps(tmp_path / "near turned", a=np.zeros((41, 40))), near)


def test_ids_that_are_no_classes_are_an_error_naming_the_file(tmp_path, capsys):
    right, wrong = (folder_of_maps(tmp_path / n, a=[[0, 10, v]]) for n, v in (("right", 255), ("wrong", 23)))
    for predictions, truth in ((wrong, right), (right, wrong)):
        assert main(["eval", str(predictions), "--truth", str(truth)]) == 1
        told = capsys.readouterr().err
        assert f"{wrong / 'a.png'}: 23 is no id of the 19 classes (0-18, void 255)" in told and told.count("\n") == 1
    assert score(right, right).result.pq == 1.0 and score(wrong, wrong, classes=27).images == 1
    assert score(wrong, right, matching="hungarian").images == 1  # clusters have any ids


def test_resamples_are_counted(tmp_path, capsys):
    maps = folder_of_maps(tmp_path / "maps", a=np.zeros((4, 4)))
    with pytest.raises(SystemExit):
        main(["eval", str(maps), "--truth", str(maps), "--bootstrap", "-3"])
    assert "expected a number from 0 to 999999, but got '-3'" in capsys.readouterr().err
    with pytest.raises(InputError, match="--bootstrap -3: the number of resamples cannot be negative"):
        score(maps, maps, bootstrap=-3)


def test_other_forms_against_truth(truth, tmp_path, capsys):
    for folder in ("pred", "true"):
        (tmp_path / folder).mkdir()
        Image.fromarray(truth.semantic.astype(np.uint8)).save(tmp_path / folder / "a.png")
    arguments = ["eval", str(tmp_path / "pred"), "--truth", str(tmp_path / "true"), "--bars"]
    arguments += ["--chart", str(tmp_path / "c.svg"), "--eval-results", str(tmp_path / "r.yaml")]
    assert main(arguments) == 0
    assert "1 images, 19 classes" in capsys.readouterr().out
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    entries = yaml.safe_load((tmp_path / "r.yaml").read_text())
    assert entries[0]["value"] == 100.0 and "convention coco, matching none" in entries[0]["notes"]


def test_lint_finds_impossible_rows(tmp_path, capsys):
    table = "| method | PQ | PQ St | PQ Th |\n|---|---|---|---|\n| fine | 23.2 | 31.58 | 11.67 |\n| odd | 22.6 | 27.8 | 11.0 |\n"
    (tmp_path / "rows.md").write_text(table)
    assert main(["eval", "--lint", str(tmp_path / "rows.md")]) == 1
    out = capsys.readouterr().out
    assert "odd" in out and "2 rows checked, 1 findings" in out and "fine" not in out
    (tmp_path / "none.md").write_text("no table")
    assert main(["eval", "--lint", str(tmp_path / "none.md")]) == 1
    assert "holds no row with a PQ" in capsys.readouterr().err
