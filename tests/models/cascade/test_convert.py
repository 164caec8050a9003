"""Files as they are published become folders that `from_pretrained` reads."""

from __future__ import annotations

import json

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cascade import LICENCES, SUPERVISION, CascadeMaskRCNN
from mbps_dataset.models.cascade.convert import convert_cascade
from tests.models.cascade.published_files import detectron2_file, lightning_file
from tests.models.cascade.tiny_network import tiny_network


@pytest.mark.parametrize(("system", "seed"), [("cups", 1), ("cups-teacher", 2)])
def test_cups_is_read_without_its_configuration_class(system, seed, tmp_path):
    done = convert_cascade(system=system, checkpoint=lightning_file(tmp_path / "cups.ckpt"), output=tmp_path / "out")
    network, wanted = CascadeMaskRCNN.from_pretrained(tmp_path / "out"), tiny_network(seed=seed).state_dict()
    assert all(torch.equal(one, wanted[name]) for name, one in network.state_dict().items())
    assert network.config == done.network.config and network.config.drop_loss_iou == 0.4
    assert network.class_names == ("stuff 0", "stuff 1", "thing 0", "thing 1")


@pytest.mark.parametrize(("system", "stuff", "things"), [("u2seg", 3, 5), ("cutler", 0, 1), ("cuvler", 0, 1)])
def test_files_of_detectron2_are_read_and_what_they_saw_is_recorded(system, stuff, things, tmp_path):
    file = detectron2_file(tmp_path / "x.pth", stuff=stuff, things=things)
    done = convert_cascade(system=system, checkpoint=file, output=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert record["made_from"]["checkpoint"]["file"] == "x.pth" and record["system"] == system
    assert record["supervision"] == SUPERVISION[system] and record["licence"] == LICENCES[system]
    network = CascadeMaskRCNN.from_pretrained(tmp_path / "out")
    assert len(network.class_names) == stuff + things and network.config == done.network.config
    assert network.predict(torch.rand(1, 3, 40, 50))[0].panoptic.segment_map.shape == (40, 50)


def test_names_may_be_given(tmp_path):
    file = detectron2_file(tmp_path / "x.pth", stuff=1, things=1)
    convert_cascade(
        system="u2seg", checkpoint=file, output=tmp_path / "out", class_names=("road", "car"), supervision="ours"
    )
    network = CascadeMaskRCNN.from_pretrained(tmp_path / "out")
    assert network.class_names == ("road", "car") and network.config.supervision == "ours"


def test_truncated_and_missing_files_are_told_before_anything_is_written(tmp_path):
    file = lightning_file(tmp_path / "cups.ckpt")
    file.write_bytes(file.read_bytes()[:5000])
    for checkpoint, message in ((file, "cups.ckpt is damaged"), (tmp_path / "none.ckpt", "There is no checkpoint at")):
        with pytest.raises(WeightsError, match=message):
            convert_cascade(system="cups", checkpoint=checkpoint, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
