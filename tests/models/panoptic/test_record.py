"""Weights say which label set they learned from, wherever they are saved; a damaged record is no record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from mbps_dataset.models.panoptic.loading import load_panoptic
from mbps_dataset.models.panoptic.record import LearnedFrom, TrainingRecord, read_record
from tests.hub.client import TOKEN
from tests.hub.server import Hub


FROM = LearnedFrom(
    "demo", "scenes", ("train",), 8, "ab" * 32, "cd" * 32, "", False, "apache-2.0", {"cause": "no labels"}, ()
)
RECORD = TrainingRecord(FROM, {"steps": 3, "crop": [8, 16]})


def test_the_record_goes_where_the_weights_go(tmp_path: Path) -> None:
    network = DensePanoptic(
        DenseConfig(class_names=("road", "car"), thing_ids=(1,), widths=(4, 4, 4, 4, 4), decoder_width=4)
    )
    network.save_pretrained(tmp_path / "without")
    assert load_panoptic(tmp_path / "without").record is None
    network.record = RECORD
    network.save_pretrained(tmp_path / "with")
    loaded = load_panoptic(tmp_path / "with").record
    assert loaded == replace(RECORD, settings=loaded.settings) and loaded.settings["steps"] == 3


def test_in_words() -> None:
    said = FROM.in_words()
    assert "8 images of scenes (train), label set demo sha256:" + "ab" * 32 in said
    assert "ground truth used for them: none; licence of the set: apache-2.0; made by cause: no labels" in said
    truth = replace(FROM, ground_truth_used=("cluster names: hungarian",))
    assert "ground truth used for them: cluster names: hungarian" in truth.in_words()
    long = replace(FROM, supervision={"network": "x" * 9000}).in_words()
    assert len(long) <= 4000 and long.endswith("(the rest is in training.json)")


@pytest.mark.parametrize(("change", "said"), [
    ({"images": "8"}, "images is of another type"),
    ({"colour": 1}, "unexpected keyword argument 'colour'"),
    ({"splits": [1]}, "a text is none"),
    ({"ground_truth_used": None}, "not iterable"),
])  # fmt: skip
def test_a_damaged_record_is_refused(tmp_path: Path, change: dict, said: str) -> None:
    document = RECORD.to_json()
    document["learned_from"] |= change
    (tmp_path / "training.json").write_text(json.dumps(document))
    with pytest.raises(WeightsError, match=f"training.json: not the record of a training .*{said}"):
        read_record(tmp_path)


def test_an_empty_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(WeightsError, match="not the record of a training .'learned_from'"):
        read_record(tmp_path)


THROUGH_THE_HUB = """
import torch
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from mbps_dataset.models.panoptic.loading import load_panoptic
from tests.models.panoptic.test_record import RECORD

network = DensePanoptic(DenseConfig(class_names=("road", "car"), thing_ids=(1,), widths=(4, 4, 4, 4, 4), decoder_width=4))
network.record = RECORD
network.push_to_hub("me/panoptic")
loaded = load_panoptic("me/panoptic")
assert loaded.record.learned_from == RECORD.learned_from
assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), loaded.state_dict().values(), strict=True))
"""


@pytest.mark.nightly
def test_weights_and_record_go_to_the_hub_and_back(tmp_path: Path) -> None:
    hub = Hub({TOKEN: ("me",)})
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0",
                    "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(Path(__file__).parents[3])}  # fmt: skip
    try:
        done = subprocess.run([sys.executable, "-c", THROUGH_THE_HUB], env=environment, capture_output=True, text=True)
    finally:
        hub.close()
    assert done.returncode == 0, done.stderr[-2000:]
