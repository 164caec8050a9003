"""The recipe `cups` from rendered stereo video to rows, with small networks of its own classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mbps_dataset import cli
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelling.stage_depth import DEPTH
from mbps_dataset.labelling.stage_pseudo_classes import PSEUDO_CLASSES
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.document_file import intact_document
from mbps_dataset.labelset.parquet_files import read_rows
from mbps_dataset.models.depthg import DepthGSegmenter
from mbps_dataset.models.raft import RaftFlow
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.records import decode
from mbps_dataset.resizing import resize_nearest
from mbps_dataset.sources import ScenesSource
from mbps_dataset.stages.depth_guided_semantics import (
    fuse_resolutions,
    high_resolution_codes,
    image_for_crf,
    low_resolution_codes,
    sharpen,
)
from mbps_dataset.stages.network_pixels import network_pixels
from mbps_dataset.store import Store
from tests.labelling.stereo_streets import STREETS
from tests.models.depthg.depthg_weights import published_checkpoint, published_tensors, tiny_network
from tests.models.raft.published_weights import TINY


SMALL = ("semantics.short_side=192", "semantics.crop=96", "semantics.stride=48", "flow.short_side=none",
         "instances.short_side=192", "motion.runs=2")  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[str, ...]:
    """Settings with both networks, DepthG converted from a checkpoint as a user does it."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint = published_checkpoint(folder / "depthg.ckpt", published_tensors(tiny_network()))
    assert cli.main(["convert", "depthg", "--checkpoint", str(checkpoint), "--output", str(folder / "depthg")]) == 0
    torch.manual_seed(0)
    RaftFlow(TINY).save_pretrained(folder / "raft")
    return f"semantics.weights={folder / 'depthg'}", f"flow.weights={folder / 'raft'}"


def built(folder: Path, *settings: str, limit: int | None = None) -> tuple[Labelling, dict, list]:
    """A label set of rendered streets with its document and its decoded rows."""
    recipe = get_recipe("cups").with_settings([*SMALL, *settings])
    label_set = Labelling(recipe, ScenesSource(**STREETS), Store(folder / "stages"), limit=limit)
    build(label_set, folder / "set", workers=1, progress=False)
    rows = [decode(row) for path in sorted((folder / "set/data").glob("*.parquet")) for row in read_rows(path, None)]
    return label_set, intact_document(folder / "set/labelset.json"), rows


def test_a_set_is_built_and_its_labels_are_those_of_the_equations(tmp_path, weights):
    label_set, document, rows = built(tmp_path, *weights, limit=1)
    assert len(rows) == 1 and not document["failures"] and document["ground_truth_used"] == []
    assert {"depthg", "raft"} <= document["digests"]["weights"].keys()
    assert document["supervision"]["DepthG head and cluster probe"].startswith("self-supervised, as published")
    assert document["supervision"]["flow network"] == "none: random" and "CAUSE" not in str(document["supervision"])
    assert sum(document["motion"]["train"]["reasons"].values()) == 1  # this flow is noise
    network = DepthGSegmenter.from_pretrained(label_set.recipe.semantics.weights).requires_grad_(False)
    for frame, row in zip(label_set.frames("train"), rows):
        visit = label_set.calibrated_run().visit(frame)
        pixels, depth = network_pixels(visit.image), visit.result(DEPTH)["depth"]
        assert (depth == 0).any() and (depth > 0).any()
        windows = high_resolution_codes(network, pixels, window=(96, 96), stride=(48, 48))
        codes = low_resolution_codes(network, pixels), windows
        low, high = (each.merged(network.probe.log_probs) for each in codes)
        fused = fuse_resolutions(low, high, torch.from_numpy(depth))
        found = visit.result(PSEUDO_CLASSES)["labels"]
        expected = sharpen(fused, image_for_crf(pixels, truncate=True)).argmax(0).numpy()
        assert (found == expected).mean() > 0.999  # rounding decides ties
        np.testing.assert_array_equal(row.semantic, resize_nearest(found, *row.semantic.shape))


def test_what_moves_is_an_instance_of_one_class_and_other_pixels_of_things_keep_theirs(tmp_path, weights):
    pytest.importorskip("cv2", reason="OpenCV is not installed (pip install 'mbps-dataset[motion]')")
    _, document, rows = built(tmp_path, *weights, "flow.method=opencv", "crf.enabled=false", "motion.bottom=0")
    things, instances = document["calibration"]["things"], 0
    assert things and document["motion"]["train"]["objects"] >= 1
    for row in rows:
        for segment in row.segments:
            assert set(row.semantic[row.panoptic == segment["id"]]) == {segment["category_id"]}
            assert segment["isthing"] == (segment["category_id"] in things)
            instances += segment["isthing"]
        assert not np.isin(row.semantic, (*things, 255))[row.panoptic > 0][row.instance[row.panoptic > 0] == 0].any()
    assert instances >= 1
    left_over = [np.isin(row.semantic, things) & (row.panoptic == 0) for row in rows]
    assert any(each.any() for each in left_over)  # void in the panoptic map, of their class in the semantic one


def test_missing_networks_are_told_together_before_anything_runs(tmp_path, capsys):
    asked = ["build", "--recipe", "cups", "--source", "scenes", "--limit", "1", "--output", str(tmp_path / "out")]
    assert cli.main(asked) == 1
    said = capsys.readouterr().err
    assert "2 networks of the recipe cups are missing" in said and not (tmp_path / "out").exists()
    for setting, command in (("semantics.weights", "mbps convert depthg"), ("flow.weights", "mbps convert smurf")):
        assert any(setting in line and command in line for line in said.splitlines())
