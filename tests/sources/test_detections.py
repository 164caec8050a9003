from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mbps_dataset.errors import InputError
from mbps_dataset.sources.detections import merged, read_detections


IDS = ("aachen_000000_000019", "aachen_000001_000019", "ulm_000002_000019")
SHAPE = (20, 30)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def masks(seed: int, count: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = np.zeros((count, *SHAPE), dtype=bool)
    for mask in found:
        top, left = random.integers(0, 15), random.integers(0, 25)
        mask[top : top + 5, left : left + 5] = True
    return found


def compressed(mask: np.ndarray) -> dict[str, object]:
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def results(*image_ids: object) -> list[dict[str, object]]:
    return [
        {"image_id": image_id, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.2 + 0.3 * k, "segmentation": compressed(mask)}
        for seed, image_id in enumerate(image_ids)
        for k, mask in enumerate(masks(seed))
    ]  # fmt: skip


def image_list(tmp_path: Path) -> Path:
    images = [
        {"id": k, "file_name": f"leftImg8bit/val/{i.split('_')[0]}/{i}_leftImg8bit.png"} for k, i in enumerate(IDS)
    ]
    return write(tmp_path / "images.json", {"images": images, "annotations": []})


def test_coco_results_with_an_image_list(tmp_path: Path) -> None:
    detections = read_detections(write(tmp_path / "r.json", results(0, 2)), IDS, names=image_list(tmp_path))
    assert detections.image_ids == (IDS[0], IDS[2])
    found = detections.instances(IDS[2], SHAPE)
    np.testing.assert_array_equal(found.masks(), masks(1))
    np.testing.assert_allclose(found.scores, [0.2, 0.5, 0.8])
    assert found.class_ids.tolist() == [-1, -1, -1]


def test_coco_results_named_by_the_images_themselves(tmp_path: Path) -> None:
    detections = read_detections(write(tmp_path / "r.json", results(*IDS)), IDS)
    for seed, image_id in enumerate(IDS):
        np.testing.assert_array_equal(detections.instances(image_id, SHAPE).masks(), masks(seed))


def test_names_may_be_a_mapping_with_text_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", results(7))
    detections = read_detections(path, IDS, names={"7": IDS[1]})
    assert detections.image_ids == (IDS[1],)


def test_the_score_threshold_keeps_its_own_value(tmp_path: Path) -> None:
    detections = read_detections(write(tmp_path / "r.json", results(IDS[0])), IDS)
    assert len(detections.instances(IDS[0], SHAPE, min_score=0.5)) == 2


def test_an_image_without_detections_has_none(tmp_path: Path) -> None:
    detections = read_detections(write(tmp_path / "r.json", results(IDS[0])), IDS)
    assert detections.instances(IDS[1], SHAPE).masks().shape == (0, *SHAPE)


def test_polygons(tmp_path: Path) -> None:
    polygon = [2.0, 3.0, 12.0, 3.0, 12.0, 9.0, 2.0, 9.0]
    path = write(tmp_path / "r.json", [{"image_id": IDS[0], "score": 1.0, "segmentation": [polygon]}])
    found = read_detections(path, IDS).instances(IDS[0], SHAPE)
    expected = coco.decode(coco.frPyObjects([polygon], *SHAPE))[..., 0]
    np.testing.assert_array_equal(found.masks()[0], expected)


def test_maskcut_annotations_with_width_and_height_exchanged(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": f"{IDS[0]}_leftImg8bit.png", "width": SHAPE[0], "height": SHAPE[1]}],
        "annotations": [{"image_id": 1, "id": 1, "segmentation": compressed(mask)} for mask in masks(5)],
    }
    found = read_detections(write(tmp_path / "maskcut.json", content), IDS).instances(IDS[0], SHAPE)
    np.testing.assert_array_equal(found.masks(), masks(5))
    assert found.scores.tolist() == [1.0, 1.0, 1.0]


def test_a_folder_of_arrays_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "aachen").mkdir()
    padded = np.concatenate([masks(0), np.ones((2, *SHAPE), bool)]).reshape(5, -1)
    flat = {"masks": padded, "scores": np.array([0.9, 0.5, 0.1, 0, 0], np.float32), "num_valid": 3}
    np.savez(tmp_path / "aachen" / f"{IDS[0]}.npz", **flat)
    np.savez(tmp_path / "aachen" / f"{IDS[1]}_leftImg8bit.npz", masks=masks(1), class_ids=[11, 13, 13])
    ids = np.zeros(SHAPE, np.uint16)
    ids[2:5, 3:9], ids[10:12] = 1, 40_000
    Image.fromarray(ids).save(tmp_path / f"{IDS[2]}_instance.png")
    detections = read_detections(tmp_path, IDS)
    assert detections.image_ids == IDS
    first = detections.instances(IDS[0], SHAPE, min_score=0.5)
    np.testing.assert_array_equal(first.masks(), masks(0)[:2])
    assert len(detections.instances(IDS[0], SHAPE)) == 3
    assert detections.instances(IDS[1], SHAPE).class_ids.tolist() == [11, 13, 13]
    np.testing.assert_array_equal(detections.instances(IDS[2], SHAPE).masks(), [ids == 1, ids == 40_000])


