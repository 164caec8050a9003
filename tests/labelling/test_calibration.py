"""What a calibration says, and how images are chosen for counting."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics, class_names, evenly_spaced
from mbps_dataset.named_recipes import get_recipe


def calibration(**changes) -> Calibration:
    values = {
        "classes": (ClassStatistics("a", True, 0.5, 0.1), ClassStatistics("b", False, None, None)),
        "cluster_to_class": None,
        "images": 3,
        "truth_used": (),
        "centroids": np.eye(2),
    }
    return Calibration(**values | changes)


def test_json_round_trip():
    for each in (calibration(), calibration(cluster_to_class=(1, 255), centroids=None, truth_used=("names",))):
        back = Calibration.from_json(json.loads(json.dumps(each.to_json())))
        assert back.classes == each.classes and back.things == each.things == (0,)
        assert back.cluster_to_class == each.cluster_to_class and back.truth_used == each.truth_used
        assert (back.centroids is None) == (each.centroids is None)


def test_lookup_names_clusters_and_keeps_void():
    assert calibration().lookup(2).tolist() == [0, 1]
    assert calibration(cluster_to_class=(13, 255, 0)).lookup(3).tolist() == [13, 255, 0]
    many = calibration(classes=tuple(ClassStatistics(str(k), False, None, None) for k in range(300)))
    assert many.void == 65_535 and many.lookup(300).dtype == np.uint16


def test_names_are_known_before_calibrating():
    assert class_names(get_recipe("mbps")) == taxonomy.NAMES_19
    assert class_names(get_recipe("demo"))[26] == "pseudo-class 26"


@given(st.integers(0, 3000), st.integers(0, 600))
def test_evenly_spaced_is_sorted_unique_and_bounded(count, limit):
    chosen = evenly_spaced(count, limit)
    assert chosen == sorted(set(chosen)) and all(0 <= k < count for k in chosen)
    assert len(chosen) == (count if limit == 0 else min(count, limit))
    if count and chosen:
        assert chosen[0] == 0 and (chosen[-1] == count - 1 or limit == 1)
