from __future__ import annotations

import pytest

from mbps_dataset.errors import RecipeError
from mbps_dataset.models.panoptic.classes import require_classes


def test_classes_that_fit_pass():
    require_classes(("road", "car"), (1,))
    require_classes(("road",), ())
    require_classes(tuple(map(str, range(255))), (254, 0))


@pytest.mark.parametrize(
    ("names", "things", "message"),
    [
        ((), (), "class_names must be 1 to 255 names, but are 0"),
        (tuple(map(str, range(256))), (), "must be 1 to 255 names, but are 256"),
        (("road", "car", "road"), (), "all different, but 'road' stands there twice"),
        (("road", "car"), (2,), "class ids from 0 to 1, but 2 is none"),
        (("road", "car"), (1, 1), r"but \[1, 1\] holds one twice"),
    ],
)
def test_classes_that_do_not_fit_are_refused(names, things, message):
    with pytest.raises(RecipeError, match=message):
        require_classes(names, things)
