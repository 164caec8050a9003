"""Centres of over-clustering as files, in the published form: an ``.npz`` with `centroids` and `cluster_to_class`.

The published table was made with validation ground truth; `cluster_to_class` is therefore optional here, and a file
written without it is label-free. ``.npz`` is read without pickle.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import WeightsError


@dataclass(frozen=True)
class Centroids:
    """`centroids` float64 [k, C], unit length; `cluster_to_class` uint8 [k] train ids, or None without names."""

    centroids: NDArray[np.float64]
    cluster_to_class: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or not np.isfinite(self.centroids).all() or not self.centroids.any(axis=1).all():
            raise WeightsError(f"centroids must be finite rows [k, C] with length, but are {self.centroids.shape}.")
        if self.cluster_to_class is not None and self.cluster_to_class.shape != (len(self.centroids),):
            raise WeightsError(
                f"cluster_to_class must hold one class for each of {len(self.centroids)} centroids, but is "
                f"{self.cluster_to_class.shape}."
            )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the published form to `path` (ending in .npz) and return it."""
        path = Path(path)
        with path.open("wb") as stream:
            if self.cluster_to_class is None:
                np.savez(stream, centroids=self.centroids)
            else:
                np.savez(stream, centroids=self.centroids, cluster_to_class=self.cluster_to_class)
        return path


def read_centroids(path: str | os.PathLike[str]) -> Centroids:
    """Read published centres; rows of other than unit length are scaled to it. Raises `WeightsError` if it is no such file."""
    try:
        with np.load(path, allow_pickle=False) as content:
            if "centroids" not in content.files:
                raise WeightsError(
                    f"{path} has no array `centroids`; it holds {', '.join(content.files) or 'nothing'}."
                )
            centroids = np.asarray(content["centroids"], dtype=np.float64)
            classes = _class_ids(content["cluster_to_class"], path) if "cluster_to_class" in content.files else None
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise WeightsError(f"There are no centroids at {path}; give the path of an .npz file.") from error
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is no readable .npz of plain numbers ({error}).") from error
    read = Centroids(centroids, classes)
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    return read if np.allclose(length, 1, rtol=0, atol=1e-9) else Centroids(centroids / length, classes)


def _class_ids(table: NDArray[Any], path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    if not np.issubdtype(table.dtype, np.integer) or (table.size and not 0 <= table.min() <= table.max() <= 255):
        raise WeightsError(f"{path}: cluster_to_class must hold whole numbers from 0 to 255, but is {table.dtype}.")
    return table.astype(np.uint8)
