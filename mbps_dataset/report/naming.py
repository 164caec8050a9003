"""Naming clusters by clicking on them in the report page: what the page needs to know, and the file that comes of it.

A person chooses a class and clicks on it in a picture; the cluster there, and those that are grouped with it, take the
class in every picture. Groups are those of average linkage by cosine between the clusters' centres (ours), from one a
cluster to all in one; a slider chooses how many. "Save" writes a JSON that ``naming.method=file`` reads. It names the
clusters it was made for, so that names given to other clusters are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import linkage

from mbps_dataset import taxonomy
from mbps_dataset.arrays import RGBImage, SemanticMap
from mbps_dataset.labelling.calibration import Calibration
from mbps_dataset.report.pictures import data_uri
from mbps_dataset.resizing import resize_nearest


WIDTH = 480
"""Pixels of a picture's width."""


@dataclass(frozen=True)
class Nameable:
    """One picture to click in: its id, the photo (or None) and the cluster of each pixel."""

    image_id: str
    photo: RGBImage | None
    clusters: SemanticMap


def can_be_named(document: Mapping[str, Any], calibration: Calibration) -> bool:
    """Whether classes are clusters without a name, of a number that one byte holds, in a set that is built with names.

    What a network predicts has the classes that it learned.
    """
    return "predicted" not in document and calibration.cluster_to_class is None and len(calibration.classes) <= 254


def naming_data(calibration: Calibration, pictures: Sequence[Nameable], palette: NDArray[np.uint8]) -> dict[str, Any]:
    """What the page's script works on, JSON-ready.

    `merges` are pairs of groups, the clusters first and then one more for each merge, as in `scipy.cluster.hierarchy`;
    `classes` the 19 of Cityscapes with their colours; `pictures` the photo and the map of clusters, a grey PNG.
    """
    colours = taxonomy.class_palette(taxonomy.CLASSES_19)
    return {
        "clusters": len(calibration.classes),
        "made_for": calibration.clusters_digest,
        "merges": cluster_merges(calibration),
        "colours": [[int(value) for value in colour] for colour in palette],
        "classes": [
            {"id": number, "name": name, "colour": [int(value) for value in colour]}
            for number, (name, colour) in enumerate(zip(taxonomy.NAMES_19, colours))
        ],
        "pictures": [_picture(each) for each in pictures],
    }


def cluster_merges(calibration: Calibration) -> list[list[int]]:
    """Pairs of groups in the order in which they are joined, the most alike first; none without centres."""
    if calibration.centroids is None:
        return []
    return [[int(one), int(other)] for one, other, *_ in linkage(calibration.centroids, "average", metric="cosine")]


def _picture(each: Nameable) -> Mapping[str, Any]:
    height, width = each.clusters.shape
    size = (WIDTH, max(1, round(WIDTH * height / width)))
    clusters = resize_nearest(each.clusters, size[1], size[0]).astype(np.uint8)
    photo = None if each.photo is None else data_uri(Image.fromarray(each.photo).resize(size), "WEBP", quality=80)
    return {"name": each.image_id, "photo": photo, "clusters": data_uri(Image.fromarray(clusters), "PNG")}
