"""CamVid in the layouts in which it is passed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from tests.sources import streets
from tests.sources.trees import PHOTO, save


GREY = {streets.VOID: 11, streets.ROAD: 3, streets.SKY: 0, streets.PERSON: 9, streets.CAR: 8}
COLOURS = {streets.VOID: (0, 0, 0), streets.ROAD: (128, 64, 128), streets.SKY: (128, 128, 128),
           streets.PERSON: (192, 128, 64), streets.CAR: (64, 128, 192)}  # fmt: skip


def tree(root: Path, labels_in: str) -> Path:
    for name, labels in (("busy", streets.BUSY), ("quiet", streets.QUIET)):
        save(root / f"train/0001TP_{name}.png", PHOTO)
        if labels_in == "colours":
            colours = np.stack(
                [streets.mapped(labels, {k: c[n] for k, c in COLOURS.items()}) for n in range(3)], axis=-1
            )
            save(root / f"train_labels/0001TP_{name}_L.png", colours)
        else:
            save(root / labels_in / f"0001TP_{name}.png", streets.mapped(labels, GREY))
    save(root / "test/0001TP_unseen.png", PHOTO)
    return root


@pytest.mark.parametrize("labels_in", ["trainannot", "train_labels", "colours"])
def test_every_layout_has_groups_and_no_objects(tmp_path, labels_in):
    source = open_source("camvid", data_dir=tree(tmp_path, labels_in))
    assert source.splits() == ("train", "test") and not source.frames("test")[0].has_truth
    streets.check(source, objects=False)
    streets.check_missing(source, source.frames("train")[0].label_path)


def test_a_colour_of_no_class_is_refused(tmp_path):
    source = open_source("camvid", data_dir=tree(tmp_path, "colours"))
    save(source.frames("train")[0].label_path, np.full((*streets.HW, 3), 7, np.uint8))
    with pytest.raises(InputError, match="busy_L.png: holds the id -1, which is no class of CamVid in 32 colours"):
        source.frames("train")[0].truth()
