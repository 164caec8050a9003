"""What the colours of classes say."""

from __future__ import annotations

import numpy as np

from mbps_dataset import taxonomy
from mbps_dataset.labelling.calibration import Calibration, ClassStatistics
from mbps_dataset.report.colouring import UNPAIRED_COLOUR, colouring_of, display_palette
from mbps_dataset.sources import Truth


ROAD, SKY = 0, 10


def unnamed(count: int) -> Calibration:
    classes = tuple(ClassStatistics(f"pseudo-class {k}", False, None, None) for k in range(count))
    return Calibration(classes, None, 1, ())


def truth(class_ids: list[int]) -> Truth:
    label_ids = taxonomy.TRAIN_ID_TO_LABEL_ID[np.array([class_ids])]
    return Truth(label_ids, label_ids.astype(np.int32))


def test_display_colours_follow_overlap_and_stay_apart():
    overlap = np.zeros((4, 19), dtype=np.int64)
    overlap[0, 0], overlap[1, 0], overlap[2, 10] = 100, 50, 70
    colours = display_palette(overlap)
    assert colours[0].tolist() == [128, 64, 128] and colours[2].tolist() == [70, 130, 180]
    assert colours[1].tolist() != colours[0].tolist() and colours[3].tolist() == [128, 128, 128]


def test_with_truth_both_the_overlapping_and_the_scored_class_are_told():
    semantic = np.array([[0, 0, 1, 1]], np.uint8)
    found = colouring_of(unnamed(3), [(semantic, truth([ROAD, ROAD, ROAD, SKY]))], {0: ROAD, 1: SKY})
    assert found.overlapped == {0: ROAD, 1: ROAD} and found.scored_as == {0: ROAD, 1: SKY}
    assert found.in_words(1) == "pseudo-class 1: looks like road, scored as sky"
    assert found.in_words(2) == "pseudo-class 2: looks like nothing, scored as nothing"
    table = taxonomy.class_palette(taxonomy.CLASSES_19)
    assert found.palette[0].tolist() == table[ROAD].tolist()
    assert found.scored_palette().tolist() == [table[ROAD].tolist(), table[SKY].tolist(), list(UNPAIRED_COLOUR)]
    assert found.titles["semantic"] == "colour: true class it overlaps most"
    assert found.titles["scored"] == "colour: class it is paired with"
    assert "overlap most in the images shown" in found.explanation and '"scored" paints that' in found.explanation


def test_without_truth_a_class_wears_the_colour_of_its_number():
    found = colouring_of(unnamed(5), [(np.zeros((2, 2), np.uint8), None)])
    assert np.array_equal(found.palette, colouring_of(unnamed(27)).palette[:5])
    assert found.overlapped is None and found.in_words(4) == "pseudo-class 4"
    assert found.titles["panoptic"] == "colour: its number" and "the same in every label set" in found.explanation
    assert "scored" not in found.explanation


def test_a_score_without_truth_at_hand_is_still_told():
    found = colouring_of(unnamed(2), [], {0: SKY})
    assert found.in_words(0) == "pseudo-class 0: scored as sky" and "its number" in found.titles["semantic"]


def test_named_classes_wear_their_colours_and_need_no_explanation():
    classes = tuple(ClassStatistics(name, False, None, None) for name in taxonomy.NAMES_19)
    found = colouring_of(Calibration(classes, tuple(range(19)), 1, ("names",)), [], {0: 0})
    assert found.scored_as is None and found.explanation == "" and found.in_words(0) == "road"
    assert np.array_equal(found.palette, taxonomy.class_palette(taxonomy.CLASSES_19))
