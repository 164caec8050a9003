"""Where golden numbers are read: the stated folder or nothing, else beside the checkout, else the copies."""

from __future__ import annotations

import numpy as np
import pytest

from tests import vectors


def test_a_stated_folder_is_the_only_one(tmp_path, monkeypatch):
    monkeypatch.setenv("MBPS_VECTORS", str(tmp_path))
    np.savez(tmp_path / "own.npz", a=[1, 2])
    assert vectors.load_vectors("own")["a"].tolist() == [1, 2]
    with pytest.raises(pytest.fail.Exception, match=r"cause_head_small.npz does not exist, and MBPS_VECTORS="):
        vectors.load_vectors("cause_head_small")


def test_without_it_the_folder_beside_the_checkout_comes_before_the_copies(tmp_path, monkeypatch):
    monkeypatch.delenv("MBPS_VECTORS", raising=False)
    monkeypatch.setattr(vectors, "BESIDE_THE_CHECKOUT", tmp_path)
    assert vectors.vector_path("pq") == vectors.COPIES / "pq" and vectors.load_vectors("cause_head_small")
    (tmp_path / "pq").mkdir()
    assert vectors.vector_path("pq") == tmp_path / "pq"
    with pytest.raises(FileNotFoundError):
        vectors.load_vectors("no_such_file")


def test_a_coarse_grid_is_read_from_a_finer_one():
    whole = np.arange(24).reshape(4, 6)
    coarse = vectors.on_grid({"x_sub14": whole[::2, ::2]}, "x", 14)
    assert np.array_equal(coarse, vectors.on_grid({"x_sub7": whole}, "x", 14))
