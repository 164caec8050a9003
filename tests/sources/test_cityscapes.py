"""The Cityscapes tree."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import CityscapesSource, open_source
from mbps_dataset.sources.frame import FrameHas
from mbps_dataset.sources.stereo_video import missing_for_stereo_video, read_stereo_video
from tests.sources.trees import PHOTO, cityscapes_tree, save


def test_cityscapes_tree(tmp_path):
    source = CityscapesSource(cityscapes_tree(tmp_path))
    assert source.splits() == ("train", "validation") and source.has_truth
    assert [f.image_id for f in source.frames("train")] == ["aachen_000002_000019", "ulm_000001_000019"]
    assert source.frames("val") == source.frames("validation")
    truth = source.frames("val")[0].truth()
    assert truth is not None and (truth.label_ids == 26).all() and (truth.instance_ids == 26001).all()
    assert open_source(**source.describe()).frames("train")[0].digest() == source.frames("train")[0].digest()


def test_cityscapes_companions_are_optional(tmp_path):
    frame = CityscapesSource(cityscapes_tree(tmp_path, truth=False)).frames("train")[0]
    assert frame.truth() is None
    assert frame.right_path() is None and frame.camera_path() is None and frame.neighbour(1) is None
    right = save(tmp_path / "rightImg8bit/train/aachen/aachen_000002_000019_rightImg8bit.png", PHOTO)
    following = save(tmp_path / "leftImg8bit_sequence/train/aachen/aachen_000002_000020_leftImg8bit.png", PHOTO)
    assert frame.right_path() == right and frame.neighbour(1).path == following


def test_missing_images_name_the_path(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/leftImg8bit does not exist"):
        CityscapesSource(tmp_path)
    (tmp_path / "leftImg8bit/train").mkdir(parents=True)
    with pytest.raises(InputError, match="No image matches"):
        CityscapesSource(tmp_path)
    with pytest.raises(InputError, match="No split 'test': .*leftImg8bit/test holds no images"):
        CityscapesSource(cityscapes_tree(tmp_path)).frames("test")


def test_what_systems_leave_in_the_tree_is_no_image(tmp_path):
    root = cityscapes_tree(tmp_path)
    for name in (
        "train/aachen/._aachen_000002_000019",
        "train/.old/ulm_000009_000019",
        "train/__MACOSX/ulm_000008_000019",
    ):
        save(root / f"leftImg8bit/{name}_leftImg8bit.png", PHOTO)
    save(root / "leftImg8bit/train/ulm/ulm_000003_000019_leftImg8bit.PNG", PHOTO)
    found = [frame.image_id for frame in CityscapesSource(root).frames("train")]
    assert found == ["aachen_000002_000019", "ulm_000001_000019", "ulm_000003_000019"]


def test_two_images_of_one_name_are_an_error(tmp_path):
    root = cityscapes_tree(tmp_path)
    save(root / "leftImg8bit/train/ulm/aachen_000002_000019_leftImg8bit.png", PHOTO)
    with pytest.raises(InputError, match="aachen_000002_000019: 2 images have this name .*begin with their city"):
        CityscapesSource(root)


def test_a_name_that_is_not_utf8_is_a_frame_that_says_so(tmp_path):
    root = cityscapes_tree(tmp_path)
    save(Path(os.fsdecode(os.fsencode(root) + b"/leftImg8bit/train/ulm/\xfflm_leftImg8bit.png")), PHOTO)
    frame = CityscapesSource(root).frames("train")[0]
    assert frame.image_id == "\\xfflm"
    with pytest.raises(InputError, match="its name is not UTF-8"):
        frame.digest()


CAMERA = {"extrinsic": {"baseline": 0.209313}, "intrinsic": {"fx": 70.0, "fy": 71.0, "u0": 34.0, "v0": 16.5}}


def sequence_tree(root: Path, *, camera_frame: int = 19) -> Path:
    """One snippet of frames 18 to 20, both eyes, with one camera file; and another sequence's camera file."""
    for number in (18, 19, 20):
        for side, base in (("left", 0), ("right", 100)):
            name = f"train/ulm/ulm_000001_{number:06d}_{side}Img8bit.png"
            save(root / f"{side}Img8bit_sequence" / name, PHOTO + np.uint8(base + number))
            if number == 19:
                save(root / f"{side}Img8bit" / name, PHOTO + np.uint8(base + number))
    for stem in (f"ulm_000001_{camera_frame:06d}", "ulm_000002_000019", "ulm_0000010_000019"):
        path = root / f"camera/train/ulm/{stem}_camera.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(CAMERA))
    return root


