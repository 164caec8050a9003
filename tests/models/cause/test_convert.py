from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause import CauseSegmenter
from mbps_dataset.models.cause.convert import convert_cause
from mbps_dataset.models.cause.label_leak import label_leak_report
from mbps_dataset.models.checkpoints import state_dict_digest
from tests.models.cause.cause_weights import TINY, noise, published_files, tiny_network


@torch.no_grad()
def test_conversion_round_trips(tmp_path: Path) -> None:
    network, pixels = tiny_network(), noise(8, (1, 3, 70, 70))
    files = published_files(tmp_path, network)
    conversion = convert_cause(**files, output=tmp_path / "converted", heads=3)
    direct = CauseSegmenter.from_reference(**files, heads=3)
    loaded = CauseSegmenter.from_pretrained(tmp_path / "converted")
    assert loaded.config == conversion.network.config == TINY
    for other in (direct, network):  # the results within rounding: tensors read from files lie differently in memory
        assert state_dict_digest(other.checkpoint_state()) == conversion.digest
        torch.testing.assert_close(loaded(pixels), other(pixels))
    assert conversion.digest == state_dict_digest(loaded.checkpoint_state())


def test_the_record_says_what_it_was_made_from(tmp_path: Path) -> None:
    files = published_files(tmp_path, tiny_network())
    conversion = convert_cause(**files, output=tmp_path / "converted", heads=3)
    record = json.loads((tmp_path / "converted" / "conversion.json").read_text())
    assert record["tensors_sha256"] == conversion.digest
    for part, path in files.items():
        expected = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        assert record["made_from"][part] == expected
    assert record["label_leak_in_words"] == str(label_leak_report(conversion.network))


def test_a_record_without_a_finite_ratio_is_plain_json(tmp_path: Path) -> None:
    network = tiny_network()
    network.segment.update_teacher(0)
    convert_cause(**published_files(tmp_path, network), output=tmp_path / "converted", heads=3)
    text = (tmp_path / "converted" / "conversion.json").read_text()
    assert "NaN" not in text and json.loads(text)["label_leak"]["ratio"] is None


def test_nothing_is_written_for_bad_files(tmp_path: Path) -> None:
    files = published_files(tmp_path, tiny_network())
    files["cluster"].unlink()
    with pytest.raises(WeightsError, match="There is no checkpoint at .*cluster.pth"):
        convert_cause(**files, output=tmp_path / "converted", heads=3)
    assert not (tmp_path / "converted").exists()
