from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.depth_files import KINDS, DepthFiles, read_npy, read_pfm
from tests.examples import examples


ID = "aachen_000000_000019"


def write_png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint16)).save(path)


def write_pfm(path, depth, *, byte_order="<"):
    header = f"Pf\n{depth.shape[1]} {depth.shape[0]}\n{-1.0 if byte_order == '<' else 1.0}\n"
    path.write_bytes(header.encode() + depth[::-1].astype(f"{byte_order}f4").tobytes())


def test_numpy_files_as_the_reference_writes_them(tmp_path):
    (tmp_path / "val" / "aachen").mkdir(parents=True)
    depth = np.array([[0.0, 0.25], [0.5, 1.0]], dtype=np.float32)
    np.save(tmp_path / "val" / "aachen" / f"{ID}_leftImg8bit.npy", depth)
    files = DepthFiles(tmp_path, "npy")
    np.testing.assert_array_equal(files.read(ID), depth)
    assert files.supervision.startswith("unknown")


def test_numpy_values_that_are_no_depth_are_unknown(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[np.nan, np.inf, -1, 2]]]))
    read = read_npy(tmp_path / "a.npy")
    assert read.dtype == np.float32 and read.tolist() == [[0, 0, 0, 2]]


def test_png_with_a_scale(tmp_path):
    write_png(tmp_path / f"{ID}.png", [[0, 100, 65535]])
    read = DepthFiles(tmp_path, "png", scale=0.01, supervision="measured by hand").read(ID)
    np.testing.assert_allclose(read, [[0, 1, 655.35]], rtol=1e-6)
    assert DepthFiles(tmp_path, "png", supervision="measured by hand").supervision == "measured by hand"


def test_cityscapes_disparity_with_its_camera(tmp_path):
    write_png(tmp_path / "disparity" / "train" / "aachen" / f"{ID}_disparity.png", [[0, 1, 257, 25601]])
    camera = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2000.0}}
    folder = tmp_path / "camera" / "train" / "aachen"
    folder.mkdir(parents=True)
    (folder / f"{ID}_camera.json").write_text(json.dumps(camera))
    files = DepthFiles(tmp_path / "disparity", "cityscapes")
    np.testing.assert_allclose(files.read(ID), [[0, 0, 400, 4]], rtol=1e-6)
    assert "stereo" in files.supervision
    elsewhere = DepthFiles(tmp_path / "disparity", "cityscapes", camera_root=tmp_path / "camera")
    np.testing.assert_array_equal(elsewhere.read(ID), files.read(ID))


def test_a_missing_camera_file_is_named(tmp_path):
    write_png(tmp_path / "disparity" / f"{ID}_disparity.png", [[257]])
    with pytest.raises(InputError, match=rf"camera/{ID}_camera.json: needed for the depth of"):
        DepthFiles(tmp_path / "disparity", "cityscapes").read(ID)


def test_kitti_depth(tmp_path):
    write_png(tmp_path / "0000000005.png", [[0, 256, 2560]])
    np.testing.assert_array_equal(DepthFiles(tmp_path, "kitti").read("0000000005"), [[0, 1, 10]])


@examples(20)
@given(
    depth=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(0, 1e6, width=32)
    ),
    byte_order=st.sampled_from("<>"),
)
def test_float_maps_come_back_in_either_byte_order(tmp_path_factory, depth, byte_order):
    path = tmp_path_factory.mktemp("pfm") / f"{ID}.pfm"
    write_pfm(path, depth, byte_order=byte_order)
    np.testing.assert_array_equal(DepthFiles(path.parent, "pfm").read(ID), depth)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PF\n2 2\n-1.0\n" + bytes(48), "not a one-channel PFM file"),
        (b"", "not a one-channel PFM file"),
        (b"Pf\n" + b"9" * 5000 + b" 2\n-1.0\n", "not a one-channel PFM file"),
        (b"Pf\n2 2\n-1.0\n" + bytes(15), "expected 16 bytes for 2x2 pixels, but got 15"),
    ],
)
def test_damaged_float_maps_are_refused(tmp_path, content, message):
    (tmp_path / "a.pfm").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_pfm(tmp_path / "a.pfm")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), r"expected depth as \[H, W\], but got \[2, 2, 2\]"),
        (np.array(["a"]), "expected one array of numbers, but got <U1"),
        (np.array([object()]), "cannot be read as one numpy array .*; save it with numpy.save"),
    ],
)
def test_arrays_that_are_no_map_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=f"a.npy: {message}"):
        read_npy(tmp_path / "a.npy")


