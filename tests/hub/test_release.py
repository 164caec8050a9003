"""What a release consists of, without a Hub: checks, copies without images, public provenance and the quality table."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.parquet as parquet
import pytest

from mbps_dataset.errors import InputError, PublishError, StoreError
from mbps_dataset.hub import release
from mbps_dataset.hub.release_card import recipe_body
from mbps_dataset.labelset.document_file import write_document
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.labelset.public_document import public_document
from mbps_dataset.scoring.quality_table import QUALITY_FILE, quality_table
from tests.hub.label_sets import make_label_set


def changed(built: LabelSetFolder, **entries: object) -> LabelSetFolder:
    """The same set with other entries in its labelset.json."""
    write_document(built.root / "labelset.json", {**built.document, **entries})
    return LabelSetFolder(built.root)


def test_a_release_is_the_same_each_time_and_changes_with_a_label(tmp_path):
    built = make_label_set(tmp_path / "a/set")
    first = release.prepare(built, "v1.0.0", tmp_path / "one")
    again = release.prepare(built, "v1.0.0", tmp_path / "two")
    assert [(f.path, f.sha256) for f in first.files] == [(f.path, f.sha256) for f in again.files]
    other = release.prepare(make_label_set(tmp_path / "b/set", seed=1), "v1.0.0", tmp_path / "three")
    assert first.digest == again.digest != other.digest
    assert (first.version, replace(first, tag="x").tag) == ("1.0.0", "x")


def test_checksums_are_those_of_the_released_files_only(tmp_path):
    built = make_label_set(tmp_path / "set")
    listed = changed(built, files={"train-00000-of-00002.parquet": "digest of the file with images"})
    document = release.prepare(listed, "v1.0.0", tmp_path / "scratch").document
    assert "files" not in document and len(document["release"]["files"]) == 3


def test_only_named_files_of_the_folder_are_sent(tmp_path):
    built = make_label_set(tmp_path / "set")
    for name in ("report.html", "preview.png", "recipe.json", "stages/photo.bin", "data/notes.txt"):
        (built.root / name).parent.mkdir(exist_ok=True)
        (built.root / name).write_bytes(b"private")
    sent = release.prepare(built, "v1", tmp_path / "scratch").files
    assert sorted(file.path.split("/")[1] for file in sent if not file.path.endswith(".parquet")) == [
        "labelset.json", "preview.png"]  # fmt: skip
    assert not [
        f for f in sent if (f.content if isinstance(f.content, bytes) else f.content.read_bytes()) == b"private"
    ]


def test_row_groups_survive_the_removal_of_images(tmp_path):
    built = make_label_set(tmp_path / "set", rows_per_shard=3)
    source = built.files("train")[0]
    grouped = tmp_path / "grouped.parquet"
    parquet.write_table(parquet.read_table(source), grouped, row_group_size=2)
    release.write_without(["image"], grouped, tmp_path / "labels.parquet")
    written = parquet.ParquetFile(tmp_path / "labels.parquet")
    assert [written.metadata.row_group(k).num_rows for k in range(written.num_row_groups)] == [2, 1]
    assert written.read().to_pylist() == parquet.read_table(source).drop_columns(["image"]).to_pylist()


def test_previews_are_left_out_when_none_are_wanted(tmp_path):
    built = make_label_set(tmp_path / "set")
    kept = release.prepare(built, "v1", tmp_path / "kept")
    without = release.prepare(built, "v1", tmp_path / "without", with_preview=False)
    assert (kept.document["release"]["preview"], without.document["release"]["preview"]) == (True, False)
    expected = parquet.read_table(built.files("train")[0]).drop_columns(["image"])
    assert parquet.read_table(tmp_path / "kept/train-00000-of-00002.parquet").equals(expected)
    assert parquet.read_table(tmp_path / "without/train-00000-of-00002.parquet").equals(
        expected.drop_columns(["preview"])
    )
    assert "| `preview` |" in recipe_body(kept, "o/x", "p.png")
    assert "| `preview` |" not in recipe_body(without, "o/x", "p.png")


def test_a_set_of_an_earlier_version_has_no_preview_to_send(tmp_path):
    built = make_label_set(tmp_path / "set", with_images=False, with_preview=False)
    recipe = built.document["recipe"]
    del recipe["settings"]["output"]["with_preview"]
    old = release.prepare(changed(built, recipe=recipe), "v1", tmp_path / "scratch")
    assert old.document["release"]["preview"] is False and "| `preview` |" not in recipe_body(old, "o/x", "p.png")
    assert old.files[0].content == built.files("train")[0]


def test_a_full_disk_is_said(tmp_path):
    built = make_label_set(tmp_path / "set")
    (tmp_path / "scratch").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="scratch/train-00000-of-00002.parquet: cannot be written"):
        release.prepare(built, "v1", tmp_path / "scratch")


def test_unfinished_damaged_and_empty_sets_are_refused(tmp_path):
    built = make_label_set(tmp_path / "set")
    with pytest.raises(InputError, match="the recipe's name: 'a/b' is no name: it must hold only letters"):
        release.prepare(changed(built, recipe={**built.document["recipe"], "name": "a/b"}), "v1", tmp_path)
    with pytest.raises(PublishError, match="recipe's name 'data' cannot name a configuration"):
        release.prepare(changed(built, recipe={**built.document["recipe"], "name": "data"}), "v1", tmp_path)
    empty = {split: {**counts, "rows": 0} for split, counts in built.document["counts"].items()}
    with pytest.raises(PublishError, match="has 3 rows, but labelset.json counts 0; run the same `mbps build`"):
        release.prepare(changed(built, counts=empty), "v1", tmp_path)
    for path in (built.root / "data").iterdir():
        path.unlink()
    with pytest.raises(PublishError, match="has no rows; there is nothing to release"):
        release.prepare(LabelSetFolder(built.root), "v1", tmp_path)
    damaged = make_label_set(tmp_path / "b/set")
    damaged.files("train")[0].write_bytes(b"PAR1 torn")
    with pytest.raises(PublishError, match="train-00000-of-00002.parquet: damaged"):
        release.prepare(damaged, "v1", tmp_path)


def test_the_licence_is_asked_of_the_source(tmp_path):
    tree = tmp_path / "tree/leftImg8bit/val/ulm"
    tree.mkdir(parents=True)
    (tree / "ulm_000000_000019_leftImg8bit.png").write_bytes(b"")
    built = make_label_set(tmp_path / "set")
    cityscapes = changed(built, source={"name": "cityscapes", "data_dir": str(tmp_path / "tree")})
    with pytest.raises(PublishError, match=r"Cityscapes does not allow .* Push without --with-images"):
        release.prepare(cityscapes, "v1", tmp_path, with_images=True)
    moved = changed(built, source={"name": "folder", "data_dir": str(tmp_path / "gone")})
    with pytest.raises(PublishError, match="licence of the images cannot be checked: .*gone does not exist"):
        release.prepare(moved, "v1", tmp_path, with_images=True)


def test_public_provenance_keeps_digests_and_names_and_loses_paths():
    document = {
        "source": {"name": "folder", "data_dir": "/home/eve/street photos", "truth_dir": None},
        "recipe": {"name": "mbps", "settings": {"depth": {"weights": "/mnt/eve/depth", "flip": "mean"}}},
        "supervision": {"depth": "unknown: the weights /mnt/eve/depth do not say"},
        "failures": [{"reason": "/home/eve/street photos/a.png: truncated"}],
        "digests": {"weights": {"depth": "abc"}},
    }
    public = public_document(document)
    assert "eve" not in json.dumps(public)
    assert public["failures"][0]["reason"] == "<data_dir>/a.png: truncated"
    assert public["recipe"]["settings"]["depth"] == {"weights": "<local>/depth", "flip": "mean"}
    assert public["supervision"]["depth"] == "unknown: the weights <local>/depth do not say"
    assert public["digests"] == document["digests"] and public["source"]["truth_dir"] is None
    assert document["source"]["data_dir"] == "/home/eve/street photos"


def test_quality_must_be_of_this_build(tmp_path):
    built = make_label_set(tmp_path / "set")
    assert quality_table(built) is None
    path = built.root / QUALITY_FILE
    path.write_text("{}")
    with pytest.raises(PublishError, match=r"quality.json: not a score .* run `mbps eval"):
        quality_table(built)
    numbers = {key + group: 0.5 for key in ("pq", "sq", "rq") for group in ("", "_things", "_stuff")}
    score = {"images": 1, "classes": 7, "splits": ["validation"], "convention": "cups", "matching": "none", "miou": 0.5,
             "accuracy": None, **numbers}  # fmt: skip
    path.write_text(json.dumps(score))
    assert "7 classes; convention `cups`, matching `none`" in quality_table(built) and "paired" not in quality_table(
        built
    )
    for other in ({"images": 2}, {"identity": "another"}):
        path.write_text(json.dumps({**score, **other}))
        with pytest.raises(PublishError, match="scored another build"):
            quality_table(built)
