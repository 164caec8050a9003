"""Building to a folder: repeatable, resumable, and honest about what failed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as parquet
import pytest
import yaml
from PIL import Image

from mbps_dataset.errors import InputError, RecipeError, StoreError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.build import build, estimate
from mbps_dataset.labelset.card import digests_in, metadata
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource, ScenesSource
from mbps_dataset.store import Store
from tests.conftest import SMALL_SCENES


def data_digests(root: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((root / "data").glob("*.parquet"))}


def fresh(store: Path, **changes) -> Labelling:
    return Labelling(get_recipe("demo"), ScenesSource(**SMALL_SCENES | changes), Store(store))


def test_two_builds_are_byte_identical(built, tmp_path):
    build(fresh(tmp_path / "stages"), tmp_path, workers=2, progress=False)
    assert data_digests(tmp_path) == data_digests(built.root)
    assert (tmp_path / "labelset.json").read_text() == (built.root / "labelset.json").read_text()


def test_a_finished_build_is_not_done_again(small_label_set, tmp_path):
    build(small_label_set, tmp_path, progress=False)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").glob("*")}
    build(small_label_set, tmp_path, progress=False)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data").glob("*")} == before


def test_a_damaged_shard_and_damaged_results_are_made_again(built, small_store, tmp_path):
    shutil.copytree(small_store, tmp_path / "stages")
    build(fresh(tmp_path / "stages"), tmp_path / "set", progress=False)
    (tmp_path / "set/data/train-00000-of-00001.parquet").write_bytes(b"PAR1 torn")
    for path in list((tmp_path / "stages/depth").rglob("*.bin"))[:2]:
        path.write_bytes(path.read_bytes()[:-9])
    next((tmp_path / "stages/codes").rglob("*.bin")).unlink()
    build(fresh(tmp_path / "stages"), tmp_path / "set", progress=False)
    assert data_digests(tmp_path / "set") == data_digests(built.root)


def test_another_recipe_is_refused_with_its_differences(small_label_set, tmp_path):
    build(small_label_set, tmp_path, progress=False)
    other = Labelling(
        small_label_set.recipe.with_settings(["instances.min_area=50"]), small_label_set.source, small_label_set.store
    )
    with pytest.raises(RecipeError, match="instances.min_area: 50 != 500.*--overwrite"):
        build(other, tmp_path, progress=False)
    build(other, tmp_path, overwrite=True, progress=False)
    assert LabelSetFolder(tmp_path).document["recipe"]["settings"]["instances"]["min_area"] == 50


def test_a_folder_with_other_things_is_refused(small_label_set, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="is not empty and holds no label set"):
        build(small_label_set, tmp_path, progress=False)


def test_a_place_that_cannot_be_written_is_one_line(small_label_set, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        build(small_label_set, tmp_path / "file" / "set", progress=False)


def test_the_document_says_where_labels_come_from(built):
    document = built.document
    assert document["ground_truth_used"] == []
    assert set(document["digests"]["weights"]) == {"cause", "spidepth", "attention"}
    assert set(document["supervision"]) >= {"semantic backbone", "depth network", "saliency backbone"}
    things = [c for c in document["calibration"]["classes"] if c["isthing"]]
    assert 0 < len(things) <= 6 and all(thing["coverage"] <= 0.10 for thing in things)
    counts = document["counts"]["train"]
    rows = datasets.Dataset.from_parquet([str(p) for p in built.files("train")])
    assert counts["rows"] == len(rows) == SMALL_SCENES["train"]
    assert counts["segments"] == sum(len(row) for row in rows["segments_info"])
    assert counts["segments"] == sum(counts["segments_per_class"].values())


def test_the_card_is_valid_and_names_version_and_digest(built):
    text = (built.root / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    config = yaml.safe_load(head)["configs"][0]
    assert config["config_name"] == "demo" and config["default"] is True
    digests = built.document["digests"]
    assert digests_in(config["description"]) == f"sha256:{built.document['identity']} rows sha256:{digests['rows']}"
    assert "made by the recipe demo (tiny networks" in config["description"]
    assert all(entry.reason and f"| {entry.reason} |" in body for entry in built.calibration.classes)
    assert "without a single human label" in body and "{{" not in body and "{%" not in body
    assert "pseudo-class 26" in body


def test_rows_reference_classes_and_segments_consistently(built):
    for row in built.rows("train"):
        ids = {segment["id"] for segment in row.segments}
        assert set(np.unique(row.panoptic).tolist()) - {0} == ids
        for segment in row.segments:
            mask = row.panoptic == segment["id"]
            assert segment["area"] == mask.sum()
            ys, xs = np.nonzero(mask)
            assert segment["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert segment["isthing"] == (segment["category_id"] in built.calibration.things)
            assert (row.instance[mask] > 0).all() == segment["isthing"]


def photograph(size, mode="RGB", seed=0) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.nightly
def test_a_folder_of_all_sorts(tmp_path):
    """Odd but usable images get complete rows; unusable ones are listed with their reason; nothing else suffers."""
    photos = tmp_path / "photos"
    (photos / "sub dir").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    good = {
        "a.jpg": encoded(photograph((128, 64)), "JPEG"),
        "b_grey.png": encoded(photograph((64, 128), "L"), "PNG"),
        "c_alpha.png": encoded(photograph((100, 100), "RGBA"), "PNG"),
        "d_cmyk.jpg": encoded(photograph((96, 64), "CMYK"), "JPEG"),
        "e_16bit.png": encoded(Image.fromarray((np.arange(64 * 96).reshape(64, 96) * 10).astype(np.uint16)), "PNG"),
        "f_rotated.jpg": encoded(photograph((128, 64)), "JPEG", exif=exif),
        "sub dir/ü.webp": encoded(photograph((128, 64)), "WEBP"),
    }
    bad = {
        "x_empty.png": b"",
        "x_pixel.png": encoded(photograph((1, 1)), "PNG"),
        "x_text.png": b"not an image",
        "x_truncated.png": encoded(photograph((128, 64)), "PNG")[:2000],
    }
    for name, data in (good | bad).items():
        (photos / name).write_bytes(data)
    (photos / "x_loop.png").symlink_to(photos / "x_loop.png")
    label_set = Labelling(get_recipe("demo"), FolderSource(photos), Store(tmp_path / "set/stages"))
    result = build(label_set, tmp_path / "set", workers=1, progress=False)
    assert result.rows == len(good)
    assert [f.image_id for f in result.failures] == ["x_empty", "x_loop", "x_pixel", "x_text", "x_truncated"]
    assert all("\n" not in f.reason and ".png" in f.reason for f in result.failures)
    document = json.loads((tmp_path / "set/labelset.json").read_text())
    assert [f["image_id"] for f in document["failures"]] == [f.image_id for f in result.failures]
    rows = {row.image_id: row for row in LabelSetFolder(tmp_path / "set").rows("train")}
    assert rows["f_rotated"].semantic.shape == (128, 64) == rows["f_rotated"].image.shape[:2]
    assert rows["sub dir/ü"].semantic.shape == (64, 128)
    for row in rows.values():
        assert row.image.shape[:2] == row.semantic.shape and (row.depth > 0).all() and row.segments

    (photos / "x_text.png").write_bytes(good["a.jpg"])  # a repaired image joins, the others are not computed again
    codes = {p: p.stat().st_mtime_ns for p in (tmp_path / "set/stages/codes").rglob("*.bin")}
    label_set = Labelling(get_recipe("demo"), FolderSource(photos), Store(tmp_path / "set/stages"))
    again = build(label_set, tmp_path / "set", workers=1, progress=False)
    assert again.rows == len(good) + 1 and "x_text" not in [f.image_id for f in again.failures]
    assert {p: p.stat().st_mtime_ns for p in codes} == codes


def test_not_one_usable_image_is_an_error(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(b"text")
    label_set = Labelling(get_recipe("demo"), FolderSource(tmp_path / "photos"), Store(tmp_path / "set/stages"))
    with pytest.raises(InputError, match="Not one image could be labelled: .*a.png: not a PNG"):
        build(label_set, tmp_path / "set", workers=1, progress=False)


def test_shards_and_limit(small_label_set, tmp_path):
    recipe = small_label_set.recipe.with_settings(["output.rows_per_shard=2"])
    label_set = Labelling(recipe, small_label_set.source, small_label_set.store)
    build(label_set, tmp_path, progress=False)
    assert [p.name for p in sorted((tmp_path / "data").glob("*"))] == [
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation-00000-of-00001.parquet",
    ]  # fmt: skip
    limited = Labelling(recipe, small_label_set.source, small_label_set.store, limit=1)
    build(limited, tmp_path, progress=False)
    assert [p.name for p in sorted((tmp_path / "data").glob("*"))] == [
        "train-00000-of-00001.parquet", "validation-00000-of-00001.parquet",
    ]  # fmt: skip
    assert parquet.read_metadata(tmp_path / "data/train-00000-of-00001.parquet").num_rows == 1


def test_label_only_sets_have_no_image_column(small_label_set, tmp_path):
    recipe = small_label_set.recipe.with_settings(["output.with_images=false"])
    build(Labelling(recipe, small_label_set.source, small_label_set.store, limit=1), tmp_path, progress=False)
    dataset = datasets.load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert "image" not in dataset.features and len(dataset) == 1


def test_a_set_without_previews_has_the_rows_of_one_with_them(small_label_set, tmp_path):
    documents, columns = {}, {}
    for wanted in ("true", "false"):
        recipe = small_label_set.recipe.with_settings([f"output.with_preview={wanted}"])
        label_set = Labelling(recipe, small_label_set.source, small_label_set.store, limit=1)
        built = build(label_set, tmp_path / wanted, progress=False)
        folder = LabelSetFolder(built.root)
        documents[wanted] = folder.document
        columns[wanted] = parquet.read_schema(folder.files("train")[0]).names
        card = (built.root / "README.md").read_text()
        assert ("| `preview` | image, colour |" in card) == (wanted == "true")
    assert columns["true"] == [*columns["false"], "preview"]
    assert documents["true"]["digests"]["rows"] == documents["false"]["digests"]["rows"]
    assert documents["true"]["identity"] != documents["false"]["identity"]  # or the cache would give one for the other


@pytest.mark.parametrize(
    ("source", "licence"),
    [
        ("scenes", {"license": "apache-2.0"}),
        ("folder", {"license": "other", "license_name": "terms-of-the-source-images"}),
        ("cityscapes", {"license": "other", "license_name": "cityscapes-terms-of-use",
                        "license_link": "https://www.cityscapes-dataset.com/license/"}),
    ],
)  # fmt: skip
def test_the_card_names_a_licence_that_the_hub_does_not_list(built, source, licence):
    given = metadata(built.document | {"source": {"name": source}})
    assert {key: value for key, value in given.items() if key.startswith("license")} == licence


def test_estimate_before_building(small_label_set, tmp_path):
    plan = estimate(small_label_set, tmp_path / "not" / "there")
    assert plan.images == SMALL_SCENES["train"] + SMALL_SCENES["validation"]
    assert 0 < plan.disk_bytes < plan.free_bytes
    assert not (tmp_path / "not").exists()
