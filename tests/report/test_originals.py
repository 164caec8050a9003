"""What is left of the images a label set was built from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.labelset.folder import LabelSetFolder
from mbps_dataset.report.originals import open_originals
from tests.tiny import tiny_label_set, write_photographs


@pytest.fixture(scope="module")
def of_photographs(inputs, settings, tmp_path_factory) -> LabelSetFolder:
    """A label set of photographs; they stay where they are."""
    from mbps_dataset.labelset.build import build

    output = tmp_path_factory.mktemp("photographs") / "set"
    build(tiny_label_set(inputs, output / "stages", settings), output, workers=1, progress=False)
    return LabelSetFolder(output)


def moved(built: LabelSetFolder, path) -> LabelSetFolder:
    """The set, remembering images in a folder that is not there."""
    copy = LabelSetFolder(built.root)
    copy.__dict__["document"] = built.document | {"source": {"name": "folder", "data_dir": str(path)}}
    return copy


def labels_of_cars(folder, image_ids) -> None:
    folder.mkdir()
    for image_id in image_ids:
        label_ids = np.full((64, 96), 7, np.uint8)
        label_ids[10:20, 10:20] = 26
        Image.fromarray(label_ids).save(folder / f"{image_id}_labelIds.png")
        instance_ids = label_ids.astype(np.uint16)
        instance_ids[10:20, 10:20] = 26003
        Image.fromarray(instance_ids).save(folder / f"{image_id}_instanceIds.png")


def test_scenes_are_always_there_with_their_truth(built):
    originals = open_originals(built, "validation")
    row = next(built.rows("validation"))
    assert originals.has_truth and originals.fault == ""
    truth = originals.truth_of(row.image_id)
    assert truth is not None and truth.label_ids.shape == (128, 256)
    assert originals.truth_of("another") is None


def test_what_has_moved_is_named_with_what_to_do(of_photographs, tmp_path):
    originals = open_originals(moved(of_photographs, tmp_path / "gone"), "train")
    assert originals.fault.startswith(f"{tmp_path / 'gone'} does not exist")
    assert originals.fault.endswith("name its new place with --data-dir, or ground truth with --truth.")
    assert not originals.has_truth and originals.truth_of("photo_000") is None


def test_the_new_place_is_taken_if_it_holds_the_same_images(of_photographs, inputs, tmp_path):
    gone = moved(of_photographs, tmp_path / "gone")
    originals = open_originals(gone, "train", data_dir=inputs / "photos")
    assert originals.fault == "" and "photo_000" in originals.frames and not originals.has_truth
    with pytest.raises(InputError, match="does not exist"):
        open_originals(gone, "train", data_dir=tmp_path / "nope")
    write_photographs(tmp_path / "others", 2, first=50)
    with pytest.raises(InputError, match="holds no image 'photo_000', which .* has labels of"):
        open_originals(gone, "train", data_dir=tmp_path / "others")
    write_photographs(tmp_path / "swapped", 1, first=50)
    (tmp_path / "swapped/photo_050.png").rename(tmp_path / "swapped/photo_000.png")
    with pytest.raises(InputError, match="'photo_000' is not the one in"):
        open_originals(gone, "train", data_dir=tmp_path / "swapped")


def test_truth_can_be_given_apart_from_images_that_have_gone(of_photographs, tmp_path):
    labels_of_cars(tmp_path / "truth", ["photo_000"])
    originals = open_originals(moved(of_photographs, tmp_path / "gone"), "train", truth=tmp_path / "truth")
    truth = originals.truth_of("photo_000")
    assert originals.has_truth and truth is not None and originals.truth_of("photo_001") is None
    assert np.unique(truth.label_ids).tolist() == [7, 26]
    assert (truth.instance_ids[10:20, 10:20] // 1000 == 26).all() and (truth.instance_ids[0] == 7).all()
    with pytest.raises(InputError, match="nowhere does not exist"):
        open_originals(of_photographs, "train", truth=tmp_path / "nowhere")


def test_photos_are_lent_to_rows_without(built):
    row = next(built.rows("validation"))
    bare = type(row)(row.image_id, None, row.semantic, row.depth, row.instance, row.panoptic, row.segments)
    lent = open_originals(built, "validation").with_photo(bare).image
    assert row.image is not None and np.array_equal(lent, row.image)