def test_a_frame_has_its_right_eye_its_neighbours_and_its_camera(tmp_path):
    (frame,) = CityscapesSource(sequence_tree(tmp_path)).frames("train")
    video = read_stereo_video(frame)
    assert [image[0, 0, 0] for image in (video.left, video.right, video.next_left, video.next_right)] == [
        19,
        119,
        20,
        120,
    ]
    assert video.camera.intrinsics.tolist() == [[70, 0, 34], [0, 71, 16.5], [0, 0, 1]]
    assert video.camera.baseline_m == 0.209313 and video.camera.image_hw == (32, 64)
    following = frame.next_frame()
    assert following.image_id == "ulm_000001_000020" and following.next_frame() is None
    assert frame.neighbour(-1).image()[0, 0, 0] == 18 and following.has() == FrameHas(True, False, True)


@pytest.mark.parametrize(("camera_frame", "served"), [(39, True), (40, False), (0, True), (21, True)])
def test_the_nearest_camera_file_of_the_sequence_serves_up_to_20_frames_away(tmp_path, camera_frame, served):
    (frame,) = CityscapesSource(sequence_tree(tmp_path, camera_frame=camera_frame)).frames("train")
    assert frame.has().camera is served and (frame.camera() is not None) is served
    assert missing_for_stereo_video(frame) == (None if served else "no camera file")
    nearer = tmp_path / "camera/train/ulm/ulm_000001_000018_camera.json"
    nearer.write_text(json.dumps(CAMERA))
    assert frame.camera_path() == nearer


def test_with_sequence_every_frame_is_listed(tmp_path):
    source = CityscapesSource(sequence_tree(tmp_path), sequence=True)
    frames = source.frames("train")
    assert [frame.image_id for frame in frames] == [f"ulm_000001_0000{number}" for number in (18, 19, 20)]
    assert frames[0].second_eye()[0, 0, 0] == 118 and frames[0].next_frame().image_id == frames[1].image_id
    assert [frame.image_id for frame in open_source(**source.describe()).frames("train")] == [
        f.image_id for f in frames
    ]
    assert "sequence" not in CityscapesSource(tmp_path).describe()


def test_a_tree_of_sequences_alone_says_how_it_is_read(tmp_path):
    (sequence_tree(tmp_path) / "leftImg8bit").rename(tmp_path / "elsewhere")
    assert len(CityscapesSource(tmp_path, sequence=True).frames("train")) == 3
    with pytest.raises(InputError, match="It holds leftImg8bit_sequence: give --source-option sequence=true."):
        CityscapesSource(tmp_path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"intrinsic": CAMERA["intrinsic"]}, "not a Cityscapes camera file (KeyError('extrinsic'))"),
        ({**CAMERA, "extrinsic": {"baseline": 0}}, "A camera's baseline_m must be positive, but is 0."),
        ({**CAMERA, "intrinsic": {"fx": 2262.5, "fy": 2265.3, "u0": 1096.98, "v0": 513.1}},
         "its principal point (1096.98, 513.1) is not near the middle of an image of 64x32"),
    ],
)  # fmt: skip
def test_a_camera_that_does_not_fit_names_its_file(tmp_path, document, message):
    (frame,) = CityscapesSource(sequence_tree(tmp_path)).frames("train")
    frame.camera_path().write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        frame.camera()
    assert str(caught.value).startswith(f"{frame.camera_path()}: ") and message in str(caught.value)


def test_coarse_labels_and_the_images_that_have_no_others(tmp_path):
    cityscapes_tree(tmp_path)
    stem = "augsburg_000000_000000"
    save(tmp_path / f"leftImg8bit/train_extra/augsburg/{stem}_leftImg8bit.png", PHOTO)
    for folder, city, name in (("train_extra", "augsburg", stem), ("train", "ulm", "ulm_000001_000019")):
        for kind, dtype in (("labelIds", np.uint8), ("instanceIds", np.uint16)):
            save(tmp_path / f"gtCoarse/{folder}/{city}/{name}_gtCoarse_{kind}.png", np.full((32, 64), 23, dtype))
    source = open_source("cityscapes", data_dir=tmp_path, coarse=True)
    assert source.splits() == ("train", "validation", "train_extra")
    assert {frame.image_id: frame.truth() is not None for split in source.splits() for frame in source.frames(split)} == {
        "aachen_000002_000019": False, "ulm_000001_000019": True, "lindau_000000_000019": False, stem: True,
    }  # fmt: skip
    assert source.frames("train_extra")[0].truth().label_ids.max() == 23
    assert open_source(**source.describe()).frames("train_extra") == source.frames("train_extra")
