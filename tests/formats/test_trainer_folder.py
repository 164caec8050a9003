from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.cli import main
from mbps_dataset.errors import InputError
from mbps_dataset.formats.attached_images import AttachedImages
from mbps_dataset.formats.layouts import LAYOUTS
from mbps_dataset.formats.opening import label_rows
from mbps_dataset.formats.segmentation_sets import open_labels
from mbps_dataset.formats.trainer_folder import at_size, ordered_categories
from mbps_dataset.formats.training_set import open_training_set
from mbps_dataset.formats.writing import export
from tests.formats.label_sets import HEIGHT, IDS, WIDTH, photographs, random_label_set


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return random_label_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_image_is_linked_beside_its_labels(labels, images, tmp_path, layout) -> None:
    result = export(labels, tmp_path / "out", layout, images=AttachedImages(images))
    module, back = LAYOUTS[layout], open_labels(tmp_path / "out")
    for split, ids in IDS.items():
        document = json.loads((tmp_path / "out" / module.location(result.description, split)).read_text())
        here = module.PLACES.of(split)
        assert [each["id"] for each in document["images"]] == list(range(1, len(ids) + 1))
        for image_id, image, annotation in zip(ids, document["images"], document["annotations"], strict=True):
            placed = tmp_path / "out" / here.images / image["file_name"]
            assert placed.is_symlink() and placed.resolve() == images / f"{image_id}.png"
            assert (image["height"], image["width"]) == (HEIGHT, WIDTH)
            assert annotation["image_id"] == image["id"]
            assert (tmp_path / "out" / here.pictures / annotation["file_name"]).is_file()
            row = next(row for row in label_rows(labels, split) if row.image_id == image_id)
            assert [s["id"] for s in annotation["segments_info"]] == [s["id"] for s in row.segments]
            assert np.array_equal(back[image_id].semantic == 255, row.panoptic == 0)
    readme = (tmp_path / "out/README.md").read_text()
    assert "Images are links where they can be." in readme and f"as {layout}" in readme


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_with_images_is_a_set_to_train_on(labels, images, tmp_path, layout) -> None:
    export(labels, tmp_path / "out", layout, images=AttachedImages(images))
    opened = open_training_set(str(tmp_path / "out"), data_dir=images)
    own = open_training_set(str(labels.root), data_dir=images)
    assert opened.class_names == own.class_names and opened.made_by.ground_truth_used == ()
    assert [len(sample.class_ids) for sample in opened.samples] == [len(sample.class_ids) for sample in own.samples]


def test_images_of_the_set_are_written(built, tmp_path) -> None:
    export(built, tmp_path / "out", "lightly", splits=["train"])
    rows = {row.image_id: row for row in built.rows("train")}
    placed = sorted((tmp_path / "out/images/train").iterdir())
    assert len(placed) == len(rows) and not any(path.is_symlink() for path in placed)
    for path, image_id in zip(placed, sorted(rows), strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), rows[image_id].image)


def test_labels_are_brought_to_the_size_of_their_image(labels, tmp_path) -> None:
    large = photographs(tmp_path / "large", size=(2 * HEIGHT, 2 * WIDTH))
    export(labels, tmp_path / "out", "mmdet", images=AttachedImages(large), splits=["train"])
    back = open_labels(tmp_path / "out")
    for row in label_rows(labels, "train"):
        assert back[row.image_id].semantic.shape == (2 * HEIGHT, 2 * WIDTH)
        assert np.array_equal(back[row.image_id].semantic[::2, ::2] == 255, row.panoptic == 0)
        doubled, half = at_size(row, 2 * HEIGHT, 2 * WIDTH), at_size(row, HEIGHT // 8, WIDTH // 8)
        assert [s["area"] for s in doubled.segments] == [4 * s["area"] for s in row.segments]
        assert all(s["area"] == (half.panoptic == s["id"]).sum() > 0 for s in half.segments)
        assert at_size(row, HEIGHT, WIDTH) is row


def test_things_come_first_among_the_categories(labels, images, tmp_path) -> None:
    result = export(labels, tmp_path / "out", "mmdet", images=AttachedImages(images))
    listed = [(each["isthing"], each["id"]) for each in ordered_categories(result.description)]
    things = sorted(result.description.things)
    assert listed == [(1, k) for k in things] + [(0, k) for k in range(19) if k not in things]


def test_the_command_exports_a_layout_and_says_what_is_missing(labels, images, tmp_path, capsys) -> None:
    command = ["export", str(labels.root), str(tmp_path / "out"), "--layout", "lightly"]
    assert main(command) == 1
    assert "holds labels without images" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*command, "--data-dir", str(images)]) == 0
    told = capsys.readouterr().out
    assert "4 images exported as lightly" in told and "held      images; segment ids" in told
    assert main([*command[:2], str(tmp_path / "other"), "--layout", "mmdet", "--source", "folder"]) == 1
    assert "--source says how a folder of images is read; give the folder too" in capsys.readouterr().err
    with pytest.raises(InputError, match="coco-panoptic holds labels only; --data-dir and --source are for --layout"):
        export(labels, tmp_path / "coco", "coco-panoptic", images=AttachedImages(images))
