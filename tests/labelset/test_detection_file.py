"""What a cascade detects, written as `detections.files` reads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError, RecipeError, WeightsError
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.detection_file import Detecting, parse_scale, write_detections
from mbps_dataset.labelset.document import restricted_weights
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.prediction import Prediction
from mbps_dataset.models.cascade import CascadeMaskRCNN
from mbps_dataset.models.cascade.preprocessing import network_size, resized_images
from mbps_dataset.models.panoptic.dense import DenseConfig, DensePanoptic
from mbps_dataset.models.panoptic.record import NO_RECORD
from mbps_dataset.sources import open_source
from mbps_dataset.sources.detections import read_detections
from mbps_dataset.stages.instances import Instances, merge_detections
from tests.models.cascade.tiny_network import TINY, tiny_network
from tests.tiny import tiny_label_set, tiny_settings, write_photographs


DETECTOR = dataclasses.replace(
    TINY, class_names=("object",), thing_ids=(0,), short_side=64, longest_side=80, box_score=0.02, detections=12,
    supervision="self-supervised: nothing but noise", licence="CC BY-NC-SA 4.0: not for commercial use", label_free=True,
)  # fmt: skip


@pytest.fixture
def network() -> CascadeMaskRCNN:
    return tiny_network(DETECTOR)


@pytest.fixture
def photos(tmp_path) -> Path:
    write_photographs(tmp_path / "photos", 3)
    return tmp_path / "photos"


def prediction(network, photos: Path, **changes) -> Prediction:
    return Prediction(network, "weights/w", "d" * 64, open_source("folder", data_dir=str(photos)), **changes)


def found_by(network: CascadeMaskRCNN, frame, short: int, longest: int) -> Instances:
    image = torch.from_numpy(frame.image().transpose(2, 0, 1).copy())[None].float() / 255
    own = (image.shape[2], image.shape[3])
    size = network_size(*own, short_side=short, longest_side=longest)
    found = network.find(resized_images(image, size), own)[0].instances
    return found.select(found.areas > 0)


def assert_same(a: Instances, b: Instances) -> None:
    assert np.array_equal(a.masks(), b.masks()) and a.scores.tolist() == b.scores.tolist()


def test_what_is_written_is_read_back(network, photos, tmp_path) -> None:
    detecting = Detecting(prediction(network, photos))
    path = tmp_path / "d.json"
    written = write_detections(detecting, path, workers=1, progress=False)
    frames = detecting.frames
    read = read_detections(path, [frame.image_id for frame in frames])
    count = 0
    for frame in frames:
        expected = found_by(network, frame, 64, 80)
        assert len(expected) > 1
        assert_same(read.instances(frame.image_id, expected.shape), expected)
        count += len(expected)
    assert (written.images, written.detections, written.failures) == (3, count, ())
    document = json.loads(path.read_text())
    assert document["categories"] == [{"id": 1, "name": "object"}]
    first = document["annotations"][0]
    assert first["category_id"] == 1 and first["bbox"] == found_by(network, frames[0], 64, 80).boxes()[0].tolist()
    assert document["images"][2] == {"id": 3, "file_name": frames[2].image_id, "height": 64, "width": 96}
    assert document["info"]["weights"] == "d" * 64 and "CC BY-NC-SA" in document["info"]["supervision"]
    assert not (tmp_path / "d.json.images").exists()


def test_several_short_sides_are_joined(network, photos, tmp_path) -> None:
    detecting = Detecting(prediction(network, photos), ("64", "96", "112x150"))
    assert [str(scale) for scale in detecting.scales] == ["64x80", "96", "112x150"]
    path = tmp_path / "d.json"
    write_detections(detecting, path, workers=1, progress=False)
    read = read_detections(path, [frame.image_id for frame in detecting.frames])
    for frame in detecting.frames:
        parts = [found_by(network, frame, short, longest) for short, longest in ((64, 80), (96, 144), (112, 150))]
        joined = merge_detections(parts, max_iou=0.3)
        assert 0 < len(joined) < sum(map(len, parts))
        assert_same(read.instances(frame.image_id, joined.shape), joined)


def test_the_same_command_goes_on(network, photos, tmp_path, monkeypatch) -> None:
    plain = tmp_path / "plain.json"
    write_detections(Detecting(prediction(network, photos)), plain, workers=1, progress=False)
    path, looked_at = tmp_path / "d.json", []
    find = CascadeMaskRCNN.find

    def counted(self, *arguments):
        looked_at.append(1)
        if len(looked_at) == 3:
            raise RecipeError("the power went off")
        return find(self, *arguments)

    monkeypatch.setattr(CascadeMaskRCNN, "find", counted)
    with pytest.raises(RecipeError, match="the power went off"):
        write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert not path.exists()
    write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert len(looked_at) == 4 and path.read_bytes() == plain.read_bytes()
    again = write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert len(looked_at) == 4 and again.images == 3 and again.detections > 0


def test_an_image_that_cannot_be_read_is_left_out_until_it_can(network, photos, tmp_path) -> None:
    whole = sorted(photos.iterdir())[1]
    data, path = whole.read_bytes(), tmp_path / "d.json"
    whole.write_bytes(data[:60])
    done = write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert done.images == 2 and [failure.image_id for failure in done.failures] == ["photo_001"]
    assert json.loads(path.read_text())["not_read"] == ["photo_001"]
    whole.write_bytes(data)
    done = write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert done.images == 3 and done.failures == () and json.loads(path.read_text())["not_read"] == []
    Image.new("RGB", (96, 64)).save(whole)  # another picture under the old name
    with pytest.raises(RecipeError, match="holds something else"):
        write_detections(Detecting(prediction(network, photos)), path, workers=1, progress=False)
    assert write_detections(Detecting(prediction(network, photos)), path, workers=1, overwrite=True, progress=False)
    for each in photos.iterdir():
        each.write_bytes(data[:60])
    with pytest.raises(InputError, match="Not one image could be read: "):
        write_detections(Detecting(prediction(network, photos)), tmp_path / "n.json", workers=1, progress=False)


def test_what_cannot_be(network, photos, tmp_path) -> None:
    with pytest.raises(InputError, match=r"must be a .json file"):
        write_detections(Detecting(prediction(network, photos)), tmp_path / "d.txt", progress=False)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(RecipeError, match=r"holds something else .*--overwrite"):
        write_detections(Detecting(prediction(network, photos)), tmp_path / "other.json", progress=False)
    with pytest.raises(InputError, match="names a scale twice: 64x80, 64x80; leave one out"):
        Detecting(prediction(network, photos), ("64", "64x80"))
    dense = DensePanoptic(DenseConfig(class_names=("a", "b"), thing_ids=(1,), widths=(4,) * 5, decoder_width=4))
    with pytest.raises(WeightsError, match="weights/w is a DensePanoptic; --detections needs a Cascade Mask R-CNN"):
        Detecting(prediction(dense, photos))
    twice = Prediction(network, "w", "d", open_source("folder", data_dir=str(photos)), ("train", "train"))
    with pytest.raises(InputError, match="Two splits have images of the same id"):
        Detecting(twice)


@pytest.mark.parametrize(("text", "said"), [
    ("big", "must be pixels"), ("1x2x3", "must be pixels"), ("", "must be pixels"), ("8.5", "must be pixels"),
    ("0", "must be 1 to 16384"), ("16385", "must be 1 to 16384"), ("800x600", "not below it"),
])  # fmt: skip
def test_scales_that_cannot_be(text, said) -> None:
    with pytest.raises(InputError, match=said):
        parse_scale(text)


def test_scales() -> None:
    assert parse_scale("800") == (800, None) and parse_scale("800x1333") == (800, 1333)


def test_a_set_is_built_with_them_and_says_so(network, tmp_path, capsys) -> None:
    settings = tiny_settings(tmp_path, 2)
    network.save_pretrained(tmp_path / "w")
    file = tmp_path / "d.json"
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
    assert main([*command, "--detections", str(file), "--short-side", "64", "96"]) == 0
    said = capsys.readouterr()
    assert f"looked at in 64x80, 96: {file}" in said.out and said.err == ""
    settings += ["instances.method=detections", f"detections.files={file}", "things.ids=[0,1,2,3,4,5]"]

    def built(name: str) -> dict:
        labelled = tiny_label_set(tmp_path, tmp_path / name / "stages", settings)
        return LabelSetFolder(build(labelled, tmp_path / name, workers=1, progress=False).root).document

    document = built("set")
    assert document["supervision"]["detections of d.json"] == network.supervision
    assert "imported detections" not in document["supervision"]
    assert document["ground_truth_used"] == [] and document["counts"]["train"]["instances"] > 0
    assert restricted_weights(document) == (
        "Weights of this set have a licence that restricts its use, or none: detections of d.json (CC BY-NC-SA 4.0: not for commercial "
        "use). See whether you may publish it."
    )
    network.configure(label_free=False)
    network.save_pretrained(tmp_path / "w")
    assert main([*command, "--detections", str(file), "--overwrite"]) == 0
    assert built("other")["ground_truth_used"] == [NO_RECORD]
