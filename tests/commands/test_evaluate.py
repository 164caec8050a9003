"""Arguments of `mbps eval`."""

from __future__ import annotations

import json

import pytest

from mbps_dataset import taxonomy
from mbps_dataset.cli import main, parser
from mbps_dataset.commands.evaluate import count, distances, ids
from mbps_dataset.labelset.document_file import write_document
from tests.formats.label_sets import IDS, random_label_set
from tests.sources import streets
from tests.sources.test_bdd100k import tree as bdd100k_tree
from tests.sources.trees import save
from tests.tiny import write_photographs


def test_distances_are_read_between_commas():
    assert distances("0,15,30.5") == (0.0, 15.0, 30.5) and distances("0,10,inf") == (0.0, 10.0, float("inf"))
    given = parser().parse_args(["eval", "set", "--by-distance", "0,15"])
    assert given.by_distance == (0.0, 15.0) and not parser().parse_args(["eval", "set"]).by_distance


@pytest.mark.parametrize("text", ["15", "", "0,15,15", "30,0", "0,far"])
def test_other_distances_are_an_error(text, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "set", "--by-distance", text])
    assert f"ascending distances like 0,15,30,60, but got {text!r}" in capsys.readouterr().err


def test_detections_without_a_score_that_uses_them_are_an_error(capsys):
    assert main(["eval", "set", "--detections", "masks.json"]) == 1
    assert "--detections is scored by --masks and --paint only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["set", "--lint", "r.md", "--json", "q.json"], "scores nothing; leave out PREDICTIONS, --json."),
        (["--lint", "r.md", "--by-distance", "0,15"], "scores nothing; leave out --by-distance."),
        (["set", "--truth", "gt", "--data-dir", "photos"], "--truth takes the place of the truth below --data-dir"),
        (["set", "--dataset-id", "a/b"], "--dataset-id is written by --eval-results only; add it."),
        ([], "Give PREDICTIONS to score, or --lint FILE"),
        (
            ["p.json", "--protocol", "bdd", "--convention", "coco"],
            "says all that decides a score; leave out --convention.",
        ),
        (["p.json", "--protocol", "bdd", "--classes", "7", "--paint", "sweep"], "leave out --classes, --paint."),
        (["p.json", "--source", "bdd100k"], "--source says what lies in --data-dir; give that too."),
    ],
)
def test_an_argument_without_effect_is_an_error(given, sentence, capsys):
    assert main(["eval", *given]) == 1
    assert sentence in capsys.readouterr().err


def test_labels_are_scored_where_their_images_lie_now(tmp_path, capsys):
    built = random_label_set(tmp_path / "set")
    source = {"name": "folder", "data_dir": str(tmp_path / "gone")}
    write_document(built.root / "labelset.json", built.document | {"source": source})
    write_photographs(tmp_path / "here", 1)
    assert main(["eval", str(built.root), "--split", "train"]) == 1
    assert f"{tmp_path / 'gone'} does not exist" in capsys.readouterr().err
    assert main(["eval", str(built.root), "--split", "train", "--data-dir", str(tmp_path / "here")]) == 1
    assert "no image has ground truth" in capsys.readouterr().err


def test_ids_are_read_between_commas_and_as_ranges():
    assert ids("1,2") == (1, 2) and ids("19-21, 3") == (3, 19, 20, 21) and count("20") == 20
    given = parser().parse_args(["eval", "set", "--pseudo-things", "1,2", "--missing", "void"])
    assert given.pseudo_things == (1, 2) and given.pseudo_stuff is None and given.missing == "void"


@pytest.mark.parametrize("text", ["", "a", "1,,2", "5-3", "-1", "1-2-3", "999999"])
def test_other_ids_are_an_error(text, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "set", f"--pseudo-stuff={text}"])
    assert f"expected ids like 0,4,19-26, but got {text!r}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["-3", "1.5", "many", "10000000"])
def test_other_numbers_of_resamples_are_an_error(text, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "set", f"--bootstrap={text}"])
    assert f"expected a number from 0 to 999999, but got {text!r}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[", '{"PQ": ', "[" * 5000 + "]" * 5000, "3", "null", '[{"PQ": null}]'])
def test_rows_that_are_none_are_one_line(text, tmp_path, capsys):
    (tmp_path / "rows.json").write_text(text)
    assert main(["eval", "--lint", str(tmp_path / "rows.json")]) == 1
    told = capsys.readouterr()
    assert "rows.json: " in told.err and told.err.count("\n") == 1


def test_several_labels_are_rows_of_one_table(tmp_path, capsys):
    one, other = (random_label_set(tmp_path / name, seed=seed) for name, seed in (("one", 0), ("other", 1)))
    given = [str(one.root), str(other.root), "--truth", str(one.root), "--split", "train", "--quiet"]
    assert main(["eval", *given]) == 0
    head, first, second, rules = capsys.readouterr().out.splitlines()
    assert head.split() == ["labels", "images", "PQ", "things", "stuff", "SQ", "RQ", "mIoU"]
    assert first.split()[:3] == [str(one.root), str(len(IDS["train"])), "100.00"]
    assert second.split()[0] == str(other.root) and float(second.split()[2]) < 100
    assert rules.startswith("convention coco, matching ") and rules.endswith("19 classes, in percent")


def test_what_is_printed_of_one_alone_is_refused_for_several(tmp_path, capsys):
    assert main(["eval", "one", "other", "--masks", "--json", str(tmp_path / "q.json"), "--bootstrap", "9"]) == 1
    assert (
        "--json, --masks, --bootstrap: for one PREDICTIONS; of several only panoptic quality"
        in capsys.readouterr().err
    )


def test_any_source_is_the_truth_of_any_form(tmp_path, capsys):
    tree = bdd100k_tree(tmp_path / "bdd")
    for name in ("busy", "quiet"):
        labels = {"busy": streets.BUSY, "quiet": streets.QUIET}[name]
        save(tmp_path / f"maps/{name}.png", taxonomy.LABEL_ID_TO_TRAIN_ID[labels])
    arguments = [
        "eval",
        str(tmp_path / "maps"),
        "--data-dir",
        str(tree),
        "--split",
        "val",
        "--json",
        str(tmp_path / "q.json"),
    ]
    assert main([*arguments, "--source", "bdd100k", "--protocol", "bdd"]) == 0
    scored = json.loads((tmp_path / "q.json").read_text())
    assert "2 images (val), 19 classes, protocol bdd" in capsys.readouterr().out
    assert scored["miou"] == 1 and scored["pq_stuff"] == 1 and scored["convention"] == "cups"
    assert scored["things_an_image"] == {"predicted": 0.0, "true": 1.5}
    assert main([*arguments, "--source", "bdd100k", "--classes", "2"]) == 1
    assert "are no ids of the 2 classes" in capsys.readouterr().err
    assert main([*arguments, "--source-option", "a=1", "--source", "bdd100k"]) == 1
    assert "is no option of the source 'bdd100k'" in capsys.readouterr().err
