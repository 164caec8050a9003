"""The folder that appears whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.formats.target import CocoFile, save_segment_ids, whole_folder


def test_the_target_is_there_only_at_the_end(tmp_path):
    with whole_folder(tmp_path / "a/b/out") as folder:
        (folder / "x").write_text("x")
        assert not (tmp_path / "a/b/out").exists()
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["out"]
    assert (tmp_path / "a/b/out/x").read_text() == "x"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_breaks_off_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        with whole_folder(tmp_path / "out") as folder:
            (folder / "x").write_text("x")
            raise error
    assert list(tmp_path.iterdir()) == []


def test_what_came_there_meanwhile_is_kept(tmp_path):
    with pytest.raises(OSError, match="cannot be written.*nothing was left there"):
        with whole_folder(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out/theirs").write_text("theirs")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


def test_a_link_is_no_target(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="out is not a folder"):
        with whole_folder(tmp_path / "out"):
            pass


def test_segment_ids_use_all_three_channels(tmp_path):
    ids = np.array([[0, 255, 256, 65_535, 65_536, 2**24 - 1]])
    save_segment_ids(tmp_path / "x.png", ids)
    assert np.array_equal(np.array(Image.open(tmp_path / "x.png")).astype(int) @ [1, 256, 65_536], ids)


def test_a_coco_file_is_json_with_and_without_images(tmp_path):
    for count in (0, 1, 3):
        file = CocoFile(tmp_path / f"{count}.json", [{"id": 0, "name": "ü"}], {"recipe": "mbps"})
        for k in range(count):
            file.add({"id": k}, {"image_id": k, "file_name": "ü"})
        file.close()
        data = json.loads((tmp_path / f"{count}.json").read_text(encoding="utf-8"))
        assert (
            [entry["image_id"] for entry in data["annotations"]]
            == list(range(count))
            == [i["id"] for i in data["images"]]
        )
        assert data["categories"] == [{"id": 0, "name": "ü"}] and data["info"] == {"recipe": "mbps"}
