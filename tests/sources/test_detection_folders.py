"""Folders of detections: SAM's pictures with their table, and arrays that are no masks or scores."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.detections import read_detections


SHAPE = (20, 30)


def mask(row: int) -> np.ndarray:
    found = np.zeros(SHAPE, bool)
    found[row : row + 5, 5:10] = True
    return found


def write_masks(folder: Path, table: str, count: int = 2, inside: int = 255) -> Path:
    """What ``amg.py`` writes for one picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray((mask(number) * inside).astype(np.uint8)).save(folder / f"{number}.png")
    (folder / "metadata.csv").write_text(table, encoding="utf-8")
    return folder


TABLE = "id,area,bbox_x0,predicted_iou,stability_score\n0,25,5,0.9,0.95\n1,25,5,0.7,0.99\n"


def test_folders_of_pictures_as_sam_writes_them(tmp_path: Path) -> None:
    write_masks(tmp_path / "out" / "p0", TABLE)
    write_masks(tmp_path / "out" / "seq" / "p1", "id,area\n0,25\n", count=1, inside=1)
    write_masks(tmp_path / "out" / "p2", "id,area,predicted_iou\n", count=0)
    found = read_detections(tmp_path / "out", ["p0", "seq/p1", "p2"])
    assert found.image_ids == ("p0", "p2", "seq/p1")
    first = found.instances("p0", SHAPE)
    np.testing.assert_array_equal(first.masks(), [mask(0), mask(1)])
    assert first.scores.tolist() == [0.9, 0.7]
    assert found.instances("p0", SHAPE, min_score=0.8).scores.tolist() == [0.9]
    assert found.instances("seq/p1", SHAPE).scores.tolist() == [1.0]
    assert len(found.instances("p2", SHAPE)) == 0


def test_one_such_folder_by_itself(tmp_path: Path) -> None:
    found = read_detections(write_masks(tmp_path / "p0", TABLE), ["p0"])
    assert found.instances("p0", SHAPE).areas.tolist() == [25, 25]


