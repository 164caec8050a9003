"""Opening both sides, and which clusters are things."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.formats.writing import export
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.scoring.score import score
from mbps_dataset.scoring.sides import PseudoSplit, open_sides, pseudo_split
from tests.formats.label_sets import IDS, random_label_set
from tests.formats.test_coco_files import CATEGORIES, write_coco
from tests.formats.test_coco_files import IDS as SEGMENT_IDS


def test_a_built_set_may_be_the_truth(named, clusters, tmp_path):
    other = random_label_set(tmp_path / "other", seed=1)
    scored = score(other.root, named.root)
    assert scored.images == 4 and 0 < scored.result.pq < 1 and score(named.root, named.root).result.pq == 1.0
    assert score(other.root, named.root, splits=("validation",)).images == 1
    export(named, tmp_path / "export", "cityscapes")
    export(other, tmp_path / "coco", "coco-panoptic")
    assert score(other.root, tmp_path / "export").result.pq == pytest.approx(scored.result.pq, abs=1e-12)
    assert score(tmp_path / "coco", named.root).result.pq == pytest.approx(scored.result.pq, abs=1e-12)
    assert score(tmp_path / "coco", named.root, splits=("train",)).images == 3
    assert score(tmp_path / "coco/panoptic_val.json", named.root, splits=("validation",)).images == 1
    assert score(clusters.root, named.root).result.matching == "hungarian"
    assert score(other.root, named.root, classes=7).result.pq > scored.result.pq


def test_clusters_are_no_truth(named, clusters, tmp_path, capsys):
    export(clusters, tmp_path / "out", "coco-panoptic")
    for truth in (clusters.root, tmp_path / "out"):
        assert main(["eval", str(named.root), "--truth", str(truth)]) == 1
        assert f"{truth}: its classes are clusters, which are no ground truth" in capsys.readouterr().err


def test_named_classes_of_an_export_are_not_27(named, tmp_path):
    export(named, tmp_path / "out", "cityscapes")
    for predictions in (named.root, tmp_path / "out"):
        with pytest.raises(
            InputError, match="its 19 named classes cannot be scored as 27; use --classes 19, 16, 7 or 2"
        ):
            score(predictions, named.root, classes=27)


def test_splits_count_for_the_side_that_has_them(named, tmp_path):
    export(named, tmp_path / "tree", "cityscapes")
    (tmp_path / "tree/mbps_export.json").unlink()  # a Cityscapes tree like any other
    assert score(named.root, tmp_path / "tree", splits=("validation",)).images == 1
    with pytest.raises(InputError, match="has ground truth but no prediction"):
        score(tmp_path / "tree/gtFine/train", tmp_path / "tree")
    assert score(tmp_path / "tree/gtFine/train", tmp_path / "tree", splits=("train",)).images == 3
    with pytest.raises(InputError, match="no split 'test'"):
        score(named.root, tmp_path / "tree", splits=("test",))


def test_a_file_without_truth_is_told_what_is_missing(tmp_path, capsys):
    assert main(["eval", str(write_coco(tmp_path / "x.json"))]) == 1
    assert "x.json does not know its source; give the ground truth with --truth" in capsys.readouterr().err


def test_a_set_that_has_lost_rows_is_not_scored(tmp_path):
    built = random_label_set(tmp_path / "set")
    (built.root / "data/train-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="the split 'train' has 0 rows, but labelset.json counts 3"):
        score(built.root, built.root)


def test_failed_images_are_missing_predictions_and_a_limit_is_no_loss(built, tmp_path):
    import shutil

    shutil.copytree(built.root, tmp_path / "set")
    frames = built.open_source().frames("train")
    assert len(frames) == 3
    document = json.loads(json.dumps(built.document))
    document["limit"] = 2
    write_document(tmp_path / "set/labelset.json", document)
    with pytest.raises(InputError, match=r"'train/.*2' is predicted but has no ground truth \(1 of 3 images\)"):
        score(tmp_path / "set", splits=("train",))
    sides = open_sides(tmp_path / "set", None, ("train",), 19)
    assert len(sides.true) == 2 and len(sides.predicted) == 3


def source(label_set: Description | None = None, class_of=None, **is_thing: bool) -> LabelSource:
    things = {int(k[1:]): value for k, value in is_thing.items()}
    return LabelSource({}, "x", class_of, label_set, is_thing=things)


OWN = Description("parquet", ("a", "b", "c"), (1,), False, 255)


@pytest.mark.parametrize(
    ("predicted", "matching", "things", "stuff", "expected"),
    [
        (source(OWN), "hungarian_split", None, None, PseudoSplit((1,), (0, 2))),
        (source(OWN, {0: 5, 1: 6, 2: 255}), "none", None, None, PseudoSplit((6,), (5,))),
        (source(c4=True, c7=False), "u2seg", None, None, PseudoSplit((4,), (7,))),
        (source(), "hungarian", None, None, None),
        (source(), "hungarian_split", (2, 1), (3,), PseudoSplit((1, 2), (3,), True)),
        (source(OWN), "hungarian_split", (0,), None, PseudoSplit((0,), (1, 2), True)),
        (source(c4=True, c7=False), "hungarian_split", None, (4,), PseudoSplit((7,), (4,), True)),
    ],
)
def test_what_is_a_thing_is_known_from_options_set_or_file(predicted, matching, things, stuff, expected):
    assert pseudo_split(predicted, matching, things, stuff) == expected


@pytest.mark.parametrize(
    ("predicted", "matching", "things", "stuff", "sentence"),
    [
        (
            source(),
            "hungarian_split",
            None,
            None,
            "--matching hungarian_split keeps things and stuff apart, but x does not",
        ),
        (source(), "u2seg", None, None, "give them, e.g. --pseudo-things 19-26 --pseudo-stuff 0-18"),
        (source(), "none", (1,), (2,), "are for clusters; add --matching hungarian_split"),
        (source(), "hungarian", (1, 2), (2,), "--pseudo-things and --pseudo-stuff both hold 2"),
        (source(), "hungarian", (1,), None, "x does not list its clusters; give --pseudo-stuff too"),
        (source(), "hungarian", None, (1,), "x does not list its clusters; give --pseudo-things too"),
        (source(), "hungarian", (255,), (1,), "cannot hold 255, the id of void"),
    ],
)
def test_what_cannot_be_is_said_in_the_words_of_the_command_line(predicted, matching, things, stuff, sentence):
    with pytest.raises(InputError, match=sentence):
        pseudo_split(predicted, matching, things, stuff)


def test_split_matching_works_from_the_command_line(tmp_path, capsys):
    """The line of docs/scoring.md, with `isthing` of the file, and with options where no file says it."""
    truth = write_coco(tmp_path / "truth.json")
    clusters = [c | {"id": c["id"] + 100, "name": f"cluster {c['id']}"} for c in CATEGORIES]
    listed = [{"id": k, "category_id": c + 100} for k, c in ((1, 23), (2, 7), (900, 26))]
    write_coco(tmp_path / "predictions.json", SEGMENT_IDS, listed, categories=clusters)
    (tmp_path / "maps").mkdir()
    table = {1: 123, 2: 107, 900: 126, 0: 255}
    maps = np.vectorize(table.get)(SEGMENT_IDS).astype(np.uint8)
    Image.fromarray(maps).save(tmp_path / "maps/a.png")
    rest = ["--truth", str(truth), "--convention", "cups", "--matching", "hungarian_split"]
    assert main(["eval", str(tmp_path / "predictions.json"), *rest, "--json", str(tmp_path / "q.json")]) == 0
    found = json.loads((tmp_path / "q.json").read_text())
    assert found["pq"] == 1.0 and found["assignment"] == {"107": 0, "123": 10, "126": 13}
    assert main(["eval", str(tmp_path / "maps"), *rest]) == 1
    assert "maps does not say which clusters are things; give them" in capsys.readouterr().err
    options = ["--pseudo-things", "126", "--pseudo-stuff", "100-125"]
    assert main(["eval", str(tmp_path / "maps"), *rest, *options, "--masks"]) == 0
    assert "PQ 100.00 on 1 images" in capsys.readouterr().out
    assert main(["eval", str(tmp_path / "maps"), *rest, "--pseudo-things", "126", "--pseudo-stuff", "107"]) == 1
    assert "image 'a': cluster 123 is neither among --pseudo-things nor --pseudo-stuff" in capsys.readouterr().err


def test_named_sets_take_the_split_matching_too(named):
    assert score(named.root, named.root, matching="hungarian_split").result.pq == 1.0
    assert len(IDS["train"]) == 3
