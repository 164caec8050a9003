"""`mbps table 7` trains a network a row, and prints what each finds with the paper's numbers beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbps_dataset.cli import main
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.training.panoptic.log import read_log
from tests.commands.test_train_panoptic import place  # noqa: F401


SHORT = ["--steps", "3", "--batch-size", "2", "--set", "crop=32,64", "--device", "cpu", "--quiet"]


def table(place: Path, output: str, *more: str) -> int:  # noqa: F811
    given = str(place / "set")
    return main(["table", "7", given, "--val", given, "--output", str(place / output), *SHORT, *more])


@pytest.fixture(scope="module")
def written(place) -> Path:  # noqa: F811
    assert table(place, "table") == 0
    return place / "table"


def test_every_row_is_measured_with_an_interval(written, capsys):
    rows = json.loads((written / "table.json").read_text())["tables"]["cups-7c"]["rows"]
    assert [row["name"] for row in rows][:2] == ["Vanilla training", "+ DropLoss: what is not known is left open"]
    assert len(rows) == 6 and all(0 <= row["found"] <= 1 and row["false_things"] >= 0 for row in rows)
    assert all("delta_pq" in row["intervals"] for row in rows)
    assert all(row["things"] > 0 and 0 <= row["right_side"] <= row["classes"] for row in rows)
    text = (written / "table.md").read_text()
    assert "**Table 7c of CUPS: Training components, one more in each row**" in text
    assert "| 24.1 |" in text and "Things found" in text


def test_rows_are_trained_as_they_say(written):
    assert load_panoptic(str(written / "row-0")).config.unknown_is_empty
    assert not load_panoptic(str(written / "row-1")).config.unknown_is_empty
    record = load_panoptic(str(written / "row-4")).record
    assert record is not None and record.start == "the row '+ Self-enhanced copy-paste'"
    assert record.settings["self_labels_after"] == 1
    assert read_log(written / "row-3/log.jsonl")[-1]["step"] == 3
    assert read_log(written / "row-4/log.jsonl")[-1]["step"] == 2


def test_the_same_command_goes_on_and_prints_the_same(written, place, capsys):  # noqa: F811
    before = (written / "table.json").read_text()
    assert table(place, "table") == 0
    assert (written / "table.json").read_text() == before


@pytest.mark.parametrize(
    "more, said",
    [
        (("--backbone", "x"), "the dense network has none"),
        (("--set", "network.drop_loss=off"), "rows decide about the network"),
        (("--set", "crops=3"), "Unknown setting 'crops'"),
    ],
)
def test_what_has_no_effect_is_refused(place, capsys, more, said):  # noqa: F811
    assert table(place, "refused", *more) == 1
    assert said in capsys.readouterr().err and not (place / "refused").exists()