def test_several_arrays_in_one_file_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.zeros((2, 2)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(InputError, match="it holds several arrays"):
        read_npy(tmp_path / "a.npy")


def test_a_header_that_lies_and_numbers_without_an_order_are_refused(tmp_path):
    with (tmp_path / "huge.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)})
    with pytest.raises(
        InputError, match="huge.npy: cannot be read as one numpy array .*bytes, but 0 follow.*numpy.save"
    ):
        read_npy(tmp_path / "huge.npy")
    for values in (np.ones((2, 2), complex), np.ones((2, 2), bool), np.array([["a"]])):
        np.save(tmp_path / "b.npy", values)
        with pytest.raises(InputError, match="expected one array of numbers"):
            read_npy(tmp_path / "b.npy")


def test_an_eight_bit_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / f"{ID}.png")
    with pytest.raises(InputError, match="16 bits per pixel, but this has 8"):
        DepthFiles(tmp_path, "png").read(ID)


def test_an_image_without_or_with_two_files_is_named(tmp_path):
    files = DepthFiles(tmp_path, "npy")
    with pytest.raises(InputError, match=f"{ID}: no depth file under .* expected one named {ID}.npy"):
        files.read(ID)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / f"{ID}.npy", np.zeros((1, 1)))
    with pytest.raises(InputError, match=f"{ID}: 2 files fit this image"):
        DepthFiles(tmp_path, "npy").read(ID)


def test_an_unknown_kind_or_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="Unknown kind of depth files 'exr'; known are npy"):
        DepthFiles(tmp_path, "exr")
    with pytest.raises(InputError, match="no such folder"):
        DepthFiles(tmp_path / "none", "npy")


@pytest.mark.parametrize("known", [True, False])
def test_photographs_in_sub_folders_find_their_own_depth(tmp_path, known):
    names = {
        "s1/0001": "s1/0001.npy",
        "s2/0001": "s2/0001_depth.npy",
        "s2/x": "other/x.NPY",
        "a_leftImg8bit": "a_leftImg8bit.npy",
    }
    for number, name in enumerate(names.values()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as stream:
            np.save(stream, np.full((2, 2), number + 1.0))
    files = DepthFiles(tmp_path, "npy", image_ids=frozenset(names) if known else frozenset())
    assert [int(files.read(image_id).max()) for image_id in names] == [1, 2, 3, 4]


def test_depth_that_fits_two_photographs_by_its_name_is_an_error(tmp_path):
    np.save(tmp_path / "0001.npy", np.ones((2, 2)))
    files = DepthFiles(tmp_path, "npy", image_ids=frozenset({"s1/0001", "s2/0001"}))
    with pytest.raises(InputError, match="0001.npy: fits 2 images by its name alone"):
        files.read("s1/0001")


def test_depth_in_no_folder_of_the_set_does_not_count(tmp_path):
    for name in (".old/a.npy", "__MACOSX/a.npy", "._a.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.ones((2, 2)))
    np.save(tmp_path / "a.npy", np.full((2, 2), 3.0))
    assert DepthFiles(tmp_path, "npy").read("a").max() == 3


def test_depth_whose_name_is_not_utf8_is_refused(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.npy", "wb") as stream:
        np.save(stream, np.ones((2, 2)))
    with pytest.raises(InputError, match=r"caf\\xe9.npy: the name of this file is not UTF-8"):
        DepthFiles(tmp_path, "npy").read("a")


@pytest.mark.parametrize("kind", ["npy", "png", "kitti", "pfm"])
def test_a_pipe_is_no_depth(tmp_path, kind):
    os.mkfifo(tmp_path / f"a{KINDS[kind][0]}")
    with pytest.raises(InputError, match="a[.](npy|png|pfm).*([Nn]ot a regular file)"):
        DepthFiles(tmp_path, kind).read("a")


def test_depth_without_a_pixel_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 5)))
    with pytest.raises(InputError, match=r"a.npy: \[0, 5\] has no pixel, or more than 16,000,000"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize(("baseline", "fx"), [(0, 2000), (-0.2, 2000), (1e300, 1e300)])
def test_a_camera_that_cannot_be_is_refused(tmp_path, baseline, fx):
    write_png(tmp_path / "disparity" / f"{ID}_disparity.png", [[257]])
    (tmp_path / "camera").mkdir()
    camera = {"extrinsic": {"baseline": baseline}, "intrinsic": {"fx": fx}}
    (tmp_path / "camera" / f"{ID}_camera.json").write_text(json.dumps(camera))
    with pytest.raises(InputError, match="_camera.json: baseline and fx must be positive, but their product is"):
        DepthFiles(tmp_path / "disparity", "cityscapes").read(ID)
