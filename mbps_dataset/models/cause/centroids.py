"""Centres of over-clustering as files, in the published form: an ``.npz`` with `centroids` and `cluster_to_class`.

The published table was made with validation ground truth; `cluster_to_class` is therefore optional here, and a file
written without it is label-free. ``.npz`` is read without pickle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbps_dataset.errors import CalibrationError, WeightsError
from mbps_dataset.reading.json_documents import read_json
from mbps_dataset.reading.numpy_files import read_npz
from mbps_dataset.taxonomy import NAMES_19, VOID


_MOST_BYTES = 1_000_000
_MOST_BYTES_OF_A_LABEL_SET = 200_000_000

LABEL_SET_FILE = "labelset.json"
"""What a label set was made from and with; see `mbps_dataset.labelset.document`."""


@dataclass(frozen=True)
class Centroids:
    """`centroids` float64 [k, C], unit length; `cluster_to_class` uint8 [k] train ids, or None without names.

    Of tokens that were centred or whitened, `token_mean` [D] and `token_projection` [D, C] (None: only centred) say how.
    `weights` are digests of the networks by name that a label set was made with, None where a file does not say.
    """

    centroids: NDArray[np.float64]
    cluster_to_class: NDArray[np.uint8] | None = None
    token_mean: NDArray[np.float64] | None = None
    token_projection: NDArray[np.float64] | None = None
    weights: Mapping[str, str] | None = None

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
    """Read published centres, or those of a label set's folder; rows of other than unit length are scaled to it.

    Raises `WeightsError` if there are none.
    """
    if Path(path).is_dir():
        return _of_label_set(Path(path))
    try:
        content = read_npz(path, "centroids", "cluster_to_class")
    except FileNotFoundError as error:
        raise WeightsError(f"There are no centroids at {path}; give the path of an .npz file.") from error
    except KeyError as error:
        raise WeightsError(f"{path} has no array `centroids`; {error.args[0]}.") from error
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path} is no readable .npz of plain numbers ({error}).") from error
    if "centroids" not in content:
        raise WeightsError(f"{path} has no array `centroids`; it holds cluster_to_class.")
    centroids = content["centroids"]
    if not np.issubdtype(centroids.dtype, np.floating):
        raise WeightsError(f"{path}: centroids must be floating-point numbers, but are {centroids.dtype}.")
    centroids = centroids.astype(np.float64)
    classes = _class_ids(content["cluster_to_class"], path) if "cluster_to_class" in content else None
    read = Centroids(centroids, classes)
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    return read if np.allclose(length, 1, rtol=0, atol=1e-9) else Centroids(centroids / length, classes)


def _of_label_set(folder: Path) -> Centroids:
    """The centres that the label set in `folder` was made with, without their names. Raises `WeightsError`."""
    path = folder / LABEL_SET_FILE
    try:
        document = read_json(path, most_bytes=_MOST_BYTES_OF_A_LABEL_SET)
        calibration, weights = document["calibration"], dict(document["digests"]["weights"])
        mean, projection = (
            None if calibration.get(name) is None else np.array(calibration[name], dtype=np.float64)
            for name in ("token_mean", "token_projection")
        )
        centroids = np.array(calibration["centroids"], dtype=np.float64)
        return Centroids(centroids, token_mean=mean, token_projection=projection, weights=weights)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} holds no centroids of clusters ({error}); give a label set made with k-means."
        ) from None


def read_cluster_names(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """`cluster_to_class` [k] of an ``.npz`` or ``.json`` file, train ids 0-18 or 255. Raises `CalibrationError`."""
    try:
        if str(path).endswith(".json"):
            document = read_json(path, most_bytes=_MOST_BYTES)
            table = np.array(document["cluster_to_class"])
        else:
            table = read_npz(path, "cluster_to_class")["cluster_to_class"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise CalibrationError(f"{path}: holds no array `cluster_to_class` ({error}).") from None
    if table.ndim != 1:
        raise CalibrationError(
            f"{path}: cluster_to_class must be a list of whole numbers, but is {list(table.shape)}."
        )
    try:
        names = _class_ids(table, path)
    except WeightsError as error:
        raise CalibrationError(str(error)) from None
    if wrong := sorted({int(k) for k in names if k != VOID and k >= len(NAMES_19)}):
        raise CalibrationError(f"{path}: cluster_to_class must hold train ids 0-18 or 255, but holds {wrong[0]}.")
    return names


def names_made_for(path: str | os.PathLike[str]) -> str | None:
    """The digest of the clusters that a file of names was made for; None if it does not say."""
    if not str(path).endswith(".json"):
        return None
    stated = read_json(path, most_bytes=_MOST_BYTES).get("made_for")
    return stated if isinstance(stated, str) else None


def _class_ids(table: NDArray[Any], path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    if not np.issubdtype(table.dtype, np.integer) or (table.size and not 0 <= table.min() <= table.max() <= 255):
        raise WeightsError(f"{path}: cluster_to_class must hold whole numbers from 0 to 255, but is {table.dtype}.")
    return table.astype(np.uint8)
