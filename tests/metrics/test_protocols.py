"""Protocols by name: what they cut, and that they settle everything."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mbps_dataset.metrics import CONVENTIONS, MATCHINGS, PROTOCOLS
from tests.metrics import golden


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_says_what_it_is_of_and_how(name):
    protocol = PROTOCOLS[name]
    assert protocol.of and protocol.classes in (27, 19, 16, 7, 2)
    assert protocol.convention in CONVENTIONS and protocol.matching in MATCHINGS
    assert str(protocol.classes) == name.partition("-")[2] or name == "bdd"


def test_the_middle_is_cut_out_and_smaller_maps_stay():
    wide = np.arange(376 * 1241).reshape(376, 1241)
    assert np.array_equal(PROTOCOLS["kitti-7"].cut(wide), wide[4:372, 0:1240])
    assert PROTOCOLS["kitti-7"].cut(wide[:300]).shape == (300, 1240)
    assert np.array_equal(PROTOCOLS["mots-2"].cut(wide), wide)
    native = np.zeros((1024, 2048))
    assert PROTOCOLS["cups-19"].cut(native).shape == (1024, 2048)


def test_scaling_takes_the_pixels_of_the_published_code():
    map_ = np.arange(640 * 1280).reshape(640, 1280)
    assert (
        PROTOCOLS["cups-27"].cut(map_)[0, 0] == map_[0, 320] and PROTOCOLS["stego-27"].cut(map_)[0, 0] == map_[1, 321]
    )


def test_the_27_class_crop_by_vectors():
    folder = golden.FOLDER / "23_semantic27_crop"
    meta = json.loads((folder / "meta.json").read_text())
    protocol = replace(PROTOCOLS["cups-27"], short_side=meta["size"], crop_hw=(meta["size"], meta["size"]))
    with np.load(folder / "inputs.npz") as arrays:
        for k in range(meta["n_images"]):
            for side in ("pred", "gt"):
                assert np.array_equal(protocol.cut(arrays[f"{side}_{k:03d}"]), arrays[f"{side}_crop_{k:03d}"])
