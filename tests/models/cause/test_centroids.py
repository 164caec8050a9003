from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mbps_dataset.errors import WeightsError
from mbps_dataset.models.cause.centroids import Centroids, read_centroids


ROWS = np.array([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])


def test_the_published_form_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "kmeans_centroids.npz", centroids=ROWS, cluster_to_class=np.array([0, 2, 13], dtype=np.uint8))
    read = read_centroids(tmp_path / "kmeans_centroids.npz")
    np.testing.assert_allclose(read.centroids, [[0.6, 0.8], [0, 1], [-1, 0]])
    assert read.centroids.dtype == np.float64
    assert read.cluster_to_class is not None and read.cluster_to_class.tolist() == [0, 2, 13]


@pytest.mark.parametrize("classes", [None, np.array([1, 255, 3], dtype=np.uint8)])
def test_a_round_trip_keeps_every_bit(tmp_path: Path, classes: np.ndarray | None) -> None:
    rows = np.random.default_rng(0).standard_normal((3, 90))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    path = Centroids(unit, classes).save(tmp_path / "c.npz")
    read = read_centroids(path)
    np.testing.assert_array_equal(read.centroids, unit)
    assert (read.cluster_to_class is None) == (classes is None)


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    with pytest.raises(WeightsError, match="There are no centroids at"):
        read_centroids(path)
    path.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(WeightsError, match="no readable .npz"):
        read_centroids(path)
    np.savez(path, rows=ROWS)
    with pytest.raises(WeightsError, match="no array `centroids`; it holds rows"):
        read_centroids(path)
    np.savez(path, centroids=np.array([object()], dtype=object))
    with pytest.raises(WeightsError, match="no readable .npz of plain numbers"):
        read_centroids(path)
    np.savez(path, centroids=ROWS, cluster_to_class=np.array([1, 2]))
    with pytest.raises(WeightsError, match="one class for each of 3 centroids"):
        read_centroids(path)
    np.savez(path, centroids=ROWS, cluster_to_class=np.array([1, 2, 256]))
    with pytest.raises(WeightsError, match="whole numbers from 0 to 255"):
        read_centroids(path)
    np.savez(path, centroids=np.zeros((2, 3)))
    with pytest.raises(WeightsError, match="finite rows"):
        read_centroids(path)
    np.save(tmp_path / "c.npy", ROWS)
    with pytest.raises(WeightsError, match="no readable .npz"):
        read_centroids(tmp_path / "c.npy")


def test_the_clusters_of_a_label_set_are_read_with_the_whitening_of_their_tokens(tmp_path: Path) -> None:
    made_with = {"weights": {"tokens": "a1"}}
    calibration = {"centroids": ROWS.tolist(), "token_mean": [1.0, 2.0], "token_projection": [[1.0] * 4, [2.0] * 4]}
    (tmp_path / "labelset.json").write_text(json.dumps({"calibration": calibration, "digests": made_with}))
    read = read_centroids(tmp_path)
    assert read.cluster_to_class is None and np.allclose(read.centroids, ROWS)
    assert read.token_mean.tolist() == [1, 2] and read.token_projection.shape == (2, 4)
    assert read.weights == {"tokens": "a1"}
    (tmp_path / "labelset.json").write_text(json.dumps({"calibration": {"centroids": None}, "digests": made_with}))
    with pytest.raises(WeightsError, match=r"labelset.json holds no centroids of clusters .*made with k-means"):
        read_centroids(tmp_path)
    (tmp_path / "labelset.json").unlink()
    with pytest.raises(WeightsError, match="labelset.json holds no centroids"):
        read_centroids(tmp_path)
