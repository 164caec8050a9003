"""Opening a source by its name."""

from __future__ import annotations

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mapillary"}, "Unknown source 'mapillary'; known are scenes, cityscapes, folder"),
        ({"name": "folder"}, "The source 'folder' needs --data-dir DIR, the folder with the images"),
        ({"name": "scenes", "data_dir": "/x"}, "takes no 'data_dir'"),
        ({"name": "folder", "data_dir": "/does/not/exist"}, "does not exist"),
        ({"name": "scenes", "train": 0, "validation": 0}, "ask for at least one"),
    ],
)
def test_opening_badly(arguments, message):
    with pytest.raises(InputError, match=message):
        open_source(**arguments)
