"""`mbps predict` writes a label set that the other commands take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mbps_dataset.cli import main
from mbps_dataset.hub.release import prepare
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from mbps_dataset.models.panoptic.loading import panoptic_digest
from mbps_dataset.taxonomy import NAMES_19, THINGS_19
from tests.models.panoptic.test_record import RECORD


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = DensePanoptic(DenseConfig(
        class_names=NAMES_19, thing_ids=tuple(sorted(THINGS_19)), widths=(4, 4, 4, 4, 4), decoder_width=4, min_stuff_area=1,
        min_thing_area=1,
    ))  # fmt: skip
    network.record = RECORD
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scenes(weights, tmp_path_factory) -> Path:
    """Predictions of two rendered scenes."""
    from mbps_dataset.sources.rendered import ScenesSource

    output = tmp_path_factory.mktemp("predicted") / "set"
    patch = pytest.MonkeyPatch()
    patch.setattr(ScenesSource.__init__, "__defaults__", (1, 1, 64, 128, *ScenesSource.__init__.__defaults__[4:]))
    command = ["predict", "--weights", str(weights), "--source", "scenes", "--device", "cpu", "--quiet"]
    assert main([*command, "--output", str(output)]) == 0
    patch.undo()
    return output


def test_the_set_names_the_weights(scenes, weights) -> None:
    built = LabelSetFolder(scenes)
    assert built.document["digests"]["weights"]["panoptic"] == panoptic_digest(weights)
    assert {split: built.row_count(split) for split in built.splits} == {"train": 1, "validation": 1}
    assert built.document["source"]["height"] == 64


def test_other_commands_take_it(scenes, capsys, tmp_path) -> None:
    assert main(["info", str(scenes)]) == 0
    assert (
        "predicted by a panoptic network (DensePanoptic), which learned from labels of the recipe demo"
        in capsys.readouterr().out
    )
    assert main(["eval", str(scenes), "--quiet"]) == 0
    assert "PQ" in capsys.readouterr().out
    assert main(["preview", str(scenes), "--images", "1", "--quiet"]) == 0
    assert (scenes / "report.html").is_file()
    assert main(["export", str(scenes), str(tmp_path / "coco"), "--format", "coco-panoptic", "--quiet"]) == 0
    release = prepare(LabelSetFolder(scenes), "v1.0.0", tmp_path / "release")
    assert release.document["predicted"]["learned_from"]["images"] == 8
    assert str(scenes.parent) not in json.dumps(release.document)


@pytest.mark.parametrize(("more", "said"), [
    ([], "Give the images to label: --data-dir FOLDER, or --source scenes"),
    (["--source", "scenes", "--weights", "no/where/else"], "is neither a folder nor a Hub id"),
    (["--source", "scenes", "--set", "croq=1"], "Unknown setting 'croq'; write SETTING=VALUE with one of widths"),
    (["--source", "scenes", "--set", "widths=9,9,9,9,9"], "The weights do not fit these settings (widths):"),
    (["--source", "scenes", "--name", "a/b"], "--name names folders"),
    (["--source", "scenes", "--short-side", "800"], "--short-side is about --detections; for a label set give --set short_side"),
])  # fmt: skip
def test_what_cannot_be(weights, more, said, tmp_path, capsys) -> None:
    assert main(["predict", "--weights", str(weights), "--output", str(tmp_path / "p"), *more]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "p").exists()


def test_weights_without_a_record_are_not_called_label_free(weights, tmp_path, capsys) -> None:
    from tests.tiny import write_photographs

    write_photographs(tmp_path / "photos", 1)
    network = DensePanoptic.from_pretrained(weights)
    network.save_pretrained(tmp_path / "w")
    command = ["predict", "--weights", str(tmp_path / "w"), "--data-dir", str(tmp_path / "photos"), "--without-images"]
    assert main([*command, "--output", str(tmp_path / "p"), "--quiet", "--device", "cpu"]) == 0
    assert "has no record of what it learned from" in capsys.readouterr().err
    built = LabelSetFolder(tmp_path / "p")
    assert built.document["ground_truth_used"] and next(iter(built.rows("train"))).image is None


def test_thresholds_can_be_changed_and_are_part_of_the_set(weights, tmp_path) -> None:
    from tests.tiny import write_photographs

    write_photographs(tmp_path / "photos", 1)
    command = [
        "predict",
        "--weights",
        str(weights),
        "--data-dir",
        str(tmp_path / "photos"),
        "--quiet",
        "--device",
        "cpu",
    ]
    assert main([*command, "--output", str(tmp_path / "plain")]) == 0
    assert main([*command, "--output", str(tmp_path / "other"), "--set", "min_stuff_area=7000"]) == 0
    plain, other = (LabelSetFolder(tmp_path / name) for name in ("plain", "other"))
    assert plain.document["identity"] != other.document["identity"]
    assert other.document["recipe"]["settings"]["network"]["min_stuff_area"] == 7000
    assert plain.document["ground_truth_used"] == other.document["ground_truth_used"] == []
    found = [sum(s["area"] for s in next(iter(each.rows("train"))).segments) for each in (plain, other)]
    assert found[1] < found[0]
    assert main([*command, "--output", str(tmp_path / "plain"), "--set", "min_stuff_area=7000"]) == 1


@pytest.mark.parametrize(("more", "said"), [
    (["--name", "other"], "--name and --without-images are about a label set; leave them out"),
    (["--without-images"], "--name and --without-images are about a label set; leave them out"),
    ([], "is a DensePanoptic; --detections needs a Cascade Mask R-CNN"),
])  # fmt: skip
def test_detections_that_cannot_be(weights, more, said, tmp_path, capsys) -> None:
    command = ["predict", "--weights", str(weights), "--source", "scenes", "--detections", str(tmp_path / "d.json")]
    assert main([*command, *more]) == 1
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_images_that_no_detection_could_be_made_in_are_named(tmp_path, capsys) -> None:
    from tests.models.cascade.tiny_network import tiny_network
    from tests.tiny import write_photographs

    write_photographs(tmp_path / "photos", 2)
    (tmp_path / "photos/photo_001.png").write_bytes(b"cut off")
    tiny_network().save_pretrained(tmp_path / "w")
    command = [
        "predict",
        "--weights",
        str(tmp_path / "w"),
        "--data-dir",
        str(tmp_path / "photos"),
        "--device",
        "cpu",
        "--quiet",
    ]
    assert main([*command, "--detections", str(tmp_path / "d.json")]) == 3
    said = capsys.readouterr()
    assert (
        "in 1 image, looked at in own size" in said.out
        and "photo_001.png: not a PNG" in said.err.split("  left out: ")[1]
    )
