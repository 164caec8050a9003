"""KITTI MOTS and MOTSChallenge, as PNG and as run lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import InputError
from mbps_dataset.sources import open_source
from mbps_dataset.sources.mask_encoding import encode_segmentation
from tests.sources import streets
from tests.sources.trees import PHOTO, save


CLASS = {streets.CAR: 1, streets.PERSON: 2}
NUMBERS = np.zeros(streets.HW, np.int64)
NUMBERS[:4] = 10_000
for label, class_id in CLASS.items():
    inside = (streets.BUSY == label) & (streets.OBJECTS > 0)
    NUMBERS[inside] = 1000 * class_id + streets.OBJECTS[inside]


def lines(frame: int, numbers: np.ndarray) -> str:
    rows = []
    for number in np.unique(numbers[numbers > 0]).tolist():
        counts = encode_segmentation(np.flatnonzero(numbers == number), streets.HW)["counts"]
        rows.append(f"{frame} {number} {number // 1000} 32 64 {counts}\n")
    return "".join(rows)


def kitti(root: Path, *, text: bool) -> Path:
    for sequence in ("0001", "0002"):
        for number, numbers in ((0, NUMBERS), (1, 0 * NUMBERS)):
            save(root / f"training/image_02/{sequence}/{number:06d}.png", PHOTO)
            if not text:
                save(root / f"instances/{sequence}/{number:06d}.png", numbers.astype(np.uint16))
        if text:
            path = root / f"instances_txt/{sequence}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(lines(0, NUMBERS))
    save(root / "testing/image_02/0000/000000.png", PHOTO)
    return root


def challenge(root: Path) -> Path:
    for number in (1, 2):
        save(root / f"train/MOTS20-02/img1/{number:06d}.jpg", PHOTO)
    save(root / "test/MOTS20-01/img1/000001.jpg", PHOTO)
    path = root / "train/MOTS20-02/gt/gt.txt"
    path.parent.mkdir()
    path.write_text(lines(1, NUMBERS))
    return root


def check(frames) -> None:
    busy, empty = (frame.truth() for frame in frames)
    expected = np.where(NUMBERS >= 10_000, 0, np.where(NUMBERS >= 2000, 24, np.where(NUMBERS >= 1000, 26, 4)))
    assert np.array_equal(busy.label_ids, expected)
    assert (
        busy.instance_ids[10, 0] == 26001 and busy.instance_ids[20, 40] == 26002 and busy.instance_ids[15, 31] == 24001
    )
    assert busy.instance_ids[26, 55] == 4 and set(empty.instance_ids.ravel().tolist()) == {4}


@pytest.mark.parametrize("text", [False, True])
def test_kitti_is_split_by_sequences(tmp_path, text):
    source = open_source("mots", data_dir=kitti(tmp_path, text=text))
    assert source.splits() == ("train", "validation", "test") and not source.frames("test")[0].has_truth
    assert [frame.image_id for frame in source.frames("validation")] == ["0002/000000", "0002/000001"]
    check(source.frames("train"))
    check(source.frames("validation"))
    assert open_source(**source.describe()).frames("train") == source.frames("train")
    assert source.frames("train")[0].next_frame().image_id == "0001/000001"


def test_a_missing_file_is_named(tmp_path):
    for text, name in ((False, "instances/0001/000000.png"), (True, "instances_txt/0001.txt")):
        source = open_source("mots", data_dir=kitti(tmp_path / name, text=text))
        streets.check_missing(source, tmp_path / name / name)


def test_the_challenge_counts_frames_from_one(tmp_path):
    source = open_source("mots", data_dir=challenge(tmp_path))
    assert source.splits() == ("train", "test") and source.frames("train")[0].image_id == "MOTS20-02/000001"
    check(source.frames("train"))


def test_the_challenge_in_folders_of_instances(tmp_path):
    for number, numbers in ((1, NUMBERS), (2, 0 * NUMBERS)):
        save(tmp_path / f"train/images/0002/{number:06d}.jpg", PHOTO)
        save(tmp_path / f"train/instances/0002/{number:06d}.png", numbers.astype(np.uint16))
    check(open_source("mots", data_dir=tmp_path).frames("train"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2001 2 32 64\n", "line 1 is not 'frame object class height width counts'"),
        (lines(1, NUMBERS) + "1 2001 1 32 64 abc\n", "line 5 is not"),
        ("1 2001 2 16 64 abc\n", "frame 1: a mask of 64x16 for an image of 64x32"),
        (2 * lines(1, NUMBERS), "frame 1: object 1001 overlaps another"),
        ("1 2001 2 32 64 ~~~\n", "frame 1: object 2001: "),
        (lines(1, np.where(NUMBERS == 1001, 5001, 0)), "holds the id 5, which is no class of MOTS"),
    ],
)
def test_what_is_no_text_of_mots_is_refused(tmp_path, text, message):
    root = challenge(tmp_path)
    (root / "train/MOTS20-02/gt/gt.txt").write_text(text)
    with pytest.raises(InputError, match=f"gt.txt: {message}"):
        open_source("mots", data_dir=root).frames("train")[0].truth()
