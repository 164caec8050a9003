"""Scoring a built label set."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset import records, taxonomy
from mbps_dataset.built import BuiltLabelSet
from mbps_dataset.errors import InputError
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.scoring import _crowd_regions, _update, score
from mbps_dataset.sources import ScenesSource, Truth


def perfect_row(truth: Truth) -> records.DecodedRow:
    """A row that says exactly what the truth says."""
    semantic = taxonomy.LABEL_ID_TO_TRAIN_ID[truth.label_ids]
    keys = np.where(truth.instance_ids >= 1000, truth.instance_ids, semantic.astype(np.int64))
    keys[semantic == 255] = -1
    panoptic = np.zeros(semantic.shape, np.uint16)
    instance = np.zeros(semantic.shape, np.uint16)
    segments = []
    for number, key in enumerate([k for k in np.unique(keys) if k >= 0], start=1):
        mask = keys == key
        panoptic[mask] = number
        thing = bool(key >= 1000)
        if thing:
            instance[mask] = instance.max() + 1
        segments.append({"id": number, "category_id": int(semantic[mask][0]), "isthing": thing})
    return records.DecodedRow("a", None, semantic, np.ones(semantic.shape, np.float32), instance, panoptic, segments)


def test_truth_scores_one_against_itself():
    truth = ScenesSource(train=1, validation=0, height=128, width=256).frames("train")[0].truth()
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19)
    _update(metric, perfect_row(truth), truth, 255, "a")
    result = metric.compute()
    assert result.pq == result.sq == result.rq == result.miou == 1.0


def test_groups_are_crowds_not_instances():
    semantic = np.array([[13, 13, 11, 0]], np.uint8)
    crowd = _crowd_regions(semantic, np.array([[True, False, True, False]]))
    assert crowd.tolist() == [[14, 0, 12, 0]]


def test_a_built_set_is_scored_and_unnamed_clusters_are_matched(built):
    scored = score(built, splits=built.splits)
    assert scored.images == 5 and scored.result.matching == "hungarian" and not scored.skipped
    assert 0 < scored.result.pq < 1
    assert set(scored.to_dict()["per_class"]) == set(range(19)) or set(scored.to_dict()["per_class"]) == {
        str(k) for k in range(19)
    }
    json.dumps(scored.to_dict())
    assert f"{100 * scored.result.pq:.2f}" in scored.table()


def test_conventions_are_named(built):
    assert "convention cups" in score(built, splits=("validation",), convention="cups").table()


def test_no_truth_is_an_error_that_says_where_it_is_needed(built, tmp_path: Path):
    shutil.copytree(built.root, tmp_path / "set")
    photos = tmp_path / "photos"
    photos.mkdir()
    ScenesSource(train=1, validation=0, height=64, width=128).frames("train")[0]
    (photos / "a.png").write_bytes(
        ScenesSource(train=1, validation=0, height=64, width=128).frames("train")[0].image_bytes()
    )
    document = dict(built.document, source={"name": "folder", "data_dir": str(photos)}, splits=["train"])
    (tmp_path / "set/labelset.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="no row of train has ground truth"):
        score(BuiltLabelSet(tmp_path / "set"), splits=("train",))


def test_rows_at_working_size_are_brought_to_the_size_of_the_truth():
    truth = ScenesSource(train=1, validation=0, height=128, width=256).frames("train")[0].truth()
    full = perfect_row(truth)
    half = replace(full, **{k: getattr(full, k)[1::2, 1::2] for k in ("semantic", "instance", "panoptic", "depth")})
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19)
    _update(metric, half, truth, 255, "a")
    assert 0.4 < metric.compute().pq < 1
