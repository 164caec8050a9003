"""Ground truth in COCO's panoptic form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources.coco_segments import read_panoptic_file
from tests.sources import streets
from tests.sources.trees import save


CATEGORIES = [
    {"id": 7, "name": "road"},
    {"id": 23, "name": "sky"},
    {"id": 24, "name": "person"},
    {"id": 26, "name": "car"},
]


def segments_of(labels: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Ids [H, W] and their list: every object, each class that is no thing, and the group, a crowd."""
    ids, listed = np.zeros(labels.shape, np.int64), []
    for label_id, number in sorted({*zip(labels.ravel().tolist(), objects.ravel().tolist())}):
        if label_id == streets.VOID:
            continue
        segment = 70_000 * (label_id - 6) + number + 1
        ids[(labels == label_id) & (objects == number)] = segment
        crowd = int(label_id in (streets.PERSON, streets.CAR) and number == 0)
        listed.append({"id": segment, "category_id": label_id, "iscrowd": crowd, "area": 1, "bbox": [0, 0, 1, 1]})
    return ids, listed


def write(path: Path, images: dict[str, str], **more: Any) -> Path:
    """A JSON and its PNGs, whose names `images` gives, with those of the pictures."""
    annotations, pictures = [], []
    for number, (png, picture) in enumerate(images.items()):
        quiet = "quiet" in png
        labels, objects = (streets.QUIET, 0 * streets.OBJECTS) if quiet else (streets.BUSY, streets.OBJECTS)
        ids, listed = segments_of(labels, objects)
        save(path.with_suffix("") / png, streets.as_colours(ids))
        annotations.append({"image_id": number, "file_name": png, "segments_info": listed})
        pictures.append({"id": number, "file_name": picture, "height": 32, "width": 64})
    document = {"annotations": annotations, "images": pictures, "categories": CATEGORIES} | more
    path.write_text(json.dumps(document))
    return path


def test_segments_become_objects_groups_and_stuff(tmp_path):
    found = read_panoptic_file(write(tmp_path / "p.json", {"busy.png": "busy.jpg", "quiet.png": "quiet.jpg"}))
    busy, quiet = (found.truth(each, tmp_path / "p" / each.png) for each in found.annotations)
    assert np.array_equal(busy.label_ids, streets.BUSY) and np.array_equal(busy.instance_ids, streets.BUSY_INSTANCES)
    assert np.array_equal(quiet.instance_ids, streets.QUIET) and found.annotations[0].picture == "busy.jpg"


def test_a_png_of_another_image_and_one_that_is_gone_are_refused(tmp_path):
    found = read_panoptic_file(write(tmp_path / "p.json", {"busy.png": "a.jpg", "quiet.png": "b.jpg"}))
    with pytest.raises(
        InputError, match="p.json: busy.png: segment 70001 is listed and not in the PNG|in the PNG and not listed"
    ):
        found.truth(found.annotations[0], tmp_path / "p/quiet.png")
    with pytest.raises(InputError, match="gone.png"):
        found.truth(found.annotations[0], tmp_path / "p/gone.png")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"categories": [{"id": 1, "name": "cobblestone"}]},
            "the category 'cobblestone' .1 such. is no class of Cityscapes",
        ),
        ({"annotations": [{"file_name": "a.png", "segments_info": []}] * 2}, "a.png is annotated twice"),
        ({"annotations": 3}, "cannot be read as a COCO panoptic file"),
        ({"categories": None}, "cannot be read as a COCO panoptic file"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(tmp_path, changed, message):
    with pytest.raises(InputError, match=f"p.json: {message}"):
        read_panoptic_file(write(tmp_path / "p.json", {"busy.png": "a.jpg"}, **changed))


def test_a_category_that_is_not_listed_is_refused(tmp_path):
    found = read_panoptic_file(write(tmp_path / "p.json", {"quiet.png": "a.jpg"}, categories=CATEGORIES[1:]))
    with pytest.raises(InputError, match="has the category 7, which is not in `categories`"):
        found.truth(found.annotations[0], tmp_path / "p/quiet.png")
