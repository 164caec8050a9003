"""A row becomes pixels, classes and things; windows and mirroring keep them together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbps_dataset.errors import InputError
from mbps_dataset.records import DecodedRow
from mbps_dataset.training.panoptic.samples import sample_of_row
from tests.training.panoptic.tiny_network import samples


def row(**changes) -> DecodedRow:
    """A road, two cars of which one has lost its instance, and a strip of void."""
    semantic = np.array([[0, 0, 1, 1], [1, 1, 255, 1]], np.uint8)
    panoptic = np.array([[1, 1, 7, 7], [3, 3, 0, 0]], np.uint16)
    segments = [
        {"id": 7, "category_id": 1, "isthing": True}, {"id": 1, "category_id": 0, "isthing": False},
        {"id": 3, "category_id": 1, "isthing": True},
    ]  # fmt: skip
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    held = {
        "image_id": "a",
        "image": image,
        "semantic": semantic,
        "depth": None,
        "instance": None,
        "panoptic": panoptic,
    }
    return DecodedRow(**held | {"segments": segments} | changes)


def test_a_row_as_it_is() -> None:
    sample = sample_of_row(row())
    assert sample.image.shape == (3, 2, 4) and sample.image[:, 0, 1].tolist() == [3, 4, 5]
    assert sample.semantic.tolist() == [[0, 0, 1, 1], [1, 1, 255, 1]]  # the car without instance keeps its class
    target = sample.target()
    assert target.class_ids.tolist() == [1, 1]
    assert target.masks[0].tolist() == [[False, False, True, True], [False] * 4]
    assert target.masks[1].tolist() == [[False] * 4, [True, True, False, False]]


def test_maps_of_half_the_size_and_16_bits() -> None:
    wide = np.zeros((4, 8, 3), np.uint8)
    void = np.array([[0, 0, 1, 1], [1, 1, 65_535, 1]], np.uint16)
    sample = sample_of_row(row(image=wide, semantic=void), void=65_535)
    assert sample.semantic[2:4, 4:6].unique().tolist() == [255] and sample.semantic.shape == (4, 8)
    assert sample.target().masks.sum((1, 2)).tolist() == [8, 8]


def test_what_a_row_must_have() -> None:
    with pytest.raises(InputError, match="a: the row holds no image; attach the images"):
        sample_of_row(row(image=None))
    with pytest.raises(InputError, match="training needs the columns `semantic`, `panoptic` and `segments_info`"):
        sample_of_row(row(panoptic=None))


def test_windows_leave_out_what_they_do_not_show() -> None:
    sample = samples(1)[0]
    window = sample.window(10, 18, 20, 30)
    assert window.image.shape == (3, 20, 30)
    assert torch.equal(window.image[:, :14, :22], sample.image[:, 10:24, 18:40])
    assert (window.semantic[14:] == 255).all() and (window.semantic[:, 22:] == 255).all()  # beyond the image
    assert (window.image[:, 14:] == 0).all() and (window.instance[14:] == 0).all()
    assert window.class_ids.tolist() == [1] and window.instance.unique().tolist() == [0, 1]
    assert torch.equal(window.target().masks[0, :14, :22], sample.target().masks[1, 10:24, 18:40])
    nothing = sample.window(0, 0, 4, 4)
    assert nothing.target().masks.shape == (0, 4, 4)


def test_mirrored() -> None:
    sample = samples(1)[0]
    turned = sample.mirrored()
    assert torch.equal(turned.image[..., 0], sample.image[..., -1]) and torch.equal(
        turned.mirrored().image, sample.image
    )
    assert torch.equal(turned.target().masks.flip(-1), sample.target().masks)
