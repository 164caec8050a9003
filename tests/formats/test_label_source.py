"""Which prediction belongs to which ground truth, and what is done about those that belong to none."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.formats.image_segmentation import Labels
from mbps_dataset.formats.label_source import LabelSource, check_pairs, pair_images, pairs


def source(*image_ids: str, **image_numbers: str) -> LabelSource:
    """Empty images by id, or by id and COCO's image_id."""
    readers = {k: (lambda k=k: Labels(k, np.zeros((2, 3), int))) for k in (*image_ids, *image_numbers)}
    return LabelSource(readers, "somewhere", image_ids=image_numbers)


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (source("a", "b"), source("b", "a"), {"a": "a", "b": "b"}),
        (source("val/a", "b"), source("a", "city/b"), {"val/a": "a", "b": "city/b"}),
        (source("ulm_000000_000019_leftImg8bit"), source("ulm_000000_000019"), None),
        (source("v1.2"), source("x/v1.2"), {"v1.2": "x/v1.2"}),
        (source(a="1", b="2"), source(b="1", a="2"), {"a": "b", "b": "a"}),  # COCO's image_id comes first
        (source(a="1", b="2"), source(x="7", b="8", a="9"), {"a": "a", "b": "b"}),  # names where no number is shared
        (source(p="a", q="b"), source("a", "b"), {"p": "a", "q": "b"}),
        (source("1", "2"), source(a="1", b="2"), {"1": "a", "2": "b"}),
        (source(a="1"), source("a", "1"), {"a": "a"}),  # a name before a number
        (source("s1/a", "s2/a"), source("s1/a", "s2/a"), {"s1/a": "s1/a", "s2/a": "s2/a"}),
        (source("s1/a", "s2/a"), source("a"), {}),  # a bare name that fits two fits none
    ],
)
def test_pairs(predicted: LabelSource, true: LabelSource, expected: dict | None) -> None:
    expected = {next(iter(predicted)): next(iter(true))} if expected is None else expected
    pairing = pair_images(predicted, true)
    assert dict(pairing.both) == expected
    assert set(pairing.without_truth) == set(predicted) - set(expected)
    assert set(pairing.without_prediction) == set(true) - set(expected.values())


def test_images_on_one_side_only_are_named() -> None:
    both, one = source("a", "b"), source("a")
    with pytest.raises(InputError, match=r"image 'b' is predicted but has no ground truth \(1 of 2 images\)"):
        check_pairs(both, one)
    with pytest.raises(InputError, match=r"image 'b' has ground truth but no prediction \(1 of 2 images\)"):
        list(pairs(one, both))
    many = source(*"abcdefgh")
    with pytest.raises(InputError, match=r"'b' is predicted .* \(7 of 8 images: 'b', 'c', 'd', 'e', 'f', …\)"):
        check_pairs(many, one)
    assert [image_id for image_id, *_ in pairs(one, both, missing="skip")] == ["a"]
    with pytest.raises(InputError, match="is predicted but has no ground truth"):
        check_pairs(both, one, missing="void")


def test_a_missing_prediction_counts_as_one_of_nothing() -> None:
    missed: list[str] = []
    found = {
        image_id: predicted
        for image_id, predicted, _ in pairs(source("a"), source("a", "b"), missing="void", missed=missed)
    }
    assert found["a"].semantic.tolist() == [[0, 0, 0]] * 2 and found["b"].semantic.tolist() == [[255] * 3] * 2
    assert missed == ["image 'b': no prediction"]
    clusters = LabelSource({}, "clusters", void=65_535)
    [(_, predicted, _)] = pairs(clusters, source("a"), missing="void")
    assert predicted.semantic.max() == 65_535


def test_classes_that_are_read_as_one_are_known() -> None:
    assert LabelSource({}, "x", {1: 0, 2: 0}).groups_classes
    assert (
        not LabelSource({}, "x", {1: 0, 2: 1, 3: 255, 4: 255}).groups_classes
        and not LabelSource({}, "x").groups_classes
    )
