from __future__ import annotations

from pathlib import Path

import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.formats.attached_images import AttachedImages, joined_frames
from mbps_dataset.sources.files import FileFrame
from tests.formats.label_sets import IDS, photographs


def frames(*image_ids: str) -> dict[str, FileFrame]:
    return {image_id: FileFrame(image_id, Path(f"{image_id}.png")) for image_id in image_ids}


def test_images_belong_to_labels_by_id_or_by_a_name_that_only_one_has() -> None:
    there = frames("a/one", "b/two", "a/three", "b/three")
    found = joined_frames("set", ["a/one", "two", "b/three"], there)
    assert {image_id: frame.image_id for image_id, frame in found.items()} == {
        "a/one": "a/one", "two": "b/two", "b/three": "b/three"
    }  # fmt: skip
    with pytest.raises(InputError, match="set: no image for 2 of 3 labels, e.g. three, four; give the folder"):
        joined_frames("set", ["two", "three", "four"], there)


def test_a_folder_that_is_named_comes_before_the_source_of_the_set(tmp_path) -> None:
    photographs(tmp_path / "images")

    def never() -> None:
        raise AssertionError

    found = AttachedImages(tmp_path / "images").frames("set", ["train"], never)
    assert set(found) == {image_id for split in IDS.values() for image_id in split}


def test_without_any_it_is_said_how_images_are_attached() -> None:
    with pytest.raises(
        InputError, match="set holds labels without images: it does not know where they are. Attach them"
    ):
        AttachedImages().frames("set", [], None)
