"""Opening a source by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbps_dataset import source_names
from mbps_dataset.errors import InputError
from mbps_dataset.sources import SOURCES, FolderSource, open_source, read_source_options, register, source_of_folder


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


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (["leftImg8bit/train"], "cityscapes"),
        (["leftImg8bit_sequence/train"], "cityscapes"),
        (["training/image_2"], "kitti"),
        (["2011_09_26/2011_09_26_drive_0001_sync/image_02/data"], "kitti"),
        (["2011_09_26_drive_0001_sync/image_02/data"], "kitti"),
        (["image_02/data", "image_03/data"], "kitti"),
        (["left", "right", "calibration.json"], "stereo"),
        (["rgb_anon", "gt"], "acdc"),
        (["images/10k"], "bdd100k"),
        (["annotations/panoptic_val2017.json"], "coco"),
        (["training/images", "training/annotations"], "kitti-panoptic"),
        (["images/train", "panoptic_maps"], "kitti-step"),
        (["training/image_02", "instances_txt"], "mots"),
        (["train/MOTS20-02/img1"], "mots"),
        (["train/images", "train/instances"], "mots"),
        (["frame_camera", "gt_panoptic"], "muses"),
        (["training/images", "config_v2.0.json"], "vistas"),
        (["validation/camera_image"], "waymo"),
        (["left", "right"], "folder"),
        ([], "folder"),
    ],
)
def test_what_a_folder_holds_tells_its_source(tmp_path, held, name):
    for path in held:
        (tmp_path / path).mkdir(parents=True)
    assert source_of_folder(tmp_path) == name and name in SOURCES
    assert source_of_folder(tmp_path / "missing") == "folder"


@pytest.mark.parametrize("data_dir", ["x" * 5000, "~nobody-of-that-name/x"])
def test_what_can_be_no_path_is_said(data_dir):
    with pytest.raises(InputError, match=r"is no path \(.*\); give a folder."):
        source_of_folder(data_dir)


def test_options_of_the_command_line_become_arguments():
    assert read_source_options("cityscapes", ["sequence=true"]) == {"sequence": True}
    assert read_source_options("scenes", ["train=3", "height=192"]) == {"train": 3, "height": 192}
    assert read_source_options("kitti", []) == {}


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        (
            "cityscapes",
            "sequnce=true",
            "'sequnce=true' is no option of the source 'cityscapes'; it has sequence, coarse.",
        ),
        ("scenes", "train", "'train' is no option of the source 'scenes'; it has train, validation, height, width."),
        ("folder", "truth_dir=x", "is no option of the source 'folder'; it has none."),
        (
            "cityscapes",
            "sequence=maybe",
            "the option sequence of the source 'cityscapes' must be of type bool, but 'maybe'",
        ),
        ("scenes", "train=few", "the option train of the source 'scenes' must be of type int, but 'few' was given."),
    ],
)
def test_options_that_a_source_does_not_have_are_refused(name, option, message):
    with pytest.raises(InputError, match=message):
        read_source_options(name, [option])


def test_every_file_of_a_source_is_listed_under_its_name():
    folder = Path(source_names.__file__).parent / "sources"
    listed = {
        path.stem
        for path in folder.glob("*.py")
        if "(LabelledSource)" in path.read_text() or "(Source)" in path.read_text()
    }
    assert listed - {"labelled", "frame", "__init__"} <= {
        place.split(":")[0] for place in source_names.SOURCE_CLASSES.values()
    }
    assert {name: cls.name for name, cls in SOURCES.items()} == {name: name for name in SOURCES}


def test_a_source_of_ones_own_is_known_everywhere(tmp_path):

    class Mine(FolderSource):
        name = "mine"

    try:
        assert register(Mine) is Mine and register(Mine) is Mine
        assert "mine" in source_names.source_names() and SOURCES["mine"] is Mine
        with pytest.raises(InputError, match="holds no image"):
            open_source("mine", data_dir=tmp_path)
        with pytest.raises(InputError, match="A source 'folder' exists already; give yours another name."):
            register(FolderSource)
    finally:
        source_names.REGISTERED.pop("mine")
    with pytest.raises(InputError, match="Unknown source 'mine'"):
        open_source("mine")
