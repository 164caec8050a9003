"""Class tables against cityscapesScripts, the definition of the classes."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset import taxonomy


def test_rows_equal_the_cityscapes_label_definition():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    theirs = {label.id: label for label in labels if label.id >= 0}
    assert {c.label_id for c in taxonomy.CITYSCAPES} == set(theirs)
    for ours in taxonomy.CITYSCAPES:
        label = theirs[ours.label_id]
        assert (ours.name, ours.category, ours.colour) == (label.name, label.category, label.color)
        assert ours.train_id == (label.trainId if label.trainId >= 0 else taxonomy.VOID)
        assert ours.is_thing == label.hasInstances


def test_sizes_and_order():
    assert len(taxonomy.CLASSES_19) == 19 and len(taxonomy.CLASSES_27) == 27
    assert [c.train_id for c in taxonomy.CLASSES_19] == list(range(19))
    assert taxonomy.THINGS_19 == tuple(range(11, 19))
    assert sorted(taxonomy.THINGS_19 + taxonomy.STUFF_19) == list(range(19))
    assert sorted(taxonomy.THINGS_27 + taxonomy.STUFF_27) == list(range(27))


def test_reference_reduction_keeps_what_cityscapes_drops():
    table = taxonomy.CAUSE27_TO_TRAIN_ID
    names = dict(zip(taxonomy.NAMES_27, table[:27].tolist()))
    assert (names["polegroup"], names["caravan"], names["trailer"]) == (5, 13, 14)
    assert {name for name, train_id in names.items() if train_id == taxonomy.VOID} == {
        "parking", "rail track", "guard rail", "bridge", "tunnel",
    }  # fmt: skip


def test_lookup_tables_agree_and_are_read_only():
    for train_id in range(19):
        label_id = taxonomy.TRAIN_ID_TO_LABEL_ID[train_id]
        assert taxonomy.LABEL_ID_TO_TRAIN_ID[label_id] == train_id
        assert taxonomy.LABEL_ID_TO_7[label_id] == taxonomy.TRAIN_ID_TO_7[train_id]
    assert taxonomy.LABEL_ID_TO_7[9] == 0  # parking is flat, though void among the 19
    with pytest.raises(ValueError):
        taxonomy.LABEL_ID_TO_27[0] = 1


def test_pseudo_class_colours_are_distinct_and_stable():
    palette = taxonomy.pseudo_class_palette(80)
    assert palette.shape == (80, 3) and palette.dtype == np.uint8
    assert len({tuple(colour) for colour in palette.tolist()}) == 80
    assert np.array_equal(palette[:27], taxonomy.pseudo_class_palette(27))
