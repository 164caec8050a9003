"""Label and instance maps beside an image."""

from __future__ import annotations

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import FolderSource
from tests.sources.trees import PHOTO, save


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((16, 64), np.uint8), "64x16, but the image a is 64x32"),
        (np.full((32, 64), 200, np.uint8), "label 200 is not a Cityscapes label id"),
        (np.zeros((32, 64, 3), np.uint8), "a label map has one channel, but this is RGB"),
    ],
)
def test_wrong_label_maps_are_named(tmp_path, labels, message):
    save(tmp_path / "images/a.png", PHOTO)
    path = save(tmp_path / "truth/a.png", labels)
    with pytest.raises(InputError, match=message) as caught:
        FolderSource(tmp_path / "images", tmp_path / "truth").frames("train")[0].truth()
    assert str(path) in str(caught.value)


def test_instance_map_of_another_size_is_named(tmp_path):
    save(tmp_path / "images/a.png", PHOTO)
    save(tmp_path / "truth/a.png", np.zeros((32, 64), np.uint8))
    save(tmp_path / "truth/a_instanceIds.png", np.zeros((32, 60), np.uint16))
    with pytest.raises(InputError, match="a_instanceIds.png: 60x32, but a.png is 64x32"):
        FolderSource(tmp_path / "images", tmp_path / "truth").frames("train")[0].truth()
