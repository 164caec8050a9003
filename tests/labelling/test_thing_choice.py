"""Which classes are things, and how images are chosen for counting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics, choose_things, class_names, evenly_spaced
from mbps_dataset.named_recipes import get_recipe
from mbps_dataset.stages.saliency import ClassCounts, SplitCounts


NAMES = tuple(f"c{k}" for k in range(5))
COUNTS = ClassCounts(
    salient_px=np.array([90, 10, 40, 0, 50]),
    total_px=np.array([100, 100, 100, 0, 60]),
    images_with_class=np.array([1, 2, 1, 0, 1]),
    image_area_sum=np.array([150, 4000, 2000, 0, 2000]),
)


def recipe(*settings: str):
    return get_recipe("demo").with_settings(settings)


def things(*settings: str, splits=None, named=False, counts=COUNTS):
    classes, truth = choose_things(recipe(*settings), NAMES, counts, splits, named=named)
    return [k for k, c in enumerate(classes) if c.isthing], truth, classes


def test_attention_ranks_by_ratio_and_drops_large_classes():
    chosen, truth, classes = things("things.n_things=2")
    assert chosen == [2, 4] and truth == []  # class 0 is the most salient, but covers two thirds of its image
    assert classes[0].ratio == 0.9 and classes[0].coverage == pytest.approx(100 / 150)
    assert classes[3].ratio is None and classes[3].coverage is None
    assert [c.reason for c in classes] == [
        "covers 66.7% of the images it is in, more than 10%",
        "salient share 0.100: rank 3, and the first 2 are things",
        "salient share 0.400: rank 2, and the first 2 are things",
        "in no image",
        "salient share 0.833: rank 1, and the first 2 are things",
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("things.method=all",), [0, 1, 2, 3, 4]),
        (("things.method=none",), []),
        (("things.method=fixed", "things.ids=1,3"), [1, 3]),
    ],
)
def test_baselines(settings, expected):
    chosen, _, classes = things(*settings, counts=None)
    assert chosen == expected
    assert all(c.reason for c in classes)


def test_random_things_follow_the_seed():
    first = things("things.method=random", "things.n_things=2", counts=None)[0]
    assert first == things("things.method=random", "things.n_things=2", counts=None)[0] and len(first) == 2


def test_depth_split_ranks_by_components():
    splits = SplitCounts(before=np.array([1, 10, 10, 0, 10]), after=np.array([9, 10, 40, 0, 20]))
    assert things("things.method=depth-split", "things.n_things=1", splits=splits)[0] == [2]


def test_the_split_of_cityscapes_counts_as_ground_truth_and_needs_names():
    classes, truth = choose_things(recipe("things.method=cityscapes"), taxonomy.NAMES_19, None, named=True)
    assert [k for k, c in enumerate(classes) if c.isthing] == list(taxonomy.THINGS_19)
    assert truth == ["thing/stuff split: that of the Cityscapes classes"]
    with pytest.raises(ValueError, match="needs named classes"):
        things("things.method=cityscapes")


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
    assert class_names(recipe("clusters.count=27"))[26] == "pseudo-class 26"


@given(st.integers(0, 3000), st.integers(0, 600))
def test_evenly_spaced_is_sorted_unique_and_bounded(count, limit):
    chosen = evenly_spaced(count, limit)
    assert chosen == sorted(set(chosen)) and all(0 <= k < count for k in chosen)
    assert len(chosen) == (count if limit == 0 else min(count, limit))
    if count and chosen:
        assert chosen[0] == 0 and (chosen[-1] == count - 1 or limit == 1)
