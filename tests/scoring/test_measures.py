"""Bringing a prediction to the truth, and which ids are segments."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.formats.description import Description
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import LabelSource
from mbps_dataset.scoring.measures import Measures, fitted, matching_of, with_ids_of_segments
from mbps_dataset.scoring.sides import Sides


def labels(height: int, width: int, **maps) -> Labels:
    return Labels("a", np.zeros((height, width), int), **maps)


@pytest.mark.parametrize(
    ("size", "true_size", "fits"),
    [
        ((512, 1024), (1024, 2048), True), ((376, 1248), (375, 1242), True), ((320, 1060), (375, 1242), True),
        ((3, 5), (6, 9), True), ((640, 1280), (1024, 2048), True), ((2048, 1024), (1024, 2048), False),
        ((1242, 375), (375, 1242), False), ((512, 512), (1024, 2048), False), ((101, 100), (100, 101), False),
        ((512, 1024), (1080, 1920), False),
    ],
)  # fmt: skip
def test_only_a_prediction_of_the_same_shape_is_resized(size, true_size, fits) -> None:
    if fits:
        assert fitted(labels(*size), labels(*true_size), "a").semantic.shape == true_size
    else:
        with pytest.raises(InputError, match=r"image 'a': its prediction is \d+x\d+, its ground truth"):
            fitted(labels(*size), labels(*true_size), "a")


def test_both_maps_of_a_prediction_have_one_size() -> None:
    with pytest.raises(InputError, match=r"image 'a': its prediction has maps of \(4, 4\) and \(2, 2\)"):
        fitted(labels(4, 4, instance=np.zeros((2, 2), int)), labels(4, 4), "a")


def test_ids_on_stuff_are_segments_only_where_they_were_listed() -> None:
    given = Labels("a", np.array([[0, 0, 13]]), np.array([[1, 2, 3]]))
    assert with_ids_of_segments(given, (0,)).instance.tolist() == [[0, 0, 3]]
    listed = Labels("a", given.semantic, given.instance, listed=True)
    assert with_ids_of_segments(listed, (0,)) is listed and with_ids_of_segments(labels(2, 2), (0,)).instance is None


def test_the_matching_of_files_is_none_unless_asked_for() -> None:
    assert matching_of(LabelSource({}, "x"), None) == "none" and matching_of(LabelSource({}, "x"), "u2seg") == "u2seg"


def test_clusters_of_a_label_set_are_never_taken_for_classes() -> None:
    described = Description("parquet", ("pseudo-class 0", "pseudo-class 1"), (1,), named=False, void=255)
    clusters = LabelSource({}, "set", label_set=described)
    assert matching_of(clusters, None) == "hungarian"
    with pytest.raises(InputError, match="set: its classes are clusters, .* so --matching none cannot score them"):
        matching_of(clusters, "none")


def test_a_range_of_distance_that_cannot_be_is_said() -> None:
    sides = Sides(LabelSource({}, "x"), LabelSource({}, "y"))
    with pytest.raises(InputError, match="Cannot score by distance: Convention 'report' has no rule for void"):
        Measures(sides, convention="report", matching="none", classes=19, distances=(0, 5))
