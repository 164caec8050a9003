"""Any label set is images with labels to train on; what cannot be trained on is said in one line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset import taxonomy
from mbps_dataset.errors import InputError
from mbps_dataset.formats.training_set import NOT_OURS, LabelledImages, open_training_set
from mbps_dataset.formats.writing import export
from tests.formats.label_sets import IDS, random_label_set


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A photograph for every image id of the random sets."""
    root = tmp_path_factory.mktemp("images")
    for number, image_id in enumerate((*IDS["train"], *IDS["validation"])):
        path = root / f"{image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (40, 64, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def test_a_built_set_with_its_images(built) -> None:
    opened = open_training_set(str(built.root))
    assert len(opened.samples) == 3 and opened.class_names == built.calibration.class_names
    for sample, row in zip(opened.samples, built.rows("train"), strict=True):
        assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), row.image)
        assert np.array_equal(sample.semantic.numpy(), row.semantic)
        assert np.array_equal(sample.instance.numpy(), row.instance)
        assert sample.class_ids.tolist() == [s["category_id"] for s in row.segments if s["isthing"]]
    assert opened.samples[0] is opened.samples[0]
    made_by = opened.made_by
    assert made_by.identity == built.document["identity"] and made_by.rows == built.document["digests"]["rows"]
    assert made_by.licence == "apache-2.0" and made_by.ground_truth_used == () and not made_by.named
    assert made_by.supervision == built.document["supervision"] and made_by.splits == ("train",)
    both = open_training_set(str(built.root), splits=("train", "validation"))
    assert len(both.samples) == 5 and len(open_training_set(str(built.root), limit=2).samples) == 2
    opened.require_trainable()
    validation = open_training_set(str(built.root), usual="validation")
    assert len(validation.samples) == 2 and len(open_training_set(str(built.root), usual="test").samples) == 5


def test_memory_is_bounded(built) -> None:
    held = open_training_set(str(built.root)).samples
    none = LabelledImages(held._entries, memory_bytes=10)
    assert none[0] is not none[0] and np.array_equal(none[0].image, held[0].image)


def test_a_set_without_images_says_how_to_attach_them(named, images, tmp_path) -> None:
    with pytest.raises(InputError, match=r"holds labels without images: .*Attach them with --data-dir DIR"):
        open_training_set(str(named.root))
    opened = open_training_set(str(named.root), data_dir=images)
    assert opened.samples.image_ids == list(IDS["train"]) and opened.made_by.named
    assert np.array_equal(opened.samples[1].image.permute(1, 2, 0), np.asarray(Image.open(images / "a/b c.png")))
    shutil.copytree(images, tmp_path / "few")
    (tmp_path / "few/a/b c.png").unlink()
    with pytest.raises(InputError, match="no image for 1 of 3 labels, e.g. a/b c; give the folder"):
        open_training_set(str(named.root), data_dir=tmp_path / "few")


def test_an_export_is_the_set_it_was_made_from(named, images, tmp_path) -> None:
    export(named, tmp_path / "coco", "coco-panoptic")
    opened = open_training_set(str(tmp_path / "coco"), data_dir=images)
    own = open_training_set(str(named.root), data_dir=images)
    assert opened.class_names == own.class_names and opened.things == own.things
    assert opened.made_by.identity == own.made_by.identity and opened.made_by.ground_truth_used == ()
    for one, other in zip(opened.samples, own.samples, strict=True):
        assert np.array_equal(one.image, other.image)
        held = other.instance.numpy()
        assert {one.instance.numpy()[held == k].min() for k in np.unique(held)} == set(np.unique(one.instance.numpy()))
    changed = next((tmp_path / "coco").rglob("*train*.json"))
    changed.write_text(changed.read_text().replace('"score"', '"scored"', 1) + " ")
    assert (
        "changed outside" in open_training_set(str(tmp_path / "coco"), data_dir=images).made_by.ground_truth_used[-1]
    )
    with pytest.raises(InputError, match="holds labels without images"):
        open_training_set(str(tmp_path / "coco"))


def test_labels_of_another_tool_are_not_label_free(images, tmp_path) -> None:
    for image_id in IDS["train"]:
        semantic = np.zeros((40, 64), np.uint8)
        semantic[:, 30:] = 13  # cars whose instances nobody tells apart
        path = tmp_path / "maps" / f"{image_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(semantic).save(path)
    opened = open_training_set(str(tmp_path / "maps"), data_dir=images)
    assert opened.class_names == taxonomy.NAMES_19 and opened.made_by.ground_truth_used == (NOT_OURS,)
    assert (opened.samples[0].semantic[:, 30:] == 255).all() and not (opened.samples[0].semantic[:, :30]).any()
    with pytest.raises(InputError, match="no image has a thing, and a panoptic network learns things"):
        opened.require_trainable()
    before = opened.made_by.identity
    Image.fromarray(np.zeros((40, 64), np.uint8)).save(tmp_path / "maps" / f"{IDS['train'][0]}.png")
    assert open_training_set(str(tmp_path / "maps"), data_dir=images).made_by.identity != before
    with pytest.raises(InputError, match="it does not know where they are. Attach them with --data-dir"):
        open_training_set(str(tmp_path / "maps"))


def test_what_no_network_can_learn_from(named, images, tmp_path) -> None:
    opened = open_training_set(str(named.root), data_dir=images)
    opened.require_trainable()
    with pytest.raises(InputError, match="has 1 image; a network would only learn to repeat it"):
        open_training_set(str(named.root), data_dir=images, limit=1).require_trainable()
    stuff = replace(opened, things=())
    with pytest.raises(InputError, match="no class is a thing, and a panoptic network learns things; build it with"):
        stuff.require_trainable()
    many = open_training_set(str(random_label_set(tmp_path / "many", classes=300, named=False).root), data_dir=images)
    with pytest.raises(InputError, match="has 300 classes; networks take at most 255"):
        many.require_trainable()
    void = [replace(entry, segments=0, things=0) for entry in opened.samples._entries]
    with pytest.raises(InputError, match="every pixel of every image is void"):
        replace(opened, samples=LabelledImages(void)).require_trainable()


def test_classes_that_differ_between_sets(named, images) -> None:
    opened = open_training_set(str(named.root), data_dir=images)
    names, things = list(opened.class_names), list(opened.things)
    opened.require_same_classes(names, things, "other")
    with pytest.raises(InputError, match=r"Classes differ: class 1 is 'sidewalk' in .*named and 'path' in other"):
        opened.require_same_classes([names[0], "path", *names[2:]], things, "other")
    with pytest.raises(InputError, match=r"Classes differ: class 18 is 'bicycle' in .*named and none in other"):
        opened.require_same_classes(names[:-1], things, "other")
    with pytest.raises(InputError, match=r"Classes differ: 'person' is a thing in .*named and stuff in other"):
        opened.require_same_classes(names, things[1:], "other")
