"""Naming from ground truth that is not there is refused before anything runs, with the options that would work."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mbps_dataset.errors import CalibrationError
from mbps_dataset.labelling.labelling import Labelling
from mbps_dataset.labelset.order import claim
from mbps_dataset.named_recipes import RECIPES, get_recipe
from mbps_dataset.sources import CityscapesSource, FolderSource, ScenesSource, Source
from mbps_dataset.store import Store


def photos(root: Path) -> FolderSource:
    root.mkdir()
    Image.new("RGB", (64, 64), (9, 9, 9)).save(root / "a.png")
    return FolderSource(root)


def labelling(recipe: str, source: Source, tmp_path: Path, *settings: str) -> Labelling:
    return Labelling(get_recipe(recipe).with_settings(settings), source, Store(tmp_path / "out/stages"))


@pytest.mark.parametrize("recipe", [name for name, each in RECIPES.items() if each.naming.method != "none"])
def test_what_is_offered_works(recipe, tmp_path):
    source = photos(tmp_path / "photos")
    with pytest.raises(CalibrationError) as said:
        claim(tmp_path / "out", labelling(recipe, source, tmp_path), None, overwrite=False)
    assert not (tmp_path / "out").exists()  # nor were weights asked for, which are missing too
    message = str(said.value)
    assert message.startswith(f"The recipe {recipe} names clusters from ground truth (naming.method=")
    assert message.endswith("or give label maps with --truth-dir DIR.") and "\n" not in message
    unnamed, from_file, _ = message.split(": leave them unnamed with ")[1].split(", ")
    assert from_file.startswith("name them from a file with --set naming.method=file --set naming.file=NAMES.json (")
    settings = [part.split()[0] for part in unnamed.split("--set ")[1:]]
    changed = labelling(recipe, source, tmp_path, *settings)
    changed.require_truth()
    assert changed.recipe.naming.method == "none" and changed.recipe.things.method != "cityscapes"
    labelling(recipe, source, tmp_path, "naming.method=file", "naming.file=NAMES.json").require_truth()


def test_sources_say_where_their_truth_belongs(tmp_path):
    folder = tmp_path / "tree/leftImg8bit/val/x"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(folder / "x_000000_000000_leftImg8bit.png")
    with pytest.raises(CalibrationError, match="source cityscapes has any: .* or put gtFine beside leftImg8bit"):
        labelling("mbps", CityscapesSource(tmp_path / "tree"), tmp_path).require_truth()
    truth = tmp_path / "tree/gtFine/val/x/x_000000_000000_gtFine_labelIds.png"
    truth.parent.mkdir(parents=True)
    Image.new("L", (64, 64), 7).save(truth)
    labelling("mbps", CityscapesSource(tmp_path / "tree"), tmp_path).require_truth()
    labelling("mbps", ScenesSource(train=1, validation=0), tmp_path).require_truth()


def test_truth_must_be_where_calibration_looks(tmp_path):
    """One image in three has a label map, and calibration looks at the first and the last."""
    photos(tmp_path / "photos")
    for name in ("b", "c"):
        Image.new("RGB", (64, 64)).save(tmp_path / f"photos/{name}.png")
    (tmp_path / "truth").mkdir()
    Image.new("L", (64, 64), 7).save(tmp_path / "truth/b.png")
    source = FolderSource(tmp_path / "photos", tmp_path / "truth")
    with pytest.raises(CalibrationError, match="no image of the source folder has any"):
        labelling("mbps", source, tmp_path, "calibration.max_images=2").require_truth()
    labelling("mbps", source, tmp_path).require_truth()
