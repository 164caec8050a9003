"""Parquet files: how rows are spread, whole or not at all, and recognised again."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.stage_row import row_digest
from mbps_dataset.labelset.build import build
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.shards import finished_note, plan, read_note, write_shard
from mbps_dataset.records import features
from tests.tiny import tiny_label_set


@pytest.fixture(scope="module")
def whole(inputs, settings, tmp_path_factory):
    """The set built at once: six rows in two files."""
    output = tmp_path_factory.mktemp("whole") / "set"
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    return output


def contents(root):
    return {path.name: path.read_bytes() for path in sorted((root / "data").iterdir())}


@given(total=st.integers(0, 300), size=st.integers(1, 70), shards=st.none() | st.integers(1, 400))
def test_every_image_is_in_one_file_and_in_order(total, size, shards):
    recipe = SimpleNamespace(output=SimpleNamespace(rows_per_shard=size))
    planned = plan(SimpleNamespace(recipe=recipe, splits=("train",), frames=lambda _: range(total)), shards)
    assert [i for shard in planned for i in shard.indices] == list(range(total))
    lengths = [len(shard.indices) for shard in planned]
    assert max(lengths) - min(lengths) <= 1 and (total == 0 or min(lengths) > 0)
    assert len(planned) <= shards if shards else max(lengths) <= size


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_shards_by_separate_builds_are_the_bytes_of_one_build(inputs, settings, whole, tmp_path, order):
    for number, index in enumerate(order):
        label_set = tiny_label_set(inputs, tmp_path / "stages", settings)
        result = build(label_set, tmp_path, workers=1, progress=False, shard=(index, 2))
        assert result.finished == (number == 1) and result.rows == (6 if result.finished else 3)
        assert (tmp_path / "labelset.json").exists() == result.finished
    assert contents(tmp_path) == contents(whole)
    assert (tmp_path / "labelset.json").read_bytes() == (whole / "labelset.json").read_bytes()


def test_the_digest_of_rows_does_not_see_files(inputs, settings, whole, tmp_path):
    build(tiny_label_set(inputs, tmp_path / "stages", settings), tmp_path, workers=1, progress=False, shard=(2, 5))
    assert len(contents(tmp_path)) == 1
    result = build(tiny_label_set(inputs, tmp_path / "stages", settings), tmp_path, workers=1, progress=False)
    assert result.finished and len(contents(tmp_path)) == 5
    ours, theirs = LabelSetFolder(tmp_path).document, LabelSetFolder(whole).document
    assert ours["digests"] == theirs["digests"] and ours["identity"] == theirs["identity"]
    assert ours["files"] != theirs["files"]


def test_more_shards_than_images(inputs, settings, tmp_path):
    label_set = tiny_label_set(inputs, tmp_path / "stages", settings, limit=2)
    assert build(label_set, tmp_path, workers=1, progress=False, shard=(3, 4)).rows == 0
    assert build(label_set, tmp_path, workers=1, progress=False).rows == 2
    assert len(contents(tmp_path)) == 2


def test_a_shard_that_does_not_exist(inputs, settings, tmp_path):
    with pytest.raises(InputError, match="no shard 4 of 4; shards are counted from 0 to 3"):
        build(tiny_label_set(inputs, tmp_path / "stages", settings), tmp_path, shard=(4, 4))


def test_a_failing_row_leaves_no_file(inputs, settings, tmp_path):
    label_set = tiny_label_set(inputs, tmp_path / "stages", settings)
    label_set.prepare(worker_count=1, progress=False, isolate=False)
    shard = plan(label_set)[0]

    def rows():
        yield from (row for _, row in label_set.rows("train", [0, 1]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(label_set.store, tmp_path, shard, rows(), features(label_set.class_names), "identity")
    assert list((tmp_path / "data").iterdir()) == [] and read_note(label_set.store, shard, "identity") is None


def test_notes_are_made_again_only_if_the_document_vouches(inputs, settings, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "set")
    label_set = tiny_label_set(inputs, tmp_path / "set/stages", settings)
    identity, shard = label_set.identity, plan(label_set)[0]
    note = read_note(label_set.store, shard, identity)
    shutil.rmtree(tmp_path / "set/stages/shards")
    assert finished_note(label_set.store, tmp_path / "set", shard, identity, {}) is None
    vouched = LabelSetFolder(whole).document["files"]
    assert finished_note(label_set.store, tmp_path / "set", shard, identity, vouched) == note
    assert finished_note(label_set.store, tmp_path / "set", shard, "another", {}) is None


def test_row_groups_are_small_and_digests_survive_parquet(inputs, settings, whole):
    label_set = tiny_label_set(inputs, whole / "stages", settings)
    made = [row for _, row in label_set.rows("train", range(3))]
    path = whole / "data/train-00000-of-00002.parquet"
    assert [row_digest(row) for row in parquet.read_table(path).to_pylist()] == [row_digest(row) for row in made]
    changed = made[0] | {"depth_scale": made[0]["depth_scale"] * 2}
    assert row_digest(changed) != row_digest(made[0])
