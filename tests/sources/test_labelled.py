"""What readers of data sets share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.metrics import PanopticQuality
from mbps_dataset.scoring.label_set_labels import labels_of_truth
from mbps_dataset.sources import SOURCES, open_source
from mbps_dataset.sources.labelled import LabelledSource
from tests.sources import streets
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


FORMS = {  # ids of the label ids 0, 7, 11, 23, 24 and 26, and how classes, objects and groups become a file
    "kitti-panoptic": (None, "training/images", "training/annotations",
                       lambda c, o, g: streets.as_colours(np.where(o > 0, 1000 * c.astype(int) + o, c))),
    "kitti": (None, "training/image_2", "training/semantic", lambda c, o, g: c.astype(np.uint8)),
    "bdd100k": ((0, 7, 10, 30, 31, 35), "images/10k/train", "labels/pan_seg/bitmasks/train",
                lambda c, o, g: np.stack([c, 2 * g, o >> 8, o & 255], axis=-1).astype(np.uint8)),
    "kitti-step": ((255, 0, 2, 10, 11, 13), "images/train/0000", "panoptic_maps/train/0000",
                   lambda c, o, g: np.stack([c, o >> 8, o & 255], axis=-1).astype(np.uint8)),
    "waymo": ((0, 20, 19, 25, 9, 2), "training/camera_image/s", "training/camera_segmentation/s",
              lambda c, o, g: (1000 * c.astype(int) + o).astype(np.uint16)),
}  # fmt: skip


def written(form: str, root: Path, labels: np.ndarray, objects: np.ndarray) -> Path:
    ids, images, annotations, encoded = FORMS[form]
    table = dict(zip((0, 7, 11, 23, 24, 26), ids)) if ids else {k: k for k in (0, 7, 11, 23, 24, 26)}
    group = np.isin(labels, (24, 26)) & (objects == 0)
    save(root / images / "a_10.png", PHOTO)
    save(root / annotations / "a_10.png", encoded(streets.mapped(labels, table, np.int32), objects, group))
    if form == "kitti":
        save(root / "training/instance/a_10.png", (256 * labels.astype(int) + objects).astype(np.uint16))
    return root


@pytest.mark.parametrize("seed", range(3))
def test_a_score_does_not_depend_on_the_form_of_the_truth(seed, tmp_path):
    """The same random street in every form gives the same PQ, SQ and RQ to the last digit, groups and void included."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (8, 16))
    labels = np.kron(np.array([0, 7, 11, 23, 24, 26, 24, 26, 7])[blocks], np.ones((4, 4), int)).astype(np.uint8)
    objects = np.kron(rng.integers(0, 4, (8, 16)), np.ones((4, 4), int)) * np.isin(labels, (24, 26))
    noise = rng.random(streets.HW) < 0.25
    semantic = taxonomy.LABEL_ID_TO_TRAIN_ID[
        np.where(noise, rng.permutation(labels.ravel()).reshape(streets.HW), labels)
    ]
    results = {}
    for form in FORMS:
        source = open_source(form, data_dir=written(form, tmp_path / form, labels, objects))
        (frame,) = source.frames("train")
        for convention in ("coco", "cups"):
            metric = PanopticQuality(taxonomy.THINGS_19, taxonomy.STUFF_19, convention=convention)
            metric.update(semantic, objects + noise, **labels_of_truth(frame, 19).as_truth())
            results[form, convention] = str(metric.compute().to_dict())
    assert len(set(results.values())) == 2 and "'pq': 0." in results["waymo", "coco"]
