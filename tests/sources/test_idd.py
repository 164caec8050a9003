"""The India Driving Dataset: polygons as published, and the maps that AutoNUE's tool makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


IDS = {streets.VOID: 35, streets.ROAD: 0, streets.SKY: 33, streets.PERSON: 6, streets.CAR: 12}


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    """Corners that Pillow fills from `left`, `top` to `right`, `bottom`, all of them inside."""
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


BUSY = [
    ("road", box(0, 4, 63, 31)), ("car", box(0, 8, 19, 15)), ("car", box(40, 20, 40, 20)), ("person", box(30, 10, 33, 19)),
    ("persongroup", box(50, 24, 59, 29)),
]  # fmt: skip
QUIET = [("sky", box(0, 0, 63, 15)), ("road", box(0, 16, 63, 31))]


def polygons(objects: list, **more) -> str:
    listed = [{"label": label, "polygon": polygon, "deleted": 0} for label, polygon in objects]
    listed.append({"label": "truck", "polygon": box(0, 0, 63, 31), "deleted": 1})
    return json.dumps({"imgHeight": 32, "imgWidth": 64, "objects": listed} | more)


def tree(root: Path, *, maps: bool) -> Path:
    for name, objects, labels, numbers in (
        ("busy", BUSY, streets.BUSY, streets.OBJECTS),
        ("quiet", QUIET, streets.QUIET, 0),
    ):
        save(root / f"leftImg8bit/train/201/{name}_leftImg8bit.{'png' if maps else 'jpg'}", PHOTO)
        base = root / f"gtFine/train/201/{name}_gtFine"
        base.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{base}_polygons.json").write_text(polygons(objects))
        if maps:
            ids = streets.mapped(labels, IDS)
            save(Path(f"{base}_labelids.png"), ids)
            save(
                Path(f"{base}_instanceids.png"),
                np.where(numbers > 0, 1000 * ids.astype(int) + numbers, ids).astype(np.uint16),
            )
    save(root / "leftImg8bit/test/202/unseen_leftImg8bit.png", PHOTO)
    return root


@pytest.mark.parametrize("maps", [True, False])
def test_polygons_and_maps_say_the_same(tmp_path, maps):
    source = open_source("idd", data_dir=tree(tmp_path, maps=maps))
    assert source.splits() == ("train", "test") and not source.frames("test")[0].has_truth
    assert source.frames("train")[0].image_id == "201/busy"
    streets.check(source)
    ending = "instanceids.png" if maps else "polygons.json"
    streets.check_missing(source, tmp_path / f"gtFine/train/201/busy_gtFine_{ending}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (polygons([("spaceship", box(0, 0, 9, 9))]), "has the label 'spaceship', which is no class of India Driving"),
        (polygons([], imgWidth=10**9), "cannot be read as polygons"),
        (polygons([("car", [[0, 0], [1]])]), "cannot be read as polygons"),
        ("[]", "cannot be read as polygons"),
        ("{", "cannot be read as polygons"),
    ],
)
def test_files_that_are_no_polygons_are_refused(tmp_path, text, message):
    source = open_source("idd", data_dir=tree(tmp_path, maps=False))
    (tmp_path / "gtFine/train/201/busy_gtFine_polygons.json").write_text(text)
    with pytest.raises(InputError, match=f"busy_gtFine_polygons.json: {message}"):
        source.frames("train")[0].truth()
