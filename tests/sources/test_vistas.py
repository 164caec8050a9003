"""Mapillary Vistas in the layouts of its versions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


NAMES = {
    "config_v2.0.json": ["human--person--person-group", "human--person--individual", "object--vehicle--car", "nature--sky",
                         "construction--flat--road", "void--unlabeled"],
    "config_v1.2.json": ["void--unlabeled", "nature--sky", "human--person", "object--vehicle--car", "construction--flat--road"],
    "config.json": ["nature--sky", "human--person", "object--vehicle--car", "construction--flat--road", "void--unlabeled"],
}  # fmt: skip
CITYSCAPES = {streets.VOID: "void--unlabeled", streets.ROAD: "construction--flat--road", streets.SKY: "nature--sky",
              streets.CAR: "object--vehicle--car"}  # fmt: skip


def tree(root: Path, config: str, below: str) -> Path:
    """Objects are numbered from 0 within a class, as Mapillary does."""
    names = NAMES[config]
    (root / config).write_text(json.dumps({"labels": [{"name": name, "instances": False} for name in names]}))
    person = next(name for name in names if name in ("human--person", "human--person--individual"))
    ids = {label: names.index(name) for label, name in (CITYSCAPES | {streets.PERSON: person}).items()}
    for name, labels, objects in (
        ("busy", streets.BUSY, streets.OBJECTS),
        ("quiet", streets.QUIET, 0 * streets.OBJECTS),
    ):
        classes = streets.mapped(labels, ids, np.uint16)
        if "person-group" in names[0]:
            classes[streets.GROUP & (labels == streets.PERSON)] = 0
        number = np.where((labels == streets.CAR) & (objects > 0), objects - 1, 0)
        save(root / f"training/images/{name}.jpg", PHOTO)
        save(root / "training" / below / f"instances/{name}.png", (256 * classes + number).astype(np.uint16))
    return root


@pytest.mark.parametrize(
    ("config", "below"), [("config_v2.0.json", "v2.0"), ("config_v1.2.json", "v1.2"), ("config.json", "")]
)
def test_classes_are_those_of_the_configuration(tmp_path, config, below):
    source = open_source("vistas", data_dir=tree(tmp_path, config, below))
    if config == "config_v2.0.json":
        streets.check(source)
    else:  # no class for groups: every number is an object
        truth = source.frames("train")[0].truth()
        assert np.array_equal(truth.label_ids, streets.BUSY)
        assert set(truth.instance_ids[streets.GROUP].tolist()) == {24001} and truth.instance_ids[20, 40] == 26002
    streets.check_missing(source, tmp_path / "training" / below / "instances/quiet.png")


def test_the_newest_version_is_read_unless_one_is_named(tmp_path):
    for config, below in (("config_v1.2.json", "v1.2"), ("config_v2.0.json", "v2.0")):
        tree(tmp_path, config, below)
    for version, folder in (("", "v2.0"), ("2.0", "v2.0"), ("1.2", "v1.2")):
        source = open_source("vistas", data_dir=tmp_path, version=version)
        assert source.frames("train")[0].label_path.parts[-3] == folder
        assert open_source(**source.describe()).frames("train") == source.frames("train")
    with pytest.raises(InputError, match="version is '3'; Mapillary Vistas has 2.0 and 1.2"):
        open_source("vistas", data_dir=tmp_path, version="3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"labels": [{"name": "object--vehicle--ufo"}]}', "has the class 'object--vehicle--ufo' .1 unknown."),
        ('{"labels": 3}', "cannot be read as the classes"),
        ("{}", "cannot be read as the classes"),
    ],
)
def test_configurations_of_other_classes_are_refused(tmp_path, text, message):
    tree(tmp_path, "config.json", "")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"config.json: {message}"):
        open_source("vistas", data_dir=tmp_path)
