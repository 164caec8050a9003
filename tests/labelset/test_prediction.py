"""What a network predicts is a label set like any other, says what the network learned from, and survives a kill."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from mbps_dataset.errors import InputError, RecipeError
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.prediction import Prediction, predict_label_set
from mbps_dataset.labelset.status import build_status
from mbps_dataset.models.panoptic.record import NO_RECORD
from mbps_dataset.sources import FolderSource
from tests.models.panoptic.test_record import RECORD
from tests.tiny import write_photographs
from tests.training.panoptic.tiny_network import TinyConfig, TinyPanoptic


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, 5)
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return folder


def network() -> TinyPanoptic:
    torch.manual_seed(0)
    made = TinyPanoptic().eval()
    made.record = RECORD
    return made


def predicted(photographs: Path, **changes) -> Prediction:
    return replace(Prediction(network(), "weights/w", "a" * 64, FolderSource(photographs)), **changes)


def rows(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "data").glob("*.parquet"))}


def test_rows_hold_what_the_network_found(photographs, tmp_path) -> None:
    done = predict_label_set(predicted(photographs), tmp_path / "p", progress=False)
    assert done.rows == 5 and [failure.image_id for failure in done.failures] == ["torn"]
    built = LabelSetFolder(tmp_path / "p")
    assert built.row_count("train") == 5 and built.calibration.things == (1,)
    for row, frame in zip(built.rows("train"), FolderSource(photographs).frames("train")):
        pixels = torch.from_numpy(frame.image().transpose(2, 0, 1).copy())[None].float() / 255
        panoptic = network().predict(pixels)[0].panoptic
        assert row.image_id == frame.image_id and np.array_equal(row.image, frame.image())
        assert np.array_equal(row.panoptic, panoptic.segment_map) and np.array_equal(
            row.semantic, panoptic.semantic(255)
        )
        assert [s["category_id"] for s in row.segments] == [s.class_id for s in panoptic.segments]
        assert not row.depth.any()
    loaded = datasets.load_dataset(str(tmp_path / "p"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["segments_info"].feature["category_id"].names == ["road", "car", "sky"]
    assert "preview" in loaded.column_names


def test_class_maps_of_more_than_254_classes_have_16_bits(photographs, tmp_path) -> None:
    torch.manual_seed(0)
    names = tuple(f"class {number}" for number in range(600))
    many = TinyPanoptic(TinyConfig(class_names=names, thing_ids=(599,))).eval()
    with torch.no_grad():
        many.classes.bias[256:] += 1.0
    predict_label_set(predicted(photographs, network=many, limit=2), tmp_path / "p", progress=False)
    for row in LabelSetFolder(tmp_path / "p").rows("train"):
        class_of = np.full(row.panoptic.max() + 1, 65_535)
        class_of[[s["id"] for s in row.segments]] = [s["category_id"] for s in row.segments]
        assert class_of[1:].max() > 255 and np.array_equal(row.semantic, class_of[row.panoptic])


def test_the_document_and_the_card_say_what_the_weights_learned_from(photographs, tmp_path) -> None:
    predict_label_set(predicted(photographs), tmp_path / "p", progress=False)
    document, card = LabelSetFolder(tmp_path / "p").document, (tmp_path / "p/README.md").read_text()
    assert document["predicted"]["learned_from"]["identity"] == RECORD.learned_from.identity
    assert document["digests"]["weights"] == {"panoptic": "a" * 64} and document["ground_truth_used"] == []
    assert f"`sha256:{RECORD.learned_from.identity}`" in card and f"weights `sha256:{'a' * 64}`" in card
    assert "predicts no depth" in card and "without a single human label" in card and "depth-estimation" not in card
    assert "Semantic, instance and panoptic maps of 5 images" in card and "0 everywhere in this set" in card


def test_ground_truth_is_never_forgotten(photographs, tmp_path) -> None:
    with_truth, without = network(), network()
    with_truth.record = replace(
        RECORD, learned_from=replace(RECORD.learned_from, ground_truth_used=("cluster names",))
    )
    without.record = None
    for name, made, used in (("a", with_truth, "cluster names"), ("b", without, NO_RECORD)):
        predict_label_set(predicted(photographs, network=made), tmp_path / name, progress=False)
        assert LabelSetFolder(tmp_path / name).document["ground_truth_used"] == [used]
        assert "without a single human label" not in (tmp_path / name / "README.md").read_text()


class Killed(BaseException):
    """Plays the kill."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_prediction_goes_on(photographs, tmp_path, monkeypatch, after) -> None:
    monkeypatch.setattr("mbps_dataset.labelset.prediction.ROWS_PER_FILE", 2)
    predict_label_set(predicted(photographs), tmp_path / "whole", progress=False)
    dying, count = network(), 0
    predict = dying.predict

    def until(images):
        nonlocal count
        count += 1
        if count > after:
            raise Killed
        return predict(images)

    monkeypatch.setattr(dying, "predict", until)
    with pytest.raises(Killed):
        predict_label_set(predicted(photographs, network=dying), tmp_path / "p", workers=1, progress=False)
    assert not (tmp_path / "p/labelset.json").exists() and len(rows(tmp_path / "p")) == after // 2
    for look in (LabelSetFolder, build_status):
        with pytest.raises(
            InputError, match="p holds a prediction that is unfinished; the same `mbps predict` continues it"
        ):
            look(tmp_path / "p")
    done = predict_label_set(predicted(photographs), tmp_path / "p", workers=2, progress=False)
    assert done.rows == 5 and rows(tmp_path / "p") == rows(tmp_path / "whole")


def test_a_finished_set_is_left_as_it_is(photographs, tmp_path, monkeypatch) -> None:
    good = tmp_path / "good"
    shutil.copytree(photographs, good, ignore=shutil.ignore_patterns("torn*"))
    predict_label_set(predicted(good), tmp_path / "p", progress=False)
    shutil.rmtree(tmp_path / "p/stages")
    before = rows(tmp_path / "p")
    monkeypatch.setattr(TinyPanoptic, "predict", lambda *_: pytest.fail("an image was predicted again"))
    assert predict_label_set(predicted(good), tmp_path / "p", progress=False).rows == 5
    assert rows(tmp_path / "p") == before


def test_what_a_folder_may_hold(photographs, tmp_path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("a")
    with pytest.raises(InputError, match="full is not empty and holds no label set; choose an empty folder"):
        predict_label_set(predicted(photographs), tmp_path / "full", progress=False)
    predict_label_set(predicted(photographs), tmp_path / "p", progress=False)
    other = predicted(photographs, digest="b" * 64)
    with pytest.raises(RecipeError, match="p holds another label set"):
        predict_label_set(other, tmp_path / "p", progress=False)
    predict_label_set(other, tmp_path / "p", overwrite=True, progress=False)
    assert LabelSetFolder(tmp_path / "p").document["predicted"]["weights"] == "b" * 64


def test_what_cannot_be_predicted(photographs, tmp_path) -> None:
    with pytest.raises(InputError, match="--name names folders, but"):
        predicted(photographs, name="a/b")
    with pytest.raises(InputError, match="limit must be at least 1, but is 0"):
        predicted(photographs, limit=0)
    with pytest.raises(InputError, match="test"):
        predicted(photographs, splits=("test",))
    (tmp_path / "torn").mkdir()
    shutil.copy(photographs / "torn.png", tmp_path / "torn")
    with pytest.raises(InputError, match="Not one image could be labelled: .*torn.png: damaged"):
        predict_label_set(predicted(tmp_path / "torn"), tmp_path / "p", progress=False)
