"""What readers of data sets share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources import SOURCES, open_source
from mbps_dataset.sources.labelled import LabelledSource
from tests.sources.trees import PHOTO, save


READERS = [name for name, cls in SOURCES.items() if issubclass(cls, LabelledSource)]


@pytest.mark.parametrize("name", READERS)
def test_a_folder_of_something_else_is_refused_with_what_was_looked_for(name, tmp_path):
    with pytest.raises(InputError, match="holds no images of|No .* in|holds no"):
        open_source(name, data_dir=tmp_path)
    with pytest.raises(InputError, match="does not exist; give the folder that holds"):
        open_source(name, data_dir=tmp_path / "nowhere")


def test_splits_have_our_names_and_are_found_by_both(tmp_path):
    for folder in ("val", "train"):
        save(tmp_path / folder / "a.png", PHOTO)
        save(tmp_path / f"{folder}annot" / "a.png", np.zeros((32, 64), np.uint8))
    source = open_source("camvid", data_dir=tmp_path)
    assert source.splits() == ("train", "validation") and source.frames("val") == source.frames("validation")
    with pytest.raises(InputError, match="No split 'test': .* has train, validation"):
        source.frames("test")


def test_the_size_is_that_of_the_upright_picture(tmp_path):
    turned = Image.fromarray(np.zeros((64, 32, 3), np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    (tmp_path / "train").mkdir()
    turned.save(tmp_path / "train/a.jpg", exif=exif)
    save(tmp_path / "trainannot/a.png", np.zeros((32, 64), np.uint8))
    (frame,) = open_source("camvid", data_dir=tmp_path).frames("train")
    assert frame.truth().label_ids.shape == frame.image().shape[:2] == (32, 64)
