from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset import taxonomy
from mbps_dataset.metrics import PanopticQuality
from tests.metrics import golden


GROUPS = {c: int(taxonomy.TRAIN_ID_TO_7[c]) for c in range(19)}


@pytest.mark.parametrize("name", ["02_permuted19", "03_over40", "09_crowd_single"])
@pytest.mark.parametrize("convention", ["coco", "cups"])
def test_grouping_the_table_equals_grouping_the_maps_by_vectors(name: str, convention: str) -> None:
    scene = golden.load(name)
    split = {"pseudo_things": scene.meta["pseudo_things"], "pseudo_stuff": scene.meta["pseudo_stuffs"]}
    grouped = scene.metric(convention=convention).grouped(GROUPS, taxonomy.THINGS_7, taxonomy.STUFF_7).compute()
    direct = PanopticQuality(
        taxonomy.THINGS_7, taxonomy.STUFF_7, matching="hungarian_split", convention=convention, **split
    )
    for image in scene.images:
        true = image["true_semantic"]
        instance = np.where(image["true_instance"] > 0, image["true_instance"] + 1000 * true.astype(int), 0)
        direct.update(**image | {"true_semantic": taxonomy.TRAIN_ID_TO_7[true], "true_instance": instance})
    expected = direct.compute()
    assert grouped.per_class == expected.per_class and grouped.assignment == expected.assignment
    assert grouped.miou == expected.miou and grouped.classes_averaged == expected.classes_averaged


def test_predicted_classes_are_grouped_too_and_instances_stay() -> None:
    true = np.array([[11, 12, 12, 13, 255]])
    instance = np.array([[1, 1, 2, 1, 0]])
    metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19)
    metric.update(true, instance, true, instance)
    result = metric.grouped(GROUPS, taxonomy.THINGS_7, taxonomy.STUFF_7).compute()
    assert result.per_class[5]["tp"] == 3 and result.per_class[6]["tp"] == 1 and result.pq == 1.0


def test_a_class_without_group_is_void() -> None:
    metric = PanopticQuality((1,), (0,))
    metric.update([[0, 1]], None, [[0, 1]], None)
    result = metric.grouped({0: 3}, (), (3,)).compute()
    assert result.per_class == {3: result.per_class[3]} and result.pq == 1.0 and result.accuracy == 1.0
