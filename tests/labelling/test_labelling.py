"""A label set is identified by what decides its rows, never by how a path was spelled."""

from __future__ import annotations

import os
import shutil

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.sources import FolderSource
from mbps_dataset.store import Store


def identity(inputs, settings, *more: str, device: str = "cpu", photos=None, store=None) -> str:
    recipe = get_recipe("demo").with_settings([*settings, *more])
    source = FolderSource(photos or inputs / "photos")
    return Labelling(recipe, source, Store(store or inputs / "stages"), device=device).identity


def test_spelling_of_paths_does_not_count(inputs, settings, monkeypatch):
    plain = identity(inputs, settings)
    (inputs / "link").symlink_to(inputs / "weights")
    monkeypatch.chdir(inputs)
    for spelled in ("weights", "./weights", "photos/../weights", str(inputs / "photos/../weights"), "link"):
        assert identity(inputs, settings, f"semantics.weights={spelled}", "depth.files=depth") == plain
    assert identity(inputs, settings, photos="photos") == plain


def test_a_hub_id_and_the_folder_it_was_downloaded_to_are_one(inputs, settings, monkeypatch):
    monkeypatch.setattr("mbps_dataset.models.hub_weights.cached", lambda hub_id: inputs / "weights")
    assert identity(inputs, settings, "semantics.weights=somebody/cause") == identity(inputs, settings)


def test_a_copy_of_everything_is_the_same_set(inputs, settings, tmp_path):
    shutil.copytree(inputs, tmp_path / "copy", symlinks=True)
    moved = [each.replace(str(inputs), str(tmp_path / "copy")) for each in settings]
    assert identity(tmp_path / "copy", moved) == identity(inputs, settings)


@pytest.mark.parametrize("change", ["instances.min_area=30", "output.with_images=false", "things.ids=0,1"])
def test_settings_that_matter_count(inputs, settings, change):
    assert identity(inputs, settings, change) != identity(inputs, settings)


def test_device_images_and_weights_count(inputs, settings, tmp_path):
    plain = identity(inputs, settings)
    assert identity(inputs, settings, device="cuda") != plain
    assert identity(inputs, settings, device="cuda:1") == identity(inputs, settings, device="cuda")
    shutil.copytree(inputs / "photos", tmp_path / "photos")
    (tmp_path / "photos/photo_000.png").unlink()
    assert identity(inputs, settings, photos=tmp_path / "photos") != plain
    shutil.copytree(inputs / "weights", tmp_path / "weights")
    (tmp_path / "weights/config.json").write_text((inputs / "weights/config.json").read_text() + " ")
    assert identity(inputs, settings, f"semantics.weights={tmp_path / 'weights'}") != plain


def test_a_limit_below_one_is_refused(inputs, settings):
    with pytest.raises(InputError, match="limit must be at least 1"):
        Labelling(get_recipe("demo").with_settings(settings), FolderSource(inputs / "photos"), Store("x"), limit=0)


def test_files_that_cannot_be_opened_are_failures_before_anything_runs(inputs, settings, tmp_path, monkeypatch):
    """A name that is not UTF-8, a pipe, a link that leads nowhere: listed, and no stage sees them."""
    photos = tmp_path / "photos"
    shutil.copytree(inputs / "photos", photos)
    shutil.copy(photos / "photo_000.png", os.fsencode(photos) + b"/caf\xe9.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "gone.png").symlink_to("/nowhere/at/all.png")
    store = Store(tmp_path / "store")
    seen = []

    def fill(job, indices, *_, **__):
        seen.append(({job.frames[i].image_id for i in indices}, {failure.image_id for failure in store.failures()}))
        raise InputError("far enough")

    monkeypatch.setattr("mbps_dataset.labelling.labelling.fill_store", fill)
    label_set = Labelling(get_recipe("demo").with_settings(settings), FolderSource(photos), store)
    with pytest.raises(InputError, match="far enough"):
        label_set.prepare(worker_count=1, progress=False)
    assert seen == [({f"photo_{number:03d}" for number in range(6)}, {"caf\\xe9", "pipe", "gone"})]
    reasons = {failure.image_id: failure.reason for failure in label_set.failures()}
    assert "not UTF-8" in reasons["caf\\xe9"] and "is a pipe" in reasons["pipe"] and "No such file" in reasons["gone"]
