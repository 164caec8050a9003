"""Files as they are published become folders that `from_pretrained` reads."""

from __future__ import annotations

import json
import pickle
import re
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cascade import LICENCES, SUPERVISION, CascadeMaskRCNN
from mbps_dataset.models.cascade.convert import convert_cascade
from mbps_dataset.models.checkpoints import read_state_dict
from tests.models.cascade.published_files import detectron2_file, lightning_file
from tests.models.cascade.tiny_network import tiny_network


@pytest.mark.parametrize(("system", "seed"), [("cups", 1), ("cups-teacher", 2)])
def test_cups_is_read_without_its_configuration_class(system, seed, tmp_path):
    done = convert_cascade(system=system, checkpoint=lightning_file(tmp_path / "cups.ckpt"), output=tmp_path / "out")
    network, wanted = CascadeMaskRCNN.from_pretrained(tmp_path / "out"), tiny_network(seed=seed).state_dict()
    assert all(torch.equal(one, wanted[name]) for name, one in network.state_dict().items())
    assert network.config == done.network.config and network.config.drop_loss_iou == 0.4
    assert network.class_names == ("stuff 0", "stuff 1", "thing 0", "thing 1")


@pytest.mark.skipif(not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"), reason="torch before 2.6")
def test_the_documented_way_to_open_cups_needs_no_yacs_and_gives_the_same_tensors(tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs/published-networks.md").read_text(encoding="utf-8")
    (code,) = [
        block for block in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "CfgNode" in block
    ]
    file = lightning_file(tmp_path / "cups.ckpt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="yacs.config.CfgNode"):
        torch.load(file, weights_only=True)
    names: dict = {}
    exec(code, names)
    opened, read = names["content"]["state_dict"], read_state_dict(file, leave_out_objects=True)
    assert opened.keys() == read.keys() and all(torch.equal(one, read[name]) for name, one in opened.items())
    assert "yacs" not in sys.modules


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


FILES = {
    "cups": lightning_file,
    "u2seg": partial(detectron2_file, stuff=27, things=300),
    "cutler": detectron2_file,
    "cutler_semi": partial(detectron2_file, things=80),
}
"""Files as published, by what they hold."""

A_DETECTOR = "is a detector: one class of things and no semantic head: convert it as `cutler` or `cuvler`, not as"
WITH_LABELS = (
    "tells 80 classes apart and has no semantic head; CutLER's files of 80 classes .* human labels and not read. Take"
)


@pytest.mark.parametrize(("file", "system", "said"), [
    ("u2seg", "cups", "tells 300 clusters of things apart, as U2Seg's files do: convert it as `u2seg`, not as `cups`"),
    ("cutler", "cups", f"{A_DETECTOR} `cups`"),
    ("cups", "u2seg", "tensors named model.…, as CUPS' files have: convert it as `cups`, not as `u2seg`"),
    ("cutler", "u2seg", f"{A_DETECTOR} `u2seg`"),
    ("cups", "cutler", "as CUPS' files have: convert it as `cups`, not as `cutler`"),
    ("u2seg", "cutler", "as U2Seg's files do: convert it as `u2seg`, not as `cutler`"),
    ("cups", "cuvler", "as CUPS' files have: convert it as `cups`, not as `cuvler`"),
    ("u2seg", "cuvler", "as U2Seg's files do: convert it as `u2seg`, not as `cuvler`"),
    ("cutler_semi", "cups", f"{WITH_LABELS} cups.ckpt"),
    ("cutler_semi", "u2seg", f"{WITH_LABELS} cocotrain_800_0089999.pth or that of 300 clusters"),
    ("cutler_semi", "cutler", f"{WITH_LABELS} cutler_cascade_final.pth, _r1 or _r2"),
    ("cutler_semi", "cuvler", f"{WITH_LABELS} model_cuvler_zero_shot.pth or one of its self-training"),
])  # fmt: skip
def test_a_file_of_another_system_or_class_count_is_told_what_fits(file, system, said, tmp_path):
    checkpoint = FILES[file](tmp_path / "file")
    with pytest.raises(WeightsError, match=f"{checkpoint} .*{said}") as caught:
        convert_cascade(system=system, checkpoint=checkpoint, output=tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("system", "file", "other"), [
    ("cuvler", "cutler_cascade_final.pth", "cutler"), ("cutler", "model_cuvler_zero_shot.pth", "cuvler"),
    ("cups", "cocotrain_800_0089999.pth", "u2seg"), ("u2seg", "cups.ckpt", "cups"), ("cups-teacher", "u2seg.pth", "u2seg"),
])  # fmt: skip
def test_a_file_that_is_named_as_anothers_is_refused_unopened(system, file, other, tmp_path):
    """CutLER's and CuVLER's hold the same names and shapes; their licences differ."""
    with pytest.raises(WeightsError, match=f"^{file} is called as files of {other} are, .* as `{other}`"):
        convert_cascade(system=system, checkpoint=tmp_path / file, output=tmp_path / "out")


@pytest.mark.parametrize("system", ["cups", "cups-teacher", "u2seg", "cutler", "cuvler"])
def test_files_that_are_cut_off_missing_or_something_else_are_told_in_a_line(system, tmp_path):
    whole, cut = FILES["cups"](tmp_path / "whole.ckpt"), tmp_path / "cut.ckpt"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><p>Sign in</p>")
    (tmp_path / "empty.pth").touch()
    for checkpoint, said in (
        (cut, r"cut.ckpt is cut off after [\d,]+ bytes, .*; download it again"),
        (tmp_path / "page.pth", "page.pth is no PyTorch checkpoint: it begins with '<!DOCTYPE html><'.* download the file"),
        (tmp_path / "empty.pth", "empty.pth is no PyTorch checkpoint: it is empty"),
        (tmp_path / "none.ckpt", "There is no checkpoint at"),
        (tmp_path, "There is no checkpoint at"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=said) as caught:
            convert_cascade(system=system, checkpoint=checkpoint, output=tmp_path / "out")
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
