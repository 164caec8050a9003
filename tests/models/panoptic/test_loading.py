from __future__ import annotations

import json

import pytest

from mbps_dataset.errors import WeightsError
from mbps_dataset.models import networks
from mbps_dataset.models.cascade.convert import convert_cascade
from mbps_dataset.models.panoptic import loading
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from mbps_dataset.models.panoptic.loading import load_panoptic, panoptic_digest
from mbps_dataset.models.panoptic.mask2former import Mask2FormerPanopticConfig
from tests.models.cascade.published_files import detectron2_file, lightning_file


DENSE = DensePanoptic(
    DenseConfig(class_names=("road", "car"), thing_ids=(1,), widths=(4,) * 5, blocks=(1,) * 4, decoder_width=4)
)


def test_a_folder_is_opened_by_what_its_configuration_says(tmp_path):
    DENSE.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["network"] == "dense"
    opened = load_panoptic(tmp_path)
    assert isinstance(opened, DensePanoptic) and opened.config == DENSE.config and not opened.training


def test_a_hub_id_is_opened_from_where_it_was_downloaded_to(tmp_path, monkeypatch):
    DENSE.save_pretrained(tmp_path)
    monkeypatch.setattr("mbps_dataset.models.hub_weights.cached", lambda hub_id: {"org/dense": tmp_path}.get(hub_id))
    assert load_panoptic("org/dense").config == DENSE.config

    def offline(hub_id: str) -> None:
        raise WeightsError("is not there")

    monkeypatch.setattr("mbps_dataset.models.hub_weights.download", offline)
    with pytest.raises(WeightsError, match=r"^org/other is not there\.$"):
        load_panoptic("org/other")


def test_other_networks_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"config.json does not name its network.*`mbps train panoptic`.*dense"):
        load_panoptic(networks.WEIGHTS_ROOT / "spidepth")
    (tmp_path / "config.json").write_text('{"network": ["u"]}')
    with pytest.raises(WeightsError, match=r"names the network \['u'\], which is no panoptic network"):
        load_panoptic(tmp_path)


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="has no config.json"):
        load_panoptic(tmp_path)
    with pytest.raises(WeightsError, match=r"is neither a folder nor a Hub id \(org/name\); .* `mbps convert` wrote"):
        load_panoptic(tmp_path / "nowhere")


def test_a_published_file_is_told_how_it_becomes_a_folder(tmp_path):
    file = lightning_file(tmp_path / "cups.ckpt")
    with pytest.raises(
        WeightsError, match=rf"{file} is a file. .*`mbps convert cups` .*--checkpoint {file} --output FOLDER"
    ):
        load_panoptic(file)


@pytest.mark.parametrize("system", ["cups", "u2seg", "cutler", "cuvler"])
def test_converted_weights_that_are_cut_off_or_of_other_classes_are_refused(system, tmp_path):
    """The weights of one network beside the configuration of another are no network of either."""
    detector = system in ("cutler", "cuvler")
    file = (
        lightning_file(tmp_path / "x")
        if system == "cups"
        else detectron2_file(tmp_path / "x", stuff=2 * (not detector))
    )
    convert_cascade(system=system, checkpoint=file, output=tmp_path / "own")
    convert_cascade(
        system="u2seg", checkpoint=detectron2_file(tmp_path / "y", stuff=3, things=4), output=tmp_path / "other"
    )
    weights = tmp_path / "own/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes((tmp_path / "other/model.safetensors").read_bytes())
    with pytest.raises(WeightsError) as caught:
        load_panoptic(tmp_path / "own")
    said = str(caught.value)
    assert said.startswith(f"{weights} does not fit CascadeMaskRCNN as its config.json describes it:")
    assert "roi_heads.box_predictor.0.cls_score.weight is [5, 24], expected" in said
    assert said.endswith("A configuration that would fit: the config.json written with this file.")
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        WeightsError, match="model.safetensors is not a readable safetensors file .*; download it again"
    ):
        load_panoptic(tmp_path / "own")


def test_sizes_that_make_no_network_are_a_fault_of_the_folder(tmp_path):
    DENSE.save_pretrained(tmp_path)
    values = {
        "network": "mask2former",
        "class_names": ["road"],
        "backbone": {"model_type": "swin", "patch_size": 0},
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(WeightsError, match="config.json cannot be used: backbone and sizes make no network: .*zero"):
        load_panoptic(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values | {"backbone": {"model_type": "bert"}}))
    with pytest.raises(WeightsError, match="config.json cannot be used: backbone must have a model_type"):
        load_panoptic(tmp_path)


def test_every_kind_says_its_own_name():
    for kind, config_class in {"dense": DenseConfig, "mask2former": Mask2FormerPanopticConfig}.items():
        assert kind in loading.LOADERS and config_class(class_names=("road",)).network == kind


def test_the_network_that_ships_learned_from_no_label() -> None:
    network = load_panoptic("builtin")
    assert network.record is not None and network.record.learned_from.ground_truth_used == ()
    assert network.record.learned_from.recipe == "demo-motion" and len(network.class_names) == 27
    folder = networks.WEIGHTS_ROOT / "panoptic"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8_000_000
    assert panoptic_digest("builtin") == panoptic_digest(folder)
