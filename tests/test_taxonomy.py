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


def cie_lab(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """By the letter of the standards, one colour at a time: sRGB (IEC 61966-2-1) to CIE L*a*b* under D65."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour))
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0890
    fx, fy, fz = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def test_the_measure_knows_red_and_white():
    assert cie_lab((255, 255, 255)) == pytest.approx((100, 0, 0), abs=0.1)
    assert cie_lab((255, 0, 0)) == pytest.approx((53.24, 80.09, 67.20), abs=0.1)


@pytest.mark.parametrize(("count", "apart"), [(8, 37), (27, 22), (80, 13)])
def test_colours_of_unnamed_classes_are_far_apart_and_calm(count, apart):
    palette = taxonomy.pseudo_class_palette(count)
    assert palette.shape == (count, 3) and palette.dtype == np.uint8
    places = [cie_lab(tuple(colour)) for colour in palette.tolist()]
    void_and_outlines = [cie_lab((20, 20, 20)), cie_lab((255, 255, 255))]
    for k, place in enumerate(places):
        assert all(np.linalg.norm(np.subtract(place, other)) >= apart for other in places[:k])
        assert all(np.linalg.norm(np.subtract(place, other)) >= 15 for other in void_and_outlines)
        assert np.hypot(place[1], place[2]) <= 46 and 34 <= place[0] <= 89


def test_a_class_id_has_one_colour_in_every_set():
    assert np.array_equal(taxonomy.pseudo_class_palette(300)[:27], taxonomy.pseudo_class_palette(27))
    assert taxonomy.pseudo_class_palette(4).tolist() == [
        [120, 120, 195],
        [150, 120, 45],
        [0, 165, 135],
        [240, 135, 150],
    ]
    assert len({tuple(colour) for colour in taxonomy.pseudo_class_palette(256).tolist()}) == 256
    assert taxonomy.pseudo_class_palette(0).shape == (0, 3)


def test_ids_in_a_row_are_far_apart_and_none_is_black():
    palette = taxonomy.id_palette(256)
    places = [cie_lab(tuple(colour)) for colour in palette.tolist()]
    assert palette[0].tolist() == [0, 0, 0] and palette.dtype == np.uint8
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in zip(places, places[1:])) >= 11
    assert min(np.linalg.norm(np.subtract(place, places[0])) for place in places[1:]) >= 30
    assert len({tuple(colour) for colour in palette.tolist()}) == 256
    assert np.array_equal(palette[1:], taxonomy.pseudo_class_palette(255))
    assert np.array_equal(taxonomy.id_palette(7), palette[:7]) and taxonomy.id_palette(0).shape == (0, 3)