@pytest.mark.parametrize(
    "table, message",
    [
        ("id,area\n0,25\n", r"p0/metadata.csv and the pictures beside it differ in 1, first 1.png"),
        ("id,area\n0,25\n1,25\n2,25\n", r"p0/metadata.csv and the pictures beside it differ in 1, first 2.png"),
        ("id,area\n0,25\n0,25\n", "p0/metadata.csv: '0' in the column `id` is no number of one mask"),
        ("id,area\n../0,25\n", "p0/metadata.csv: '../0' in the column `id` is no number"),
        ("area\n25\n", "p0/metadata.csv: '' in the column `id` is no number"),
        ("id,predicted_iou\n0,nan\n1,0.5\n", "the score is nan, but must be a finite number"),
        ("id,predicted_iou\n0,high\n1,0.5\n", "the score is 'high', but must be a finite number"),
        ("id\n" + "0" * 200_000, "p0/metadata.csv cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, table: str, message: str) -> None:
    found = read_detections(write_masks(tmp_path / "p0", table), ["p0"])
    with pytest.raises(InputError, match=f"image p0: .*{message}"):
        found.instances("p0", SHAPE)


def test_pictures_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    found = read_detections(write_masks(tmp_path / "p0", TABLE), ["p0"])
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(SHAPE)).save(tmp_path / "p0" / "1.png")
    with pytest.raises(InputError, match="image p0: p0/1.png holds several values above 0, so it is no mask"):
        found.instances("p0", SHAPE)
    with pytest.raises(InputError, match=r"image p0: 0.png is uint8 \(20, 30\), but .* map of 20 x 31 is needed"):
        found.instances("p0", (20, 31))
    (tmp_path / "p0" / "metadata.csv").write_bytes(b"id\n\xff")
    with pytest.raises(InputError, match="p0/metadata.csv cannot be read"):
        found.instances("p0", SHAPE)


def test_json_beside_arrays_is_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "p0.npz", masks=mask(0)[None])
    (tmp_path / "arguments.json").write_text("{}")
    assert read_detections(tmp_path, ["p0"]).image_ids == ("p0",)


def test_names_below_the_folder_are_ids(tmp_path: Path) -> None:
    for sequence, row in (("a", 0), ("b", 9)):
        (tmp_path / sequence).mkdir()
        np.savez(tmp_path / sequence / "0001_masks.npz", masks=mask(row)[None])
        np.savez(tmp_path / sequence / "._0001_masks.npz", masks=mask(0)[None])
    found = read_detections(tmp_path, ["a/0001", "b/0001"])
    np.testing.assert_array_equal(found.instances("b/0001", SHAPE).masks(), [mask(9)])
    assert read_detections(tmp_path / "a", ["x/0001"]).image_ids == ("x/0001",)
    with pytest.raises(InputError, match=r"0001_masks.npz fits 2 images by its last part \(x/0001, y/0001\); name it"):
        read_detections(tmp_path / "a", ["x/0001", "y/0001"])


NPZ = "image p0: p0.npz"


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"scores": [math.nan]}, f"{NPZ}: `scores` hold nan, but must be finite numbers"),
        ({"scores": [math.inf]}, f"{NPZ}: `scores` hold inf, but must be finite numbers"),
        ({"scores": ["0.5"]}, f"{NPZ}: `scores` hold <U3, but must be finite numbers"),
        ({"class_ids": [1.5]}, f"{NPZ}: `class_ids` hold 1.5, but must be whole numbers"),
        ({"class_ids": [math.nan]}, f"{NPZ}: `class_ids` hold nan, but must be whole numbers"),
        ({"class_ids": ["car"]}, f"{NPZ}: `class_ids` hold <U3, but must be whole numbers"),
        ({"num_valid": -1}, f"{NPZ}: `num_valid` is -1, but must be one of 0 to 1"),
        ({"num_valid": 2}, f"{NPZ}: `num_valid` is 2, but must be one of 0 to 1"),
        ({"num_valid": [1, 1]}, rf"{NPZ}: `num_valid` is \[1, 1\], but must be one of 0 to 1"),
        ({"num_valid": 0.5}, f"{NPZ}: `num_valid` is 0.5, but must be one of 0 to 1"),
        ({"masks": np.full((1, *SHAPE), 0.3)}, f"{NPZ}: the masks are float64 and not only 0 and 1; save"),
        ({"masks": np.full((1, *SHAPE), math.nan)}, f"{NPZ}: the masks are float64 and not only 0 and 1; save"),
        ({"masks": np.full((1, *SHAPE), "x")}, f"{NPZ}: the masks are <U1 and not only 0 and 1; save"),
        ({"masks": 3}, rf"{NPZ}: the masks are \(\), but must be \[M, H, W\]"),
        ({"masks": np.array([None])}, f"{NPZ} cannot be read"),
    ],
)
def test_arrays_that_are_no_masks_or_scores_are_refused(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    np.savez(tmp_path / "p0.npz", **({"masks": mask(0)[None]} | arrays))
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path, ["p0"]).instances("p0", SHAPE)


def test_a_header_that_promises_more_than_there_is_costs_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|b1", "fortran_order": False, "shape": (10**9, *SHAPE)})
    with zipfile.ZipFile(tmp_path / "p0.npz", "w") as archive:
        archive.writestr("masks.npy", header.getvalue())
    with pytest.raises(InputError, match=rf"{NPZ} cannot be read .*600,000,000,000 bytes, but 0 follow"):
        read_detections(tmp_path, ["p0"]).instances("p0", SHAPE)


def test_float_masks_of_zeros_and_ones_are_masks(tmp_path: Path) -> None:
    np.savez(tmp_path / "p0.npz", masks=mask(3)[None].astype(np.float32), scores=[1], class_ids=[13.0], num_valid=[1])
    found = read_detections(tmp_path, ["p0"]).instances("p0", SHAPE)
    np.testing.assert_array_equal(found.masks(), [mask(3)])
    assert found.class_ids.tolist() == [13]