def test_several_files_become_one(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.json", results(IDS[0], IDS[1]))
    part = [{"image_id": IDS[0], "score": 0.95, "segmentation": compressed(masks(0)[0])}]
    both = merged([read_detections(whole, IDS), read_detections(write(tmp_path / "b.json", part), IDS)])
    assert both.image_ids == IDS[:2]
    found = both.instances(IDS[0], SHAPE)
    np.testing.assert_array_equal(found.mask(0), masks(0)[0])
    # The same mask of the first file, score 0.2, is gone.
    np.testing.assert_allclose(found.scores, [0.95, 0.8, 0.5])
    np.testing.assert_allclose(both.instances(IDS[0], SHAPE, min_score=0.6).scores, [0.95, 0.8])


def test_unknown_images_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", results(IDS[0], "bonn_000000_000019", 17))
    with pytest.raises(InputError, match=r"r.json names 2 of 3 images .* does not have: 17, bonn_000000_000019\."):
        read_detections(path, IDS)
    np.savez(tmp_path / "zurich_000000_000019.npz", masks=masks(0))
    with pytest.raises(InputError, match="names 1 of 1 images .* zurich_000000_000019.npz"):
        read_detections(tmp_path, IDS)


def test_two_entries_for_one_image_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / f"{IDS[0]}.npz", masks=masks(0))
    Image.fromarray(np.zeros(SHAPE, np.uint16)).save(tmp_path / f"{IDS[0]}_instance.png")
    with pytest.raises(InputError, match=f"names image {IDS[0]} twice: {IDS[0]}.npz and {IDS[0]}_instance.png"):
        read_detections(tmp_path, IDS)


def test_masks_of_another_size_are_named(tmp_path: Path) -> None:
    detections = read_detections(write(tmp_path / "r.json", results(IDS[0])), IDS)
    with pytest.raises(
        InputError, match=rf"r.json, image {IDS[0]}: annotation 0: the mask is 20 x 30 .* but the image is 40 x 60\."
    ):
        detections.instances(IDS[0], (40, 60))
    np.savez(tmp_path / f"{IDS[0]}.npz", masks=masks(0))
    Image.fromarray(np.zeros(SHAPE, np.uint16)).save(tmp_path / f"{IDS[1]}.png")
    folder = read_detections(tmp_path, IDS)
    with pytest.raises(InputError, match=r"the masks are \(3, 20, 30\), but the image is 20 x 31"):
        folder.instances(IDS[0], (20, 31))
    with pytest.raises(InputError, match=r"uint16 \(20, 30\), but a single-channel map of 20 x 31 is needed"):
        folder.instances(IDS[1], (20, 31))


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder of detections"):
        read_detections(tmp_path / "absent.json.gz", IDS)
    (tmp_path / "r.txt").write_text("")
    with pytest.raises(InputError, match="expected a COCO .json file or a folder"):
        read_detections(tmp_path / "r.txt", IDS)
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(InputError, match="r.json: cannot be read as JSON"):
        read_detections(tmp_path / "r.json", IDS)
    with pytest.raises(InputError, match="a list of results, or an object with `images` and `annotations`"):
        read_detections(write(tmp_path / "r.json", {"a": 1}), IDS)
    with pytest.raises(InputError, match="expected results with `image_id` and `segmentation`"):
        read_detections(write(tmp_path / "r.json", [{"image_id": 1}]), IDS)
    with pytest.raises(InputError, match="image_id 5 is not in the image list"):
        read_detections(write(tmp_path / "r.json", results(5)), IDS, names={1: IDS[0]})
    with pytest.raises(InputError, match="expected `images` with `id` and `file_name`"):
        read_detections(write(tmp_path / "r.json", {"images": [{}], "annotations": []}), IDS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no .npz, .png or .json file of detections"):
        read_detections(tmp_path / "empty", IDS)


def test_damaged_files_in_a_folder_are_named_when_read(tmp_path: Path) -> None:
    (tmp_path / f"{IDS[0]}.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / f"{IDS[1]}.png").write_bytes(b"no picture")
    np.savez(tmp_path / f"{IDS[2]}.npz", scores=np.ones(3))
    detections = read_detections(tmp_path, IDS)
    for image_id, message in zip(IDS, ("npz cannot be read", "png: not a PNG file", "has no array `masks`")):
        with pytest.raises(InputError, match=f"image {image_id}: .*{message}"):
            detections.instances(image_id, SHAPE)


def test_arrays_of_unequal_length_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / f"{IDS[0]}.npz", masks=masks(0), scores=np.ones(2))
    with pytest.raises(InputError, match=rf"image {IDS[0]}: Expected one entry of `scores` per instance \(3\)"):
        read_detections(tmp_path, IDS).instances(IDS[0], SHAPE)
