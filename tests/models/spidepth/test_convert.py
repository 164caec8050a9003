from __future__ import annotations

import hashlib
import json

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.spidepth import QueryDecoder, SPIdepth
from mbps_dataset.models.spidepth.convert import convert_spidepth
from tests.models.spidepth.reference_weights import drawn_weights


@pytest.fixture
def published(tmp_path):
    """A pair of files as they are published: an atto encoder of 32 feature channels and a decoder to match."""
    torch.save(
        {**drawn_weights("atto_encoder", seed=606), "height": 320, "use_stereo": False}, tmp_path / "encoder.pth"
    )
    decoder = QueryDecoder(in_channels=32, embedding_dim=16, patch_size=8, queries=6, bins=9, positions=40)
    torch.save(decoder.state_dict(), tmp_path / "depth.pth")
    return {"encoder": tmp_path / "encoder.pth", "decoder": tmp_path / "depth.pth"}


def test_the_written_folder_holds_the_published_tensors_and_says_so(published, tmp_path):
    conversion = convert_spidepth(**published, output=tmp_path / "out", size="atto", supervision="none: random")
    read = SPIdepth.from_pretrained(conversion.folder)
    expected = SPIdepth.from_reference(**published, size="atto").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read.state_dict().items())
    assert read.config == conversion.network.config and read.supervision == "none: random"
    record = json.loads((conversion.folder / "conversion.json").read_text())
    digest = hashlib.sha256(published["encoder"].read_bytes()).hexdigest()
    assert record["made_from"]["encoder"] == {"file": "encoder.pth", "sha256": digest}
    assert record["tensors_sha256"] == conversion.digest
    assert record["supervision"] == "none: random"


def test_files_of_another_size_write_nothing(published, tmp_path):
    with pytest.raises(WeightsError, match="would fit: size='atto'"):
        convert_spidepth(**published, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_runs_code_is_refused(published, tmp_path):
    torch.save({"encoder": hashlib.sha256}, published["encoder"])
    with pytest.raises(WeightsError, match="needs pickle"):
        convert_spidepth(**published, output=tmp_path / "out", size="atto")
