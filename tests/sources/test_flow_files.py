from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mbps_dataset.errors import InputError
from mbps_dataset.sources.flow_files import DisparityFiles, FlowFiles, read_16_bit_rgb


ID = "aachen_000000_000019"
FLOW = np.random.default_rng(0).integers(-4000, 4000, (2, 5, 6)).astype(np.float32) / 64
DISPARITY = np.arange(1, 31).reshape(5, 6).astype(np.float32) / 4


def write_16_bit_rgb(path, values):
    """A PNG of three 16-bit channels whose rows take the five filters in turn."""
    height, width, _ = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, width * 6).astype(int)
    above, data = np.zeros(width * 6, int), b""
    for number, row in enumerate(rows):
        left, corner = (np.concatenate([np.zeros(6, int), one[:-6]]) for one in (row, above))
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = [0 * row, left, above, (left + above) // 2, paeth][number % 5]
        data += bytes([number % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    ]
    parts = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def write_16_bit_grey(path, values):
    Image.fromarray(np.asarray(values, np.uint16)).save(path)


def write_flow(path, kind):
    if kind == "kitti":
        pixels = np.stack([*(FLOW * 64 + 2**15), np.ones(FLOW.shape[1:])], axis=-1)
        write_16_bit_rgb(path, pixels)
    elif kind == "flo":
        path.write_bytes(struct.pack("<fii", 202021.25, 6, 5) + np.moveaxis(FLOW, 0, -1).astype("<f4").tobytes())
    elif kind == "pfm":
        values = np.concatenate([np.moveaxis(FLOW, 0, -1), np.zeros((5, 6, 1))], axis=-1)[::-1]
        path.write_bytes(b"PF\n6 5\n-1\n" + values.astype("<f4").tobytes())
    else:
        np.save(path, FLOW.astype(np.float64))


@pytest.mark.parametrize(("kind", "suffix"), [("kitti", "png"), ("flo", "flo"), ("pfm", "pfm"), ("npy", "npy")])
def test_flow_of_every_kind_comes_back(tmp_path, kind, suffix):
    write_flow(tmp_path / f"{ID}_flow.{suffix}", kind)
    files = FlowFiles(tmp_path, kind, [ID])
    flow, known = files.read(ID, size_hw=(5, 6))
    assert flow.dtype == np.float32 and known.dtype == bool and known.all()
    np.testing.assert_array_equal(flow, FLOW)
    assert files.supervision.startswith("unknown")
    assert FlowFiles(tmp_path, kind, [ID], supervision="SMURF, self-supervised").supervision.startswith("SMURF")


def test_every_filter_of_a_png_of_sixteen_bits_is_undone(tmp_path):
    values = np.random.default_rng(1).integers(0, 2**16, (13, 7, 3))
    write_16_bit_rgb(tmp_path / "a.png", values)
    read = read_16_bit_rgb(tmp_path / "a.png")
    assert read.dtype == np.uint16 and np.array_equal(read, values)


def test_kitti_flow_is_unknown_where_its_third_channel_is_zero(tmp_path):
    write_16_bit_rgb(tmp_path / f"{ID}.png", np.array([[[0, 0, 0], [2**15 + 64, 2**15 - 128, 1]]]))
    flow, known = FlowFiles(tmp_path, "kitti", [ID]).read(ID)
    assert flow.tolist() == [[[0, 1]], [[0, -2]]] and known.tolist() == [[False, True]]


def test_flow_that_is_no_number_or_beyond_all_bounds_is_unknown(tmp_path):
    np.save(tmp_path / f"{ID}.npy", np.array([[[1, np.nan, 1e10, 2]], [[3, 4, 5, -np.inf]]]).repeat(3, axis=1))
    flow, known = FlowFiles(tmp_path, "npy", [ID]).read(ID)
    assert known[0].tolist() == [True, False, False, False] and flow[:, 0].tolist() == [[1, 0, 0, 0], [3, 0, 0, 0]]


def test_flow_with_its_components_last_is_the_same(tmp_path):
    np.save(tmp_path / f"{ID}.npy", np.moveaxis(FLOW, 0, -1))
    np.testing.assert_array_equal(FlowFiles(tmp_path, "npy", [ID]).read(ID).flow, FLOW)


def write_disparity(path, kind):
    if kind == "kitti":
        write_16_bit_grey(path, DISPARITY * 256)
    elif kind == "cityscapes":
        write_16_bit_grey(path, DISPARITY * 256 + 1)
    elif kind == "pfm":
        path.write_bytes(b"Pf\n6 5\n1\n" + DISPARITY[::-1].astype(">f4").tobytes())
    else:
        np.save(path, DISPARITY[None])


@pytest.mark.parametrize(("kind", "suffix"), [("kitti", "png"), ("cityscapes", "png"), ("pfm", "pfm"), ("npy", "npy")])
def test_disparity_of_every_kind_comes_back(tmp_path, kind, suffix):
    write_disparity(tmp_path / f"{ID}_disparity.{suffix}", kind)
    files = DisparityFiles(tmp_path, kind, [ID])
    disparity, known = files.read(ID, size_hw=(5, 6))
    assert disparity.dtype == np.float32 and known.all()
    np.testing.assert_array_equal(disparity, DISPARITY)
    assert ("no labels" in files.supervision) == (kind == "cityscapes")


def test_unknown_disparity(tmp_path):
    write_16_bit_grey(tmp_path / "kitti.png", [[0, 256]])
    write_16_bit_grey(tmp_path / "cityscapes.png", [[0, 1, 257]])
    np.save(tmp_path / "numpy.npy", np.array([[np.nan, np.inf, -1, 0, 2]]))
    read = {
        name: DisparityFiles(tmp_path, kind, [name]).read(name)
        for name, kind in (("kitti", "kitti"), ("cityscapes", "cityscapes"), ("numpy", "npy"))
    }
    assert read["kitti"].known.tolist() == [[False, True]]
    assert read["cityscapes"].known.tolist() == [[False, True, True]]
    assert read["cityscapes"].disparity.tolist() == [[0, 0, 1]]  # the second is infinitely far
    assert read["numpy"].known.tolist() == [[False, False, False, True, True]]
    assert read["numpy"].disparity.tolist() == [[0, 0, 0, 0, 2]]


@pytest.mark.parametrize(
    ("files", "kind", "array", "message"),
    [
        (FlowFiles, "npy", np.zeros((2, 5, 2)), r"a.npy: expected flow as \[2, H, W\] or \[H, W, 2\], but got \[2, 5, 2\]"),
        (FlowFiles, "npy", np.zeros((5, 6)), r"or \[H, W, 2\], but got \[5, 6\]"),
        (FlowFiles, "npy", np.array(["x"]), "expected one array of numbers, but got <U1"),
        (FlowFiles, "npy", np.full((2, 3, 3), np.nan), "a.npy: no pixel has a known flow"),
        (DisparityFiles, "npy", np.zeros((2, 5, 6)), r"expected disparity as \[H, W\], but got \[2, 5, 6\]"),
        (DisparityFiles, "npy", np.full((3, 3), -2.0), "a.npy: all known disparities are negative; give x left − x right"),
        (DisparityFiles, "npy", np.full((3, 3), np.inf), "a.npy: no pixel is known"),
    ],
)  # fmt: skip
def test_arrays_that_hold_no_such_map_are_refused_by_name(tmp_path, files, kind, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=message):
        files(tmp_path, kind, ["a"]).read("a")


def test_arrays_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mbps_dataset.sources.map_files.MAX_PIXELS", 20)
    np.save(tmp_path / "a.npy", FLOW)
    with pytest.raises(InputError, match=r"a.npy: \[2, 5, 6\] has no pixel, or more than 20; scale it down"):
        FlowFiles(tmp_path, "npy", ["a"]).read("a")


def test_files_that_cannot_be_read_are_one_line(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for files, kind in ((FlowFiles, "npy"), (FlowFiles, "kitti"), (DisparityFiles, "kitti"), (DisparityFiles, "npy")):
        with pytest.raises(InputError) as caught:
            files(tmp_path, kind, ["a"]).read("a")
        assert "a.np" in str(caught.value) or "a.png" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_pictures_of_flow_are_refused(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a.png: a KITTI flow file is a PNG of three 16-bit channels, but this is"):
        FlowFiles(tmp_path, "kitti", ["a"]).read("a")


def test_pictures_of_disparity_are_refused(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png: disparity PNGs have 16 bits per pixel, but this has 8"):
        DisparityFiles(tmp_path, "kitti", ["a"]).read("a")


def test_a_torn_flow_file_is_refused(tmp_path):
    write_flow(tmp_path / "a.png", "kitti")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="a.png: damaged after"):
        FlowFiles(tmp_path, "kitti", ["a"]).read("a")


def test_a_map_of_another_size_than_the_image_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", DISPARITY)
    with pytest.raises(InputError, match="a.npy: 6x5, but the image a is 12x10; give the disparity of that image"):
        DisparityFiles(tmp_path, "npy", ["a"]).read("a", size_hw=(10, 12))


def test_an_image_without_a_file_is_named(tmp_path):
    with pytest.raises(InputError, match=f"{ID}: no flow file under .*; expected one named {ID}.flo"):
        FlowFiles(tmp_path, "flo", [ID]).read(ID)


def test_a_file_that_fits_two_images_is_refused(tmp_path):
    np.save(tmp_path / "0001.npy", DISPARITY)
    files = DisparityFiles(tmp_path, "npy", ["a/0001", "b/0001"])
    with pytest.raises(InputError, match="fits 2 images by its name alone"):
        files.read("a/0001")


def test_an_unknown_kind_or_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="Unknown kind of flow files 'exr'; known are kitti, flo, pfm, npy"):
        FlowFiles(tmp_path, "exr", [])
    with pytest.raises(InputError, match="none: no such folder of disparity files"):
        DisparityFiles(tmp_path / "none", "npy", [])
